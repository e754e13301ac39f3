"""Files that lie, break off or try to harm: an `InputError` or a picture of the right size, nothing else."""

from __future__ import annotations

import os
import resource
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest

from fastsnf import signals
from fastsnf.errors import InputError
from fastsnf.signals import Image
from fastsnf.signals.native_messages import native_messages
from fastsnf.signals.read_image import MAX_PIXELS
from tests.cases import count
from tests.signals.damage import flips, lengths
from tests.signals.files import chunk, encoded, noise, png

H, W = 21, 34


def _smooth() -> PIL.Image.Image:
    rows, columns = np.mgrid[0:H, 0:W]
    return PIL.Image.fromarray(np.stack([rows * 12, columns * 7, rows * columns // 3], -1).astype(np.uint8))


FILES: dict[str, bytes] = {
    "png": encoded(_smooth(), "PNG"),
    "png16": png(noise((H, W, 3), "uint16")),
    "jpeg": encoded(_smooth(), "JPEG"),
    "jpeg progressive": encoded(_smooth(), "JPEG", progressive=True),
    "tiff": encoded(_smooth(), "TIFF"),
    "tiff deflate": encoded(_smooth(), "TIFF", compression="tiff_adobe_deflate"),
    "tiff lzw": encoded(_smooth(), "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize("name", FILES)
def test_truncated_files_are_refused(tmp_path: Path, name: str) -> None:
    whole, path = FILES[name], tmp_path / "x"
    for length in lengths(len(whole), count(200)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="expected"):
            Image.open(path)
    path.write_bytes(whole)
    assert Image.open(path).shape == (H, W)


@pytest.mark.parametrize("name", FILES)
def test_files_with_a_flipped_bit_never_crash(tmp_path: Path, name: str) -> None:
    whole, path = FILES[name], tmp_path / "x"
    refused = 0
    for data in flips(whole, count(100), head=64):
        path.write_bytes(data)
        try:
            image = Image.open(path, max_pixels=10**6)
        except InputError:
            refused += 1
            continue
        assert image.values.shape == (image.size, image.out_features)
        assert image.size <= 10**6
        assert 0 <= image.values.min() <= image.values.max() <= 1
    assert refused > 0


@pytest.mark.parametrize("name", ["png", "png16"])
def test_png_damage_is_reported_never_loaded(tmp_path: Path, name: str) -> None:
    whole, path = FILES[name], tmp_path / "x"
    rng = np.random.default_rng(2)
    end = len(whole) - 12  # IEND holds nothing
    for place in rng.integers(0, end, count(200)):
        data = bytearray(whole)
        data[place] ^= 1 << rng.integers(0, 8)
        path.write_bytes(data)
        with pytest.raises(InputError, match="expected"):
            Image.open(path)


def _bomb(width: int, height: int) -> bytes:
    """A small PNG that says, and for a moderate width unpacks to, width x height bits."""
    packer = zlib.compressobj(9)
    row = b"\0" + bytes(min(width, 20_000) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _jpeg_that_lies() -> bytes:
    """A JPEG of a few pixels whose frame header says 65,500 x 65,500."""
    whole = FILES["jpeg"]
    sizes = whole.index(b"\xff\xc0") + 5
    return whole[:sizes] + struct.pack(">HH", 65_500, 65_500) + whole[sizes + 4 :]


def _tiff_that_lies() -> bytes:
    """A TIFF of a few pixels whose directory says that it is 10^9 pixels wide."""
    whole = FILES["tiff"]
    width = whole.index(struct.pack("<HHI", 256, 4, 1) + struct.pack("<I", W))
    return whole[: width + 8] + struct.pack("<I", 10**9) + whole[width + 12 :]


def _tiff_with_a_tile_that_lies() -> bytes:
    """A tiled TIFF of a few pixels whose only tile says that it is 2^27 pixels long."""
    height = 2**27
    tags = {256: W, 257: H, 258: 8, 259: 8, 262: 1, 277: 1, 322: 16, 323: height, 324: 8, 325: 4}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 12) + bytes(4) + struct.pack("<H", len(tags)) + entries + bytes(4)


BOMBS: dict[str, bytes] = {
    "20,000 x 20,000 bits": _bomb(20_000, 20_000),
    "10,000 x 10,000 bits": _bomb(10_000, 10_000),
    "the longest row": _bomb(2**31 - 1, 1),
    "one pixel too many": _bomb(MAX_PIXELS + 1, 1),
    "jpeg header": _jpeg_that_lies(),
    "tiff directory": _tiff_that_lies(),
    "tiff tile": _tiff_with_a_tile_that_lies(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_their_pixels_exist(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=f"at most {MAX_PIXELS} pixels"):
        Image.open(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024  # KiB


def test_the_pixel_limit_can_be_lowered_and_raised(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(FILES["png"])
    assert Image.open(path, max_pixels=H * W).shape == (H, W)
    for limit in (H * W - 1, H * W // 2 - 1, 1):
        with pytest.raises(InputError, match=f"at most {limit} pixels"):
            Image.open(path, max_pixels=limit)
    for limit in (0, -1, 1.5, None, True):
        with pytest.raises(InputError, match="max_pixels"):
            Image.open(path, max_pixels=limit)  # type: ignore[arg-type]


def test_pillows_own_settings_come_back_and_do_not_weaken_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 7)
    monkeypatch.setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path.write_bytes(FILES["png"])
    assert Image.open(path).shape == (H, W)
    path.write_bytes(FILES["jpeg"][:-40])
    with pytest.raises(InputError, match="truncated"):
        Image.open(path)
    assert PIL.Image.MAX_IMAGE_PIXELS == 7
    assert PIL.ImageFile.LOAD_TRUNCATED_IMAGES is True


NOT_PICTURES: dict[str, bytes] = {
    "empty": b"",
    "text": b"P3 is not read here\n" * 9,
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
    "gif": encoded(PIL.Image.new("L", (4, 4)), "GIF"),
    "bmp": encoded(PIL.Image.new("L", (4, 4)), "BMP"),
    "ppm": b"P5 2 2 255\n" + bytes(4),
    "fits": b"SIMPLE  =                    T" + bytes(2850),
    "zip": b"PK\x03\x04" + bytes(30),
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "png of no pixels": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 5, 8, 0, 0, 0, 0)),
    "png signature alone": b"\x89PNG\r\n\x1a\n",
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("name", NOT_PICTURES)
def test_what_is_no_picture_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "holiday photo é'\".png"
    path.write_bytes(NOT_PICTURES[name])
    with pytest.raises(InputError, match="expected") as caught:
        Image.open(path)
    assert "\n" not in str(caught.value)
    assert repr(os.fspath(path)) in str(caught.value)


def test_missing_folders_pipes_and_odd_names_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    names = [
        tmp_path / "missing.png",
        tmp_path,
        pipe,
        "",
        "a\0b.png",
        tmp_path / ("x" * 300),
        tmp_path / "loop.png",
    ]
    for name in names:
        with pytest.raises(InputError, match="expected a"):
            Image.open(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(FILES["png"])
    path.chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        Image.open(path)


def test_a_read_that_the_system_denies_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(FILES["png"])

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match="Permission denied"):
        Image.open(path)


def test_what_libtiff_prints_becomes_part_of_the_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = bytearray(FILES["tiff deflate"])
    offset = whole.index(b"x\x9c")  # where the compressed pixels begin
    whole[offset + 2 : offset + 40] = bytes(38)
    path = tmp_path / "x.tif"
    path.write_bytes(whole)
    with pytest.raises(InputError, match="ZIPDecode"):
        Image.open(path)
    assert capfd.readouterr().err == ""


def test_a_directory_that_pillow_and_libtiff_read_differently_is_refused(tmp_path: Path) -> None:
    whole = encoded(_smooth(), "TIFF", compression="tiff_adobe_deflate", dpi=(72, 72))
    entry = struct.pack("<HHI", 282, 5, 1)  # the resolution, which decoding does not need, at an offset
    place = whole.index(entry) + len(entry)
    path = tmp_path / "x.tif"
    path.write_bytes(whole[:place] + struct.pack("<I", 10**8) + whole[place + 4 :])
    with pytest.raises(InputError, match=r"Corrupt|Truncated"):
        Image.open(path)


def test_messages_of_a_block_that_succeeds_are_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with native_messages() as lines:
        os.write(2, b"from a library\n")
    assert lines == []
    assert capfd.readouterr().err == "from a library\n"

    def fail() -> None:
        os.write(2, b"one\ntwo\n")
        raise KeyError

    with pytest.raises(KeyError), native_messages() as lines:
        fail()
    assert lines == ["one", "two"]
    assert capfd.readouterr().err == ""


def test_reading_warns_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(FILES["tiff"][:-3])  # the last directory entry is cut: Pillow warns
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="expected"):
            signals.open(path)
