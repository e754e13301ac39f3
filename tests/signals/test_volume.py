from __future__ import annotations

import json
import math
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf import signals
from fastsnf.errors import InputError, RunError
from fastsnf.signals import Volume, volume, volume_rendering
from tests.signals.arrays import files
from tests.signals.arrays.files import FILES, FOLDERS, numbers

SHAPE = (6, 4, 5)
ALL = {**FILES, **FOLDERS}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every volume as one that is too large to be held."""
    monkeypatch.setattr(volume, "HELD_VALUES", 1)


def test_the_range_becomes_0_to_1_and_comes_back() -> None:
    array = numbers("float64") * 1000
    found = Volume.from_array(array)
    assert (found.kind, found.shape, found.in_features, found.out_features) == ("volume", SHAPE, 3, 1)
    expected = (array - array.min()) / (array.max() - array.min())
    np.testing.assert_array_equal(found.values.reshape(SHAPE), expected.astype(np.float32))
    assert (found.values.min(), found.values.max()) == (0, 1)
    back = found.to_units(found.values.double()).reshape(SHAPE)
    np.testing.assert_allclose(back, array, rtol=1e-5, atol=1e-3)
    assert found.to_units(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([array.min(), array.max()])
    assert found.weights is None
    assert found.defaults.alpha == 2.5


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", ">i4", "int64", "uint64", "float16", "<f8"])
def test_every_type_of_numbers(dtype: str) -> None:
    array = numbers(dtype)
    found = Volume.from_array(array)
    assert found.dtype == str(array.dtype.newbyteorder("="))
    back = found.to_units(found.values.double()).reshape(SHAPE)
    np.testing.assert_allclose(back, array.astype(float), rtol=1e-5, atol=1e-5)


def test_vectors_share_one_range() -> None:
    array = numbers(shape=(*SHAPE, 3))
    found = Volume.from_array(torch.from_numpy(array))
    assert (found.shape, found.out_features) == (SHAPE, 3)
    assert (found.extent.low, found.extent.high) == (array.min(), array.max())
    np.testing.assert_allclose(found.to_units(found.values).reshape(array.shape), array, atol=1e-5)


def test_points_with_nan_have_weight_0() -> None:
    array = numbers(shape=(*SHAPE, 2))
    array[1, 2, 3, 0] = np.nan
    array[0, 0, 0, 1] = 1e30  # of a point that counts; the range is that of those
    array[1, 2, 3, 1] = 1e35
    found = Volume.from_array(array)
    assert found.extent.high == pytest.approx(1e30)
    assert found.weights is not None
    weights = found.weights.reshape(SHAPE)
    assert weights[1, 2, 3] == 0
    assert weights.sum() == 119
    assert found.values.isfinite().all()
    found.check()


def test_a_constant_volume_is_0_everywhere() -> None:
    found = Volume.from_array(np.full(SHAPE, 7.5))
    assert not found.values.any()
    assert (found.to_units(found.values) == 7.5).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), "WAV"),
        (np.zeros((4, 5)), "Image.from_array"),
        (np.zeros((2, 2, 2, 2, 2)), "choose the part"),
        (np.zeros((0, 4, 5)), "at least one point"),
        (np.zeros(SHAPE, complex), "real numbers"),
        (np.array([[["a"]]]), "real numbers"),
        (np.full(SHAPE, np.nan), "NaN everywhere"),
        (np.where(np.arange(120).reshape(SHAPE) == 7, np.inf, 0), "finite numbers"),
        (np.where(np.arange(120).reshape(SHAPE) == 7, 1e39, 0), "finite numbers"),
        (np.zeros((3, 20, 20, 20)), "say channels=20"),
        (np.zeros((20, 20, 20, 17)), "say channels=17"),
        (np.zeros((3, 20, 20, 4)), "say channels=4"),
    ],
)
def test_arrays_that_are_no_volumes_are_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Volume.from_array(array)


def test_channels_settle_what_is_ambiguous() -> None:
    assert Volume.from_array(numbers(shape=(3, 20, 20, 4)), channels=4).out_features == 4
    assert Volume.from_array(numbers(shape=(4, 5, 6, 17)), channels=17).out_features == 17
    assert Volume.from_array(numbers(), channels=1).out_features == 1
    assert Volume.from_array(numbers(shape=(*SHAPE, 1))).out_features == 1
    assert Volume.from_array(numbers(shape=(2, 3, 4, 5))).out_features == 5  # all axes are short
    for shape, channels in (((*SHAPE, 3), 2), (SHAPE, 5)):
        with pytest.raises(InputError, match="channels"):
            Volume.from_array(numbers(shape=shape), channels=channels)
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="channels"):
            Volume.from_array(numbers(), channels=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ALL)
def test_files_of_every_format_open_as_volumes(tmp_path: Path, name: str) -> None:
    suffix = {"zip": ".mat.zip", "zarr zip": ".zarr.zip"}.get(name, f".{name.split()[0]}")
    path = tmp_path / f"a{suffix.replace('matlab', 'mat').replace('hdf5', 'h5')}"
    ALL[name](path, numbers())
    found = signals.open(path)
    assert isinstance(found, Volume)
    assert torch.equal(found.values, Volume.from_array(numbers()).values)
    assert found.spacing == ((1, 2, 0.5) if name.startswith("nrrd") else None)
    assert found.source not in ("array", "")


def test_a_key_chooses_the_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=numbers(seed=1), two=numbers(seed=2))
    with pytest.raises(InputError, match="give key="):
        signals.open(tmp_path / "a.npz")
    found = signals.open(tmp_path / "a.npz", key="two")
    assert torch.equal(found.values, Volume.from_array(numbers(seed=2)).values)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("dtype", ["uint8", ">i2", "float32"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_volume_gives_the_values_that_a_held_one_has(
    monkeypatch: pytest.MonkeyPatch, dtype: str, order: Any
) -> None:
    array = np.asarray(numbers(dtype, (*SHAPE, 2)), order=order)
    streamed = Volume.from_array(array)
    monkeypatch.setattr(volume, "HELD_VALUES", 1 << 24)
    held = Volume.from_array(array)
    assert (streamed.held, held.held) == (False, True)
    index = torch.randperm(120)[:50]
    for part in (index, slice(0, 120), slice(7, 90, 3), slice(100, 400)):
        assert torch.equal(streamed.targets(part), held.targets(part))
        for found, expected in zip(streamed.batch(part), held.batch(part), strict=True):
            assert found is expected is None or torch.equal(found, expected)
    assert streamed.digest() == held.digest()
    assert streamed.metadata() == held.metadata()
    streamed.check()
    with pytest.raises(InputError, match="ask `targets`"):
        _ = streamed.values


@pytest.mark.usefixtures("large")
def test_holes_of_a_large_volume_are_finite_and_have_weight_0() -> None:
    array = numbers()
    array[2, 1] = np.nan
    found = Volume.from_array(array)
    assert not found.held
    assert found.targets(slice(0, 120)).isfinite().all()
    assert found.weights is not None
    assert (found.weights == 0).sum() == 5


def test_a_digest_tells_volumes_apart() -> None:
    array = numbers()
    changed = array.copy()
    changed[3, 2, 1] = 0
    digests = {
        Volume.from_array(given).digest() for given in (array, changed, array * 2, array.reshape(4, 6, 5))
    }
    assert len(digests) == 4


def test_a_large_file_is_never_in_memory_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npy"
    header = {"descr": "|u1", "fortran_order": False, "shape": (512, 512, 256)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.seek(2**26 - 2, os.SEEK_CUR)
        file.write(b"\1\2")
    monkeypatch.setattr("fastsnf.signals.scaled._SLAB_BYTES", 1 << 22)
    tracemalloc.start()
    found = Volume.open(path)
    assert found.targets(torch.tensor([0, 2**26 - 2, 2**26 - 1])).flatten().tolist() == [0, 0.5, 1]
    found.digest()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.held, found.size) == (False, 2**26)
    assert peak < 1 << 26


def test_metadata_restore_the_volume_without_its_values() -> None:
    for given in (
        Volume.from_array(numbers(shape=(*SHAPE, 3)), spacing=(1, 2.5, 0.25)),
        Volume.from_array(numbers("uint8")),
    ):
        described = signals.from_metadata(json.loads(json.dumps(given.metadata())))
        assert isinstance(described, Volume)
        assert described.metadata() == given.metadata()
        assert not described.held
        assert torch.equal(described.to_units(given.values), given.to_units(given.values))
        for ask in ("values", "targets", "check", "digest"):
            with pytest.raises(InputError, match="described by a checkpoint"):
                getattr(described, ask)(*([slice(0, 1)] if ask == "targets" else []))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [6, 4]},
        {"shape": [6, 4, 0]},
        {"shape": None},
        {"out_features": 0},
        {"out_features": True},
        {"range": [1.0]},
        {"range": [2.0, 1.0]},
        {"range": [0.0, math.inf]},
        {"range": [math.nan, 1.0]},
        {"range": "01"},
        {"range": [True, False]},
        {"spacing": [1.0, 2.0]},
        {"spacing": [1.0, 2.0, 0.0]},
        {"spacing": [1.0, 2.0, "3"]},
        {"spacing": 3},
        {"dtype": 3},
        {"source": None},
    ],
)
def test_metadata_that_lie_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        signals.from_metadata({**Volume.from_array(numbers()).metadata(), **change})


def test_places_on_the_grid_are_the_users_coordinates() -> None:
    found = Volume.from_array(numbers())
    places = torch.tensor([[0, 0, 0], [5, 3, 4], [2, 1, 3], [2.5, 1.5, 2]])
    x = found.to_coordinates(places)
    assert x[0].tolist() == [-1, -1, -1]
    assert x[1].tolist() == [1, 1, 1]
    assert x[3].tolist() == [0, 0, 0]
    assert torch.equal(x[2], found.coords.reshape(*SHAPE, 3)[2, 1, 3])
    assert len(found.unit) == 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".npz", ".npy", ".zarr", ".nrrd"])
@pytest.mark.parametrize("is_large", [False, True])
def test_what_is_written_opens_again_in_the_same_units(
    tmp_path: Path, channels: int, suffix: str, is_large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix in (".zarr", ".nrrd"):
        pytest.importorskip({".zarr": "zarr", ".nrrd": "nrrd"}[suffix])
    if is_large:
        monkeypatch.setattr("fastsnf.signals.write_volume.BLOCK_BYTES", 1)
    array = numbers(shape=(*SHAPE, channels)) * 50 + 7
    found = Volume.from_array(array, spacing=(1, 2, 0.5))
    values = found.values
    if is_large:
        monkeypatch.setattr(volume, "HELD_VALUES", 1)
    rendering = found.rendering(SHAPE)
    assert isinstance(rendering, volume_rendering.VolumeRendering) is is_large
    rendering.add(0, values[:50])
    rendering.add(50, values[50:])
    monkeypatch.setattr(volume, "HELD_VALUES", 1 << 24)
    path = tmp_path / f"a{suffix}"
    for _ in range(2):  # also in the place of another
        rendering.write(path)
    again = Volume.open(path)
    assert (again.shape, again.out_features, again.dtype) == (SHAPE, channels, "float32")
    np.testing.assert_allclose(again.to_units(again.values).reshape(array.shape), array, rtol=1e-4, atol=1e-4)
    assert again.spacing == ((1, 2, 0.5) if suffix != ".npy" else None)
    if suffix == ".nrrd":
        library = pytest.importorskip("nrrd")
        read, header = library.read(str(path))
        there = read if channels == 1 else np.moveaxis(read, 0, -1)
        np.testing.assert_allclose(there.reshape(array.shape), array, rtol=1e-4, atol=1e-4)
        assert list(header["spacings"])[-3:] == [1, 2, 0.5]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_finer_rendering_has_a_finer_spacing() -> None:
    found = Volume.from_array(numbers(), spacing=(1, 2, 0.5))
    assert found.spacing_of((11, 7, 9)) == (0.5, 1, 0.25)
    assert found.spacing_of((1, 4, 5)) == (5, 2, 0.5)
    assert Volume.from_array(numbers()).spacing_of((3, 3, 3)) is None


def test_only_formats_of_volumes_are_written(tmp_path: Path) -> None:
    found = Volume.from_array(numbers())
    for name in ("a.png", "a", "a.mat"):
        with pytest.raises(InputError, match=r"\.npz, \.npy, \.zarr, \.nrrd"):
            found.write(found.values, SHAPE, tmp_path / name)
    with pytest.raises(InputError, match="rendered values"):
        found.write(found.values[:7], SHAPE, tmp_path / "a.npz")
    with pytest.raises(InputError, match="can be written"):
        found.write(found.values, SHAPE, tmp_path / "none" / "a.npz")
    pytest.importorskip("zarr")
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "photo.png").write_bytes(b"mine")
    with pytest.raises(InputError, match="choose another name"):
        found.write(found.values, SHAPE, tmp_path / "a.zarr")
    assert (tmp_path / "a.zarr" / "photo.png").read_bytes() == b"mine"


@pytest.mark.usefixtures("large")
def test_a_large_rendering_takes_chunks_in_order_or_again_and_all_of_them(
    tmp_path: Path,
) -> None:
    found = Volume.from_array(numbers())
    rendering = found.rendering((4, 4, 4))
    rendering.add(0, torch.zeros(40, 1))
    with pytest.raises(InputError, match="in order"):
        rendering.add(41, torch.zeros(1, 1))
    with pytest.raises(InputError, match="add the others"):
        rendering.write(tmp_path / "a.npz")
    rendering.add(20, torch.ones(44, 1))
    rendering.write(tmp_path / "a.npy")
    written = np.load(tmp_path / "a.npy").reshape(-1)
    np.testing.assert_allclose(written, [found.extent.low] * 20 + [found.extent.high] * 44, rtol=1e-6)
    assert rendering.bytes <= 3 * 4 * 64


@pytest.mark.usefixtures("large")
def test_a_full_disk_is_the_disks_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    rendering = Volume.from_array(numbers()).rendering(SHAPE)

    def on_full_disk() -> Any:
        return Path("/dev/full").open("r+b", buffering=0)

    monkeypatch.setattr(volume_rendering.tempfile, "TemporaryFile", on_full_disk)
    with pytest.raises(RunError, match="set TMPDIR"):
        rendering.add(0, torch.zeros(120, 1))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_field_fits_a_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool) -> None:
    if streamed:
        monkeypatch.setattr(volume, "HELD_VALUES", 1)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in (12, 10, 8)), indexing="ij")
    array = (300 * np.sin(3 * x) * y + 100 * z).astype(np.float32)
    array[0, 0] = np.nan
    found = Volume.from_array(array)
    field = fastsnf.SNF(in_features=3, out_features=1, hidden_features=32, hidden_layers=1, first_omega=5.0)
    result = fastsnf.fit(field, found, steps=150, lr=3e-3, run=tmp_path / "run")
    assert result.psnr > 25
    again = np.load(tmp_path / "run" / "reconstruction.npz")["values"]
    seen = np.isfinite(array)
    mse = np.mean((again - array)[seen] ** 2) / found.extent.width**2
    assert -10 * np.log10(mse) == pytest.approx(result.psnr, abs=0.05)
    loaded = fastsnf.load(tmp_path / "run")
    at = loaded.at(torch.tensor([[3.0, 4.0, 5.0]]))
    assert float(at) == pytest.approx(float(again[3, 4, 5]), rel=1e-3, abs=0.5)


def test_occupancy_grids_are_told_from_volumes(tmp_path: Path) -> None:
    files.npy(tmp_path / "a.npy", numbers("bool"))
    assert signals.open(tmp_path / "a.npy", cache=tmp_path / "cache").kind == "occupancy"
    assert signals.open(tmp_path / "a.npy", "volume").kind == "volume"
