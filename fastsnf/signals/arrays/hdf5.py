"""HDF5 files and MATLAB 7.3, which is HDF5 with the axes the other way round: read chunk by chunk with h5py.

Only arrays that hard links of the file itself reach are seen: no soft or external link is followed. Those
whose entries lie in other files are refused, and chunks that would grow beyond their size.
"""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.arrays.array import Array, Entry
from fastsnf.signals.arrays.chunks import check_deflate, may_burst
from fastsnf.signals.arrays.limits import MAX_ENTRIES, check_limit, check_sizes, is_numeric
from fastsnf.signals.arrays.source import Source
from fastsnf.signals.optional import require

MAX_CHUNK = 1 << 30
"""Bytes of a chunk, which is decompressed as a whole."""

_SLACK = 1 << 16

_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
"""Filters that come with HDF5 and h5py; others are plugins, code loaded because a file asks for it."""

_ARRAYS_OF_MATLAB = (
    "double",
    "single",
    "logical",
    *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)),
)


def entries(source: Source) -> list[Entry]:
    """Return the arrays of an HDF5 file that have real numbers."""
    h5py = require("h5py", "arrays", "HDF5 files")
    matlab = source.start(19) == b"MATLAB 7.3 MAT-file"
    with h5py.File(source.path, "r") as file:
        if source.size < file.id.get_filesize():
            raise ValueError(f"{source.size} bytes, where its header promises {file.id.get_filesize()}")
        names: list[str] = []
        file.visititems(lambda name, item: _note(names, name, isinstance(item, h5py.Dataset)))
        found = [_entry(source, name, file[name], matlab) for name in names]
        if not any(found):
            _refuse_links(source, file, h5py)
    return [entry for entry in found if entry is not None]


def _note(names: list[str], name: str, wanted: bool) -> None:
    """Add the name of a dataset to `names`."""
    if wanted and not name.startswith("#"):  # MATLAB's own
        names.append(name)
    if len(names) > MAX_ENTRIES:
        raise ValueError(f"more than {MAX_ENTRIES} arrays")


def _refuse_links(source: Source, file: Any, h5py: Any) -> None:
    """Raise `InputError` for a file that has nothing but links to elsewhere."""
    links = [name for name in file if not isinstance(file.get(name, getlink=True), h5py.HardLink)]
    if links:
        raise InputError(
            f"expected arrays within {source.name!r}; got the link {links[0]!r}; links are not followed: "
            "open the file that it points to"
        )


def _entry(source: Source, name: str, data: Any, matlab: bool) -> Entry | None:
    """Return the array `data`, None unless it has real numbers."""
    if data.shape is None or not data.shape or 0 in data.shape or not is_numeric(data.dtype):
        return None
    kind = data.attrs.get("MATLAB_class") if "MATLAB_class" in data.attrs else None
    if kind is not None and (not isinstance(kind, bytes) or kind.decode("latin-1") not in _ARRAYS_OF_MATLAB):
        return None
    check_sizes(data.shape, data.dtype)
    turned = matlab or kind is not None
    shape = tuple(reversed(data.shape)) if turned else tuple(data.shape)
    return Entry(name, shape, data.dtype, lambda: _open(source, name, turned))


def _open(source: Source, name: str, turned: bool) -> Array:
    """Open the array called `name`; `turned`: its axes are stored the other way round."""
    file = require("h5py", "arrays", "HDF5 files").File(source.path, "r")
    try:
        data = file[name]
        _check(source, name, data)
        chunk = data.chunks or (1,) * data.ndim
        shape = tuple(reversed(data.shape)) if turned else data.shape
        contiguous = data.chunks is None

        def read(first: int, last: int) -> NDArray[Any]:
            return data[..., first:last].T if turned else data[first:last]

        rows = (shape[0] if contiguous else chunk[-1]) if turned else chunk[0]
        source_name = "MATLAB 7.3" if turned else "HDF5"
        return Array(
            source.name, name, shape, data.dtype, read, close=file.close, rows=rows, source=source_name
        )
    except BaseException:
        file.close()
        raise


def _check(source: Source, name: str, data: Any) -> None:
    """Refuse entries in other files, plugins, and more bytes than the limit or the file can have."""
    if data.is_virtual or data.external:
        raise InputError(
            f"expected an array whose entries lie in {source.name!r}; got {name!r}, which refers to other "
            "files; copy it into one file"
        )
    nbytes = check_sizes(data.shape, data.dtype)
    check_limit(source.name, nbytes, source.limits.lazy)
    filters = data.id.get_create_plist()
    codes = [filters.get_filter(place)[0] for place in range(filters.get_nfilters())]
    if not {*codes} <= {*_FILTERS}:
        raise InputError(
            f"expected an array of {source.name!r} compressed by {', '.join(_FILTERS.values())} or not at "
            f"all; got {name!r} with the filters {codes}; rewrite it, as with: h5repack -f GZIP=4"
        )
    if data.chunks is not None:
        check_limit(source.name, math.prod(data.chunks) * data.dtype.itemsize, MAX_CHUNK)
    if not data.id.get_storage_size():
        raise ValueError(f"{name!r}, of which nothing was ever written")
    if data.chunks is None:
        if data.id.get_storage_size() != nbytes or nbytes > source.size:
            raise ValueError(f"{data.id.get_storage_size()} bytes of {name!r}, where {nbytes} are promised")
        return
    chunk = math.prod(data.chunks) * data.dtype.itemsize
    for place in range(data.id.get_num_chunks()):
        info = data.id.get_chunk_info(place)
        if info.size > 2 * chunk + _SLACK or info.byte_offset + info.size > source.size:
            raise ValueError(f"a chunk of {info.size} bytes at {info.byte_offset} of {name!r}")
        if 1 in codes and may_burst(info.size):
            check_deflate(data.id.read_direct_chunk(info.chunk_offset)[1], chunk)
        if any(start >= size for start, size in zip(info.chunk_offset, data.shape, strict=True)):
            raise ValueError(f"a chunk of {name!r} at {info.chunk_offset}, beyond its sizes {data.shape}")
