"""Occupancy grids in files of arrays: formats, bits that are built once, options that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fastsnf import signals
from fastsnf.errors import InputError, RunError
from fastsnf.signals import Occupancy
from tests.signals.surfaces import blob


def test_files_of_arrays_are_opened_through_bits_that_are_built_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it's a grid é.npy"
    np.save(path, blob().astype(np.uint8) * 255)
    seen: list[tuple[int, int]] = []
    first = Occupancy.open(path, crop="tight", progress=lambda *at: seen.append(at))
    assert first.bits is not None
    assert first.bits.path is not None
    assert first.bits.path.parent == cache
    assert seen[-1] == (first.size, first.size)
    assert first.digest() == Occupancy.from_grid(blob(), crop="tight").digest()

    def never(*_: object) -> None:
        raise AssertionError("looked at again")

    monkeypatch.setattr("fastsnf.signals.solid.Survey.of", never)
    again = signals.open(path, kind="occupancy", crop="tight")
    assert again.digest() == first.digest()
    assert again.metadata() == first.metadata()
    with pytest.raises(AssertionError, match="looked at again"):
        Occupancy.open(path)
    np.save(path, blob(seed=1))
    with pytest.raises(AssertionError, match="looked at again"):
        Occupancy.open(path, crop="tight")


def _npz(path: Path, array: np.ndarray) -> None:
    np.savez_compressed(path, other=np.zeros(3), grid=array)


def _mat(path: Path, array: np.ndarray) -> None:
    pytest.importorskip("scipy.io").savemat(path, {"hypercube": array})


def _hdf5(path: Path, array: np.ndarray) -> None:
    with pytest.importorskip("h5py").File(path, "w") as file:
        file.create_dataset("grid", data=array, chunks=(4, 4, 4), compression="gzip")


def _nrrd(path: Path, array: np.ndarray) -> None:
    pytest.importorskip("nrrd").write(str(path), array)


def _zarr(path: Path, array: np.ndarray) -> None:
    pytest.importorskip("zarr").save_array(str(path), array)


FORMATS: dict[str, Callable[[Path, np.ndarray], None]] = {
    ".npz": _npz,
    ".mat": _mat,
    ".h5": _hdf5,
    ".nrrd": _nrrd,
    ".zarr": _zarr,
}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.usefixtures("cache")
def test_every_format_of_arrays_is_an_occupancy_grid(tmp_path: Path, suffix: str) -> None:
    array = blob().astype(np.uint8)
    path = tmp_path / f"grid{suffix}"
    FORMATS[suffix](path, array)
    signal = signals.open(path)
    assert isinstance(signal, Occupancy)
    np.testing.assert_array_equal(signal.values.numpy().reshape(signal.shape), array)
    assert signal.source


@pytest.mark.usefixtures("cache")
def test_options_that_do_not_fit_a_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, blob())
    with pytest.raises(InputError, match="resolution only for a mesh"):
        Occupancy.open(path, resolution=64)
    (tmp_path / "x.obj").write_text("v 0 0 0\n")
    for options in ({"key": "a"}, {"threshold": 0.5}, {"crop": "tight"}):
        with pytest.raises(InputError, match="only for a grid"):
            Occupancy.open(tmp_path / "x.obj", **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="order of the axes"):
        Occupancy.open(path, axes="zyx")


def test_a_full_disk_is_a_run_error_and_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.npy"
    np.save(path, blob())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(RunError, match="No space left"):
        Occupancy.open(path)
    assert [file.suffix for file in cache.iterdir()] == [".lock"]
