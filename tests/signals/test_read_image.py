"""Every sample type against NumPy: what Pillow would lose (16-bit colour) must arrive."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from fastsnf.errors import InputError
from fastsnf.signals import Image
from fastsnf.signals.image import Image as ImageSignal
from tests.signals.files import chunk, encoded, noise, png, tiff

H, W = 11, 7


def opened(tmp_path: Path, data: bytes, name: str = "a picture é.png", **options: Any) -> ImageSignal:
    path = tmp_path / name
    path.write_bytes(data)
    return Image.open(path, **options)


def expect(image: ImageSignal, colours: np.ndarray, alpha: np.ndarray | None = None) -> None:
    """`colours` and `alpha` in the sample type of the file, [H, W, C] and [H, W]."""
    top = np.iinfo(colours.dtype).max if colours.dtype.kind == "u" else 1
    assert image.shape == colours.shape[:2]
    assert image.bits == 8 * colours.dtype.itemsize
    expected = colours.reshape(-1, colours.shape[2]).astype(np.float64) / top
    assert np.abs(image.values.numpy() - expected).max() < 1e-7
    if alpha is None:
        assert image.weights is None
    else:
        assert image.weights is not None
        assert np.abs(image.weights.numpy() - alpha.reshape(-1).astype(np.float64) / top).max() < 1e-7


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_of_8_and_16_bits(tmp_path: Path, dtype: str, channels: int) -> None:
    samples = noise((H, W, channels), dtype)
    image = opened(tmp_path, png(samples))
    colours = 1 if channels < 3 else 3
    expect(image, samples[..., :colours], samples[..., -1] if channels in (2, 4) else None)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_tiff_of_8_and_16_bits(
    tmp_path: Path, dtype: str, channels: int, compression: str | None, order: str
) -> None:
    pytest.importorskip("tifffile")
    samples = noise((H, W, channels), dtype)
    data = tiff(
        samples if channels > 1 else samples[..., 0],
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
        compression=compression,
        byteorder=order,
    )
    image = opened(tmp_path, data, "x.tif")
    expect(image, samples[..., :3], samples[..., 3] if channels == 4 else None)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff_where_white_is_zero(tmp_path: Path, dtype: str) -> None:
    pytest.importorskip("tifffile")
    samples = noise((H, W), dtype)
    image = opened(tmp_path, tiff(samples, photometric="miniswhite"), "x.tif")
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    expect(image, (top - samples)[..., None])


def test_tiff_of_floats_with_holes(tmp_path: Path) -> None:
    samples = noise((H, W), "float32")
    samples[2, 3] = np.nan
    image = opened(tmp_path, encoded(PIL.Image.fromarray(samples), "TIFF"), "x.tiff")
    alpha = np.isfinite(samples).astype(np.float32)
    expect(image, np.nan_to_num(samples)[..., None], alpha)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1.5, -0.2, 1e30])
def test_tiff_of_floats_beyond_the_unit_range_is_refused(tmp_path: Path, bad: float) -> None:
    samples = noise((H, W), "float32")
    samples[0, 0] = bad
    with pytest.raises(InputError, match=r"within \[0, 1\]"):
        opened(tmp_path, encoded(PIL.Image.fromarray(samples), "TIFF"), "x.tif")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_tiff_with_one_plane_a_channel_is_right_or_refused(tmp_path: Path, dtype: str) -> None:
    pytest.importorskip("tifffile")
    samples = noise((H, W, 3), dtype)
    data = tiff(np.moveaxis(samples, 2, 0), photometric="rgb", planarconfig="separate")
    if dtype == "uint8":
        expect(opened(tmp_path, data, "x.tif"), samples)
    else:
        with pytest.raises(InputError, match="interleaved"):
            opened(tmp_path, data, "x.tif")


@pytest.mark.parametrize("dtype", ["int16", "uint32"])
def test_sample_types_without_a_range_are_refused(tmp_path: Path, dtype: str) -> None:
    pytest.importorskip("tifffile")
    with pytest.raises(InputError, match="mode I"):
        opened(tmp_path, tiff(noise((H, W), dtype), photometric="minisblack"), "x.tif")


@pytest.mark.parametrize("encoder", ["PNG", "TIFF"])
def test_one_bit(tmp_path: Path, encoder: str) -> None:
    samples = noise((H, W)) > 127
    image = opened(tmp_path, encoded(PIL.Image.fromarray(samples), encoder))
    expect(image, samples[..., None].astype(np.uint8) * 255)


@pytest.mark.parametrize("encoder", ["PNG", "TIFF"])
def test_palettes_become_rgb(tmp_path: Path, encoder: str) -> None:
    palette = noise((16, 3), seed=1)
    index = noise((H, W)) % 16
    picture = PIL.Image.fromarray(index).convert("P")
    picture.putdata(index.reshape(-1).tolist())
    picture.putpalette(palette.reshape(-1).tobytes())
    expect(opened(tmp_path, encoded(picture, encoder)), palette[index])


def test_transparent_palette_entries_become_weights(tmp_path: Path) -> None:
    palette, index = noise((4, 3), seed=1), noise((H, W)) % 4
    picture = PIL.Image.new("P", (W, H))
    picture.putdata(index.reshape(-1).tolist())
    picture.putpalette(palette.reshape(-1).tobytes())
    opacity = np.array([0, 128, 255, 255], dtype=np.uint8)
    data = encoded(picture, "PNG", transparency=opacity.tobytes())
    expect(opened(tmp_path, data), palette[index], opacity[index])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_colour_that_png_declares_transparent(tmp_path: Path, dtype: str, channels: int) -> None:
    samples = noise((H, W, channels), dtype)
    samples[4, 2] = samples[1, 5]
    key = samples[1, 5]
    image = opened(tmp_path, png(samples, extra=chunk(b"tRNS", struct.pack(f">{channels}H", *key.tolist()))))
    top = np.iinfo(dtype).max
    expect(image, samples, np.where((samples == key).all(-1), 0, top).astype(dtype))


def test_jpeg_gray_rgb_and_cmyk_are_what_pillow_decodes(tmp_path: Path) -> None:
    for mode, channels in (("L", 1), ("RGB", 3), ("CMYK", 4)):
        data = encoded(PIL.Image.frombytes(mode, (W, H), noise((H, W, channels)).tobytes()), "JPEG")
        image = opened(tmp_path, data, f"{mode}.jpg")
        reference = PIL.Image.open(tmp_path / f"{mode}.jpg")
        decoded = np.asarray(reference.convert("RGB") if mode == "CMYK" else reference)
        expect(image, decoded.reshape(H, W, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    # Blocks of flat colour survive JPEG: the corners tell which way is up.
    samples = np.kron(np.array([[0, 85], [170, 255]], np.uint8), np.ones((16, 24), np.uint8))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    encoder = {".png": "PNG", ".jpg": "JPEG", ".tif": "TIFF"}[suffix]
    image = opened(tmp_path, encoded(PIL.Image.fromarray(samples), encoder, exif=exif), f"x{suffix}")
    # EXIF 2.3, tag 274: what the stored row 0 and column 0 are in the upright picture.
    upright = {
        1: samples,
        2: samples[:, ::-1],
        3: samples[::-1, ::-1],
        4: samples[::-1],
        5: samples.T,
        6: np.rot90(samples, -1),
        7: samples[::-1, ::-1].T,
        8: np.rot90(samples),
    }[orientation]
    assert image.shape == upright.shape
    assert np.abs(image.to_array().astype(int) - upright).max() <= 2


def test_orientation_turns_all_16_bits(tmp_path: Path) -> None:
    samples = noise((H, W, 3), "uint16")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    image = opened(tmp_path, png(samples, extra=chunk(b"eXIf", exif.tobytes()[6:])))
    expect(image, np.rot90(samples, -1))


@pytest.mark.parametrize("encoder", ["PNG", "TIFF"])
def test_the_first_of_several_frames_is_read_and_the_metadata_say_so(tmp_path: Path, encoder: str) -> None:
    frames = [PIL.Image.fromarray(noise((H, W), seed=seed)) for seed in range(3)]
    image = opened(tmp_path, encoded(frames[0], encoder, save_all=True, append_images=frames[1:]))
    expect(image, np.asarray(frames[0])[..., None])
    assert image.metadata()["first_of_many"] is True
    assert opened(tmp_path, encoded(frames[0], encoder)).metadata()["first_of_many"] is False


def test_content_decides_the_format_not_the_suffix(tmp_path: Path) -> None:
    samples = noise((H, W, 3))
    expect(opened(tmp_path, png(samples), "in truth a png.jpg"), samples)


def test_a_fully_opaque_alpha_channel_is_no_weight(tmp_path: Path) -> None:
    samples = noise((H, W, 4))
    samples[..., 3] = 255
    expect(opened(tmp_path, png(samples)), samples[..., :3])


def test_a_fully_transparent_picture_is_refused(tmp_path: Path) -> None:
    samples = noise((H, W, 4))
    samples[..., 3] = 0
    with pytest.raises(InputError, match="at least one pixel to fit"):
        opened(tmp_path, png(samples))
