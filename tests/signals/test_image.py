"""The image as a signal: batches, metadata, and what it writes."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from fastsnf.errors import InputError, RunError
from fastsnf.signals import Grid, Image, Signal, from_metadata, signal
from tests.signals.files import noise


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cached", [True, False])
def test_batches_are_rows_of_the_whole(monkeypatch: pytest.MonkeyPatch, cached: bool, weighted: bool) -> None:
    if not cached:
        monkeypatch.setattr(signal, "CACHED_POINTS", 0)
    image = Image.from_array(noise((6, 9, 4 if weighted else 3)))
    coords = Grid((6, 9)).points()
    for index in (torch.tensor([53, 0, 7, 7]), slice(3, 20, 4), slice(None), torch.arange(0)):
        x, y, w = image.batch(index)
        assert torch.equal(x, coords[index])
        assert torch.equal(y, image.values[index])
        assert (w is None) == (not weighted)
        if w is not None and image.weights is not None:
            assert torch.equal(w, image.weights[index])
        assert x.dtype == y.dtype == torch.float32
    assert ("coords" in vars(image)) == cached
    assert torch.equal(image.coords, coords)
    assert (image.size, image.in_features, image.out_features) == (54, 2, 3)


def test_coordinates_are_row_then_column() -> None:
    image = Image.from_array(noise((3, 2)))
    assert image.coords.tolist() == [[-1, -1], [-1, 1], [0, -1], [0, 1], [1, -1], [1, 1]]


def test_rendering_grids_have_the_same_corners() -> None:
    image = Image.from_array(noise((3, 2)))
    coords = image.grid((50, 40))
    assert coords.shape == (2000, 2)
    assert coords[0].tolist() == [-1, -1]
    assert coords[-1].tolist() == [1, 1]
    for shape in ((5,), (2, 2, 2), (0, 2)):
        with pytest.raises(InputError, match="expected a shape"):
            image.grid(shape)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_metadata_restore_what_rendering_needs(tmp_path: Path, dtype: str) -> None:
    image = Image.from_array(noise((6, 5, 3), dtype), mode="gray")
    restored = from_metadata(json.loads(json.dumps(image.metadata())))
    assert isinstance(restored, Image)
    assert restored.metadata() == image.metadata()
    assert torch.equal(restored.coords, image.coords)
    image.write(image.values, image.shape, tmp_path / "a.png")
    restored.write(image.values, image.shape, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(InputError, match="open the file"):
        restored.batch(slice(None))


@pytest.mark.parametrize("key", ["kind", "shape", "out_features", "bits", "source", "first_of_many"])
@pytest.mark.parametrize("value", [None, b"x", -1, 7, 1e9, [], [0, 2], [True, True], {"a": 1}, [2, 2, 2]])
def test_damaged_metadata_are_refused(key: str, value: object) -> None:
    metadata = Image.from_array(noise((6, 5))).metadata()
    with pytest.raises(InputError, match="expected"):
        from_metadata({**metadata, key: value})
    del metadata[key]
    with pytest.raises(InputError, match="expected"):
        from_metadata(metadata)


@pytest.mark.parametrize(
    ("values", "weights", "message"),
    [
        (torch.zeros(5, 1), None, "values of shape"),
        (torch.zeros(6, 3), None, "values of shape"),
        (torch.zeros(6, 1), torch.ones(5), "weights of shape"),
        (torch.zeros(6, 1), torch.zeros(6), "above 0"),
        (torch.zeros(6, 1), -torch.ones(6), "0 or more"),
        (torch.zeros(6, 1), torch.full((6,), torch.nan), "finite"),
    ],
)
def test_signals_check_their_tensors(
    values: torch.Tensor, weights: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Image((2, 3), 1, values, weights)


def test_images_have_two_axes_and_one_or_three_channels() -> None:
    for shape, channels in (((2, 3, 4), 1), ((2,), 1), ((2, 3), 2), ((2, 3), 4)):
        with pytest.raises(InputError, match="an image of shape"):
            Image(shape, channels)


def test_a_signal_cannot_be_made_without_a_kind() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Signal((2,), 1)  # type: ignore[abstract]


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff"])
@pytest.mark.parametrize(
    ("dtype", "channels", "bits"), [("uint8", 1, 8), ("uint8", 3, 8), ("uint16", 1, 16), ("float32", 1, 16)]
)
def test_what_is_written_opens_again(
    tmp_path: Path, suffix: str, dtype: str, channels: int, bits: int
) -> None:
    image = Image.from_array(noise((6, 5, channels), dtype))
    path = tmp_path / f"the reconstruction é{suffix}"
    image.write(image.values, image.shape, path)
    again = Image.open(path)
    assert again.bits == bits
    assert again.shape == image.shape
    assert (again.values - image.values).abs().max() <= 0.5 / (2**bits - 1) + 1e-7
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_colour_of_16_bits_is_written_in_8(tmp_path: Path) -> None:
    image = Image.from_array(noise((6, 5, 3), "uint16"))
    image.write(image.values, image.shape, tmp_path / "x.png")
    again = Image.open(tmp_path / "x.png")
    assert again.bits == 8
    assert (again.values - image.values).abs().max() <= 0.5 / 255 + 1e-7


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_jpeg_is_close(tmp_path: Path, dtype: str) -> None:
    ramp = np.linspace(0, np.iinfo(dtype).max, 64 * 64).reshape(64, 64).astype(dtype)
    image = Image.from_array(ramp)
    image.write(image.values, image.shape, tmp_path / "x.jpg")
    assert (Image.open(tmp_path / "x.jpg").values - image.values).abs().max() < 0.02


def test_values_are_clipped_rounded_and_nan_is_black() -> None:
    image = Image.from_array(noise((2, 3)))
    values = torch.tensor([-1.0, 2.0, torch.nan, 0.4999 / 255, 0.5001 / 255, torch.inf])[:, None]
    assert image.to_array(values).tolist() == [[0, 255, 0], [0, 1, 255]]


def test_another_resolution_can_be_written(tmp_path: Path) -> None:
    image = Image.from_array(noise((2, 3, 3)))
    values = torch.rand(20, 3, requires_grad=True)
    image.write(values, (4, 5), tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").shape == (4, 5)
    for wrong in (torch.rand(20, 1), torch.rand(19, 3), torch.rand(4, 5, 3)):
        with pytest.raises(InputError, match="rendered values of shape"):
            image.write(wrong, (4, 5), tmp_path / "x.png")


@pytest.mark.parametrize("name", ["x.bmp", "x", "x.wav", "missing/x.png", "folder.png", "x" * 300 + ".png"])
def test_places_that_cannot_be_written_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.png").mkdir()
    image = Image.from_array(noise((2, 3)))
    with pytest.raises(InputError, match="expected a"):
        image.write(image.values, image.shape, tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.png"]


def test_a_picture_too_wide_for_jpeg_is_refused(tmp_path: Path) -> None:
    image = Image((1, 70_000), 1)
    with pytest.raises((InputError, RunError), match="expected"):
        image.write(torch.zeros(70_000, 1), image.shape, tmp_path / "x.jpg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EIO, errno.ENOSPC])
def test_a_failing_disk_is_told_from_a_wrong_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    image = Image.from_array(noise((2, 3)))

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    expected = InputError if code in (errno.EROFS, errno.EACCES) else RunError
    with pytest.raises(expected, match=os.strerror(code)):
        image.write(image.values, image.shape, tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.from_array(noise((64, 64)))
    path = tmp_path / "x.png"
    path.write_bytes(b"what was here before")
    # The temporary file leads to a device on which every write fails for want of space.
    (tmp_path / f".x.png.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(RunError, match="No space left"):
        image.write(image.values, image.shape, path)
    assert path.read_bytes() == b"what was here before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.png"]


def test_without_pillow_the_error_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = Image.from_array(noise((2, 3)))
    PIL.Image.fromarray(noise((2, 3))).save(tmp_path / "x.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(InputError, match="pip install 'pillow"):
        Image.open(tmp_path / "x.png")
    with pytest.raises(InputError, match="pip install 'pillow"):
        image.write(image.values, image.shape, tmp_path / "y.png")
