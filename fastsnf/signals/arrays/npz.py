"""npz files: a zip of npy files, each expanded into a temporary file and its checksum verified."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastsnf.signals.arrays import npy
from fastsnf.signals.arrays.archive import open_member
from fastsnf.signals.arrays.array import Array, Entry, checked_spacing
from fastsnf.signals.arrays.limits import check_sizes
from fastsnf.signals.arrays.source import Source
from fastsnf.signals.arrays.unnamed import expanded

BITS = frozenset(("bits", "shape", "bounds"))
"""Arrays of an occupancy grid as `fastsnf.signals.write_grid` packs it."""


def entries(source: Source, archive: zipfile.ZipFile) -> list[Entry]:
    """Return the arrays of a zip of npy files; those of strings or objects are left out.

    The three of a packed occupancy grid count as one of bools, called ``bits``.
    """
    found = []
    for info in archive.infolist():
        if not info.is_dir():
            entry = _entry(source, archive, info)
            found += [entry] if entry is not None else []
    return [_unpacked(source, found)] if {entry.name for entry in found} == BITS else _spaced(found)


def _spaced(found: list[Entry]) -> list[Entry]:
    """Return `found` with the distances in an array ``spacing`` of three, as `write_volume` writes it."""
    steps = next((entry for entry in found if entry.name == "spacing" and entry.shape == (3,)), None)
    if steps is None:
        return found

    def with_spacing(entry: Entry) -> Entry:
        def open_it() -> Array:
            array = entry.open()
            with steps.open() as spacing:
                array.spacing = checked_spacing(spacing.whole().tolist())
            return array

        return replace(entry, open=open_it)

    return [with_spacing(entry) if len(entry.shape) >= 3 else entry for entry in found]


def _unpacked(source: Source, found: list[Entry]) -> Entry:
    """Return the bools that the arrays `BITS` mean: 8 points an octet, the first in the lowest bit."""
    arrays = {entry.name: entry for entry in found}
    if arrays["shape"].shape != (3,):
        raise ValueError("a packed grid without the sizes of three axes")
    with arrays["shape"].open() as sizes:
        shape = tuple(int(size) for size in sizes.whole())
    points = check_sizes(shape, np.dtype(bool))
    if arrays["bits"].dtype != np.uint8 or arrays["bits"].shape != (-(-points // 8),):
        raise ValueError(f"{arrays['bits']}, where the bits of {list(shape)} points are promised")

    def open_it() -> Array:
        octets = arrays["bits"].open()

        def read(first: int, last: int) -> NDArray[np.bool_]:
            start, stop = (row * (points // shape[0]) for row in (first, last))
            part = np.unpackbits(octets.slab(start // 8, -(-stop // 8)), bitorder="little")
            return part[start % 8 :][: stop - start].view(np.bool_).reshape(last - first, *shape[1:])

        return Array(source.name, "bits", shape, np.dtype(bool), read, close=octets.close, source="npz")

    return Entry("bits", shape, np.dtype(bool), open_it)


def _entry(source: Source, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry | None:
    """Return what the header of one member says, None unless it is of numbers."""
    name = info.filename.removesuffix(".npy")
    with open_member(archive, info) as stream:
        try:
            shape, _, dtype = npy.read_header(cast(Any, stream))
        except ValueError as cause:
            if "numbers of type" in str(cause):
                return None
            raise
        header = stream.tell()
    promised = header + check_sizes(shape, dtype)
    if info.file_size != promised:
        raise ValueError(f"{info.file_size} bytes of {name!r}, where its header promises {promised}")

    def open_it() -> Array:
        with open_member(archive, info) as stream:
            inner = expanded(stream, info.file_size, source)
        with inner.file:
            return npy.entry(inner, name, "npz").open()

    return Entry(name, shape, dtype, open_it)
