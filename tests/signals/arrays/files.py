"""Files of every format that arrays are read from, made by the libraries that others write them with."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHAPE = (6, 4, 5)
HUGE = (10**4, 10**4, 10**4)
"""What no array of a test has."""


def numbers(dtype: str = "float32", shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    """Random numbers of a type, whole ones for integers."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2 if kind == "b" else 100, shape).astype(dtype)


def npy(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def npz(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.savez(file, a=array, text=np.array(["words"]), few=np.arange(3))


def npz_deflated(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, a=array)


def matlab(path: Path, array: np.ndarray, **options: Any) -> None:
    io = pytest.importorskip("scipy.io")
    contents = {"a": array, "text": "words", "struct": {"b": 1.0}, "few": np.arange(3.0), "c": np.array(1j)}
    with path.open("wb") as file:
        io.savemat(file, contents, **options)


def matlab_deflated(path: Path, array: np.ndarray) -> None:
    matlab(path, array, do_compression=True)


def hdf5(path: Path, array: np.ndarray) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["folder/a"] = array
        file["text"] = "words"


def hdf5_chunked(path: Path, array: np.ndarray) -> None:
    h5py = pytest.importorskip("h5py")
    chunks = tuple(min(2, size) for size in array.shape)
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=array, chunks=chunks, compression="gzip", shuffle=True)


def hdf5_latest(path: Path, array: np.ndarray) -> None:
    """Of the newest version of the format, with checksums everywhere."""
    h5py = pytest.importorskip("h5py")
    chunks = tuple(min(2, size) for size in array.shape)
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("a", data=array, chunks=chunks, compression="gzip", fletcher32=True)


def matlab_73(path: Path, array: np.ndarray) -> None:
    """As MATLAB's ``save -v7.3`` lays it out: a block of text, then HDF5 with the axes reversed."""
    h5py = pytest.importorskip("h5py")
    classes = {"f8": "double", "f4": "single", "u1": "uint8", "b1": "logical", "i2": "int16"}
    with h5py.File(path, "w", userblock_size=512) as file:
        data = file.create_dataset("a", data=array.T, chunks=(2,) * array.ndim, compression="gzip")
        data.attrs["MATLAB_class"] = np.bytes_(classes[array.dtype.str[1:]])
        text = file.create_dataset("text", data=np.zeros((5, 4, 3), np.uint16))
        text.attrs["MATLAB_class"] = np.bytes_("char")
        file.create_dataset("#refs#/b", data=np.zeros((2, 2, 2)))
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\0\2IM")


def nrrd(path: Path, array: np.ndarray, encoding: str = "raw") -> None:
    library = pytest.importorskip("nrrd")
    library.write(f"{path}.nrrd", array, {"encoding": encoding, "spacings": [1.0, 2.0, 0.5][: array.ndim]})
    Path(f"{path}.nrrd").rename(path)


def nrrd_gzip(path: Path, array: np.ndarray) -> None:
    nrrd(path, array, "gzip")


def nrrd_bzip2(path: Path, array: np.ndarray) -> None:
    nrrd(path, array, "bzip2")


def zarr(path: Path, array: np.ndarray, version: int = 3, **options: Any) -> None:
    library = pytest.importorskip("zarr")
    root = library.open_group(path, mode="w", zarr_format=version)
    options = {"chunks": tuple(min(2, size) for size in array.shape), **options}
    root.create_array("folder/a", shape=array.shape, dtype=array.dtype, **options)[:] = array
    root.create_array("few", shape=(3,), dtype="int32")[:] = 1


def zarr_2(path: Path, array: np.ndarray) -> None:
    zarr(path, array, 2)


def zarr_sharded(path: Path, array: np.ndarray) -> None:
    codecs = pytest.importorskip("zarr").codecs
    zarr(path, array, chunks=(1, 2, 5), shards=(2, 4, 5), compressors=[codecs.ZstdCodec(checksum=True)])


def zarr_zip(path: Path, array: np.ndarray) -> None:
    library = pytest.importorskip("zarr")
    store = library.storage.ZipStore(f"{path}.zip", mode="w")
    library.create_array(store, data=array, chunks=tuple(min(2, size) for size in array.shape))
    store.close()
    Path(f"{path}.zip").rename(path)


def zipped(path: Path, array: np.ndarray) -> None:
    inner = path.with_name("inner.mat")
    matlab(inner, array)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(inner, "folder/inner.mat")
        archive.writestr("README.txt", "words")
    inner.unlink()


FILES: dict[str, Callable[[Path, np.ndarray], None]] = {
    "npy": npy,
    "npz": npz,
    "npz deflated": npz_deflated,
    "matlab": matlab,
    "matlab deflated": matlab_deflated,
    "matlab 7.3": matlab_73,
    "hdf5": hdf5,
    "hdf5 chunked": hdf5_chunked,
    "hdf5 latest": hdf5_latest,
    "nrrd": nrrd,
    "nrrd gzip": nrrd_gzip,
    "nrrd bzip2": nrrd_bzip2,
    "zarr zip": zarr_zip,
    "zip": zipped,
}
"""Formats of one file: name -> what writes the array ``a`` (``folder/a``) and perhaps others of two axes."""

FOLDERS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "zarr": zarr,
    "zarr 2": zarr_2,
    "zarr sharded": zarr_sharded,
}
"""Formats of a folder."""

CHECKSUMS = frozenset(
    ("npz", "npz deflated", "matlab deflated", "nrrd gzip", "nrrd bzip2", "zip", "zarr zip", "hdf5 latest")
)
"""Formats in which a checksum covers the numbers."""


def key_of(name: str) -> str:
    """Return what the array is called in a file of `FILES` or `FOLDERS`."""
    if name in ("hdf5", *FOLDERS):
        return "folder/a"
    return "" if name in ("npy", "nrrd", "nrrd gzip", "nrrd bzip2", "zarr zip") else "a"


def chunk_files(folder: Path) -> list[Path]:
    """Return the files of a zarr store's chunks, in order."""
    return sorted(
        Path(root, name)
        for root, _, names in os.walk(folder / "folder" / "a")
        for name in names
        if not name.startswith(".z") and name != "zarr.json"
    )
