"""Opening the array of a file: the content says the format, whatever the suffix."""

from __future__ import annotations

import os
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

from fastsnf.errors import InputError
from fastsnf.signals.arrays import archive, npy, npz
from fastsnf.signals.arrays.array import Array, Entry
from fastsnf.signals.arrays.choose import chosen
from fastsnf.signals.arrays.limits import Limits
from fastsnf.signals.arrays.source import Source, opened_source
from fastsnf.signals.faults import reading

_MAGICS: dict[bytes, tuple[str, str]] = {
    npy.MAGIC: ("npy", "npy"),
    b"MATLAB 5.0 MAT-file": ("matlab", "MATLAB 5"),
    b"MATLAB 7.3 MAT-file": ("hdf5", "MATLAB 7.3"),
    b"\x89HDF\r\n\x1a\n": ("hdf5", "HDF5"),
    b"NRRD0": ("nrrd", "NRRD"),
}
"""How files begin -> the module that reads them and the name of the format."""


def read_array(
    path: str | os.PathLike[str], key: str | None = None, *, max_bytes: int | None = None
) -> Array:
    """Open an array of numbers in a file of npy, npz, MATLAB 5 or 7.3, HDF5, zarr or NRRD.

    Also in a zip that holds one such file, or a zarr store. Index order is that of the program that wrote
    the file (``A(i, j, k)`` of MATLAB is ``[i, j, k]``), last axis fastest. npy, NRRD without compression and
    MATLAB 5 without compression are mapped; HDF5 and zarr are read chunk by chunk; the rest is decompressed
    once, into a temporary file without a name. Close it, or use it in a ``with``.

    Args:
        path: the file, or the folder of a zarr store; its content decides the format.
        key: the name of the array; by default the only one, or the only one of three axes or more.
        max_bytes: arrays of more bytes are refused; by default 64 GiB, and 8 GiB for what must be
            decompressed as a whole.

    Raises:
        InputError: no such file or key, another format, an array of something else than real numbers, more
            bytes promised than the limit or the file allow, a link out of the file, or a damaged file.
        RunError: no room in the temporary folder.
    """
    name, limits = os.fsdecode(path), Limits.of(max_bytes)
    with ExitStack() as stack:
        if _is_folder(name):
            stack.enter_context(reading(name, "zarr"))
            return _folder(name, key, limits)
        source = stack.enter_context(opened_source(name, limits))
        return _from(source, key, stack)


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _folder(name: str, key: str | None, limits: Limits) -> Array:
    """Open the zarr store in a folder."""
    from fastsnf.signals.arrays.zarr_store import folder_entries

    return chosen(folder_entries(name, limits), key, name).open()


def _from(source: Source, key: str | None, stack: ExitStack) -> Array:
    """Open the array of an open file, an archive perhaps."""
    if source.start(4) in archive.MAGICS:
        stack.enter_context(reading(source.name, "zip"))
        return _zipped(source, key, stack)
    return _plain(source, key)


def _plain(source: Source, key: str | None) -> Array:
    """Open the array of a file that is no archive."""
    start = source.start(20)
    module, kind = next((found for magic, found in _MAGICS.items() if start.startswith(magic)), ("", ""))
    if not module:
        raise InputError(
            f"expected a file of npy, npz, MATLAB 5 or 7.3, HDF5, zarr or NRRD; got {source.name!r}, whose "
            "content is none of these; convert it"
        )
    with reading(source.name, kind):
        found: list[Entry] = import_module(f"fastsnf.signals.arrays.{module}").entries(source)
        return chosen(found, key, source.name).open()


def _zipped(source: Source, key: str | None, stack: ExitStack) -> Array:
    """Open the array of a zip."""
    members = stack.enter_context(archive.archive_of(source))
    kind = archive.kind_of_archive(source, members)
    if kind == "npz":
        return chosen(npz.entries(source, members), key, source.name).open()
    if kind == "zarr":
        from fastsnf.signals.arrays.zarr_store import zip_entries

        return chosen(zip_entries(source, members), key, source.name).open()
    inner = archive.inner_file(source, members)
    stack.enter_context(inner.file)
    return _plain(inner, key)
