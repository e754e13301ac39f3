"""Grids of bits as files of arrays, read back with their libraries; folders that appear whole."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from fastsnf.errors import InputError, RunError
from fastsnf.signals import write_grid as module
from fastsnf.signals.atomic import atomic_folder
from fastsnf.signals.bits import BitGrid
from fastsnf.signals.grid import Grid
from fastsnf.signals.write_grid import GRIDS, write_grid
from tests.signals.surfaces import noise

SHAPE = (13, 70, 9)
BOUNDS = ((-1, 1), (0, 2), (-0.5, 0.5))


def names(folder: Path) -> list[str]:
    """Return what lies in a folder."""
    return [file.name for file in folder.iterdir()]


def written(path: Path, occupied=None):
    occupied = noise(*SHAPE) if occupied is None else occupied
    write_grid(BitGrid.from_bool(occupied), Grid(occupied.shape, BOUNDS), path)
    return occupied


def test_bits_are_numpys(tmp_path):
    occupied = written(tmp_path / "o.npz")
    with np.load(tmp_path / "o.npz") as arrays:
        bits = np.unpackbits(arrays["bits"], bitorder="little")
        assert np.array_equal(arrays["shape"], SHAPE)
        assert np.array_equal(arrays["bounds"], BOUNDS)
    assert np.array_equal(bits[: occupied.size].reshape(SHAPE), occupied)
    assert not bits[occupied.size :].any()


def test_bools_are_an_array(tmp_path):
    occupied = written(tmp_path / "o.npy")
    array = np.load(tmp_path / "o.npy", allow_pickle=False)
    assert array.dtype == bool
    assert np.array_equal(array, occupied)


@pytest.mark.parametrize(("chunk", "shard"), [(64, 256), (4, 16)])
def test_zarr_has_checksums(tmp_path, monkeypatch, chunk, shard):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(module, "SHARD", shard)
    path = tmp_path / "o.zarr"
    written(path, noise(*SHAPE, share=0.1))
    occupied = written(path)  # in the place of the one before
    array = zarr.open_array(path, mode="r")
    assert array.dtype == bool
    assert np.array_equal(array[:], occupied)
    assert array.attrs["bounds"] == [list(map(float, ends)) for ends in BOUNDS]
    assert names(tmp_path) == ["o.zarr"]
    pieces = [file for file in path.rglob("*") if file.is_file() and file.name != "zarr.json"]
    largest = max(pieces, key=lambda file: file.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    with pytest.raises(Exception):  # noqa: B017  # which one depends on zarr's version
        zarr.open_array(path, mode="r")[:]


def test_a_folder_that_is_no_zarr_is_left_alone(tmp_path):
    pytest.importorskip("zarr", reason="zarr is not installed")
    (tmp_path / "o.zarr").mkdir()
    (tmp_path / "o.zarr" / "thesis.tex").touch()
    with pytest.raises(InputError, match="choose another name"):
        written(tmp_path / "o.zarr")
    assert names(tmp_path / "o.zarr") == ["thesis.tex"]


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"ending in \.npz, \.npy, \.zarr"):
        written(tmp_path / "o.mat")
    for suffix in GRIDS:
        with pytest.raises(InputError, match="absent"):
            written(tmp_path / "absent" / f"o{suffix}")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(InputError, match=r"fastsnf\[arrays\]"):
        written(tmp_path / "o.zarr")
    assert not names(tmp_path)


@pytest.mark.parametrize("suffix", GRIDS)
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, suffix):
    if suffix == ".zarr":
        pytest.importorskip("zarr", reason="zarr is not installed")

    def full(descriptor):
        raise OSError(28, os.strerror(28))

    path = tmp_path / f"o{suffix}"
    written(path, np.ones((3, 4, 5), dtype=bool))
    before = {file: file.read_bytes() for file in [path, *path.rglob("*")] if file.is_file()}
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        written(path)
    assert {file: file.read_bytes() for file in before} == before
    assert names(tmp_path) == [path.name]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    place = tmp_path / "folder"
    with atomic_folder(place) as folder:
        (folder / "a").write_text("first")
        assert not place.exists()
    with pytest.raises(KeyError), atomic_folder(place) as folder:  # noqa: PT012
        (folder / "a").write_text("second")
        raise KeyError
    assert (place / "a").read_text() == "first"
    with atomic_folder(place) as folder:
        (folder / "b").write_text("third")
    assert names(place) == ["b"]
    assert names(tmp_path) == ["folder"]
