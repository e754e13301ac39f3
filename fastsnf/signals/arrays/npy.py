"""npy files: the header by NumPy, the entries by a memory map. The format has no checksum."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from fastsnf.signals.arrays.array import Array, Entry, mapped
from fastsnf.signals.arrays.limits import check_limit, check_numeric, check_sizes
from fastsnf.signals.arrays.source import Source

MAGIC = b"\x93NUMPY"


def read_header(file: BinaryIO) -> tuple[tuple[int, ...], str, np.dtype[Any]]:
    """Return (shape, order ``"C"`` or ``"F"``, dtype) of the npy header at the place of `file`.

    Raises:
        ValueError: damaged, or Python objects, which are never unpickled.
    """
    version = npy_format.read_magic(file)
    read = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"npy format version {version}, where 1.0 and 2.0 are read")
    shape, fortran, dtype = read(file)
    check_numeric(dtype)
    check_sizes(shape, dtype)
    return shape, "F" if fortran else "C", dtype


def entries(source: Source) -> list[Entry]:
    """Return the only array of an npy file."""
    return [entry(source, "")]


def entry(source: Source, name: str, kind: str = "npy") -> Entry:
    """Return the array of the npy file `source`, called `name`; the file has its bytes and no more.

    `kind` is the format that it came in.
    """
    source.file.seek(0)
    shape, order, dtype = read_header(source.file)
    offset = source.file.tell()
    nbytes = check_sizes(shape, dtype)
    if source.size != offset + nbytes:
        raise ValueError(f"{source.size} bytes, where its header promises {offset + nbytes}")
    check_limit(source.name, nbytes, source.limits.lazy)

    def open_it() -> Array:
        return mapped(source.name, name, source.map(dtype, shape, offset, order), source=kind)

    return Entry(name, shape, dtype, open_it)
