"""npz files: a zip of npy files, each expanded into a temporary file and its checksum verified."""

from __future__ import annotations

import zipfile
from typing import Any, cast

from fastsnf.signals.arrays import npy
from fastsnf.signals.arrays.archive import open_member
from fastsnf.signals.arrays.array import Array, Entry
from fastsnf.signals.arrays.limits import check_sizes
from fastsnf.signals.arrays.source import Source, expanded


def entries(source: Source, archive: zipfile.ZipFile) -> list[Entry]:
    """Return the arrays of a zip of npy files; those of strings or objects are left out."""
    found = []
    for info in archive.infolist():
        if not info.is_dir():
            entry = _entry(source, archive, info)
            found += [entry] if entry is not None else []
    return found


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
            return npy.entry(inner, name).open()

    return Entry(name, shape, dtype, open_it)
