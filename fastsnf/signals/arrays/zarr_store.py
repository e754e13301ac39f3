"""zarr stores of format 2 and 3, in a folder or a zip, read chunk by chunk with zarr.

Their descriptions are read here first: zarr would run the codecs that they name, one of which unpickles. A
chunk that is absent means the fill value, so a chunk that was lost is not seen; nor is a damaged one unless
its codec has a checksum (crc32c, or zstd with ``checksum``), which zarr's default has not.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastsnf.errors import InputError
from fastsnf.signals.arrays.array import Array, Entry, checked_spacing
from fastsnf.signals.arrays.limits import (
    MAX_ENTRIES,
    Limits,
    check_limit,
    check_sizes,
    is_numeric,
)
from fastsnf.signals.arrays.source import Source
from fastsnf.signals.optional import require

MAX_CHUNK = 1 << 30
"""Bytes of a chunk or a shard, which is decompressed as a whole."""

MAX_TEXT = 1 << 24
"""Bytes of a description."""

CODECS = frozenset(
    (
        *("blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma", "shuffle", "delta", "fixedscaleoffset"),
        *(
            "bitround",
            "packbits",
            "quantize",
            "crc32",
            "crc32c",
            "adler32",
            "fletcher32",
            "bytes",
            "transpose",
        ),
        *("sharding_indexed",),
    )
)
"""Codecs that turn numbers into bytes and back, and do nothing else."""

_SLACK = 1 << 20


@dataclass(frozen=True)
class _Files:
    """The files of a store.

    Attributes:
        path: the folder or the zip.
        sizes: name of every file within the store -> its bytes.
        read: returns the content of one.
        store: makes zarr's own store, read-only.
    """

    path: str
    sizes: Mapping[str, int]
    read: Callable[[str], bytes]
    store: Callable[[Any], Any]


def folder_entries(path: str, limits: Limits) -> list[Entry]:
    """Return the arrays of the zarr store in the folder `path`."""
    root = Path(path)
    files = _Files(
        path,
        dict(_walk(root)),
        lambda name: (root / name).read_bytes(),
        lambda zarr: zarr.storage.LocalStore(root, read_only=True),
    )
    return _entries(files, limits)


def zip_entries(source: Source, archive: zipfile.ZipFile) -> list[Entry]:
    """Return the arrays of the zarr store in a zip, whose members have been checked."""
    sizes = {member.filename: member.file_size for member in archive.infolist() if not member.is_dir()}
    files = _Files(
        source.name,
        sizes,
        archive.read,
        lambda zarr: zarr.storage.ZipStore(Path(source.name), mode="r", read_only=True),
    )
    return _entries(files, source.limits)


def _walk(root: Path) -> Iterator[tuple[str, int]]:
    """Yield (name, bytes) of the files in a folder; raise `InputError` for a link or a device."""
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(folder, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise InputError(
                    f"expected a store of plain files; got {str(path)!r}, a link or a device; "
                    "copy what it means"
                )
        yield from (
            (Path(folder, name).relative_to(root).as_posix(), Path(folder, name).stat().st_size)
            for name in names
        )


def _entries(files: _Files, limits: Limits) -> list[Entry]:
    """Return the arrays of real numbers that the descriptions in a store tell of."""
    found: list[Entry] = []
    for name in sorted(files.sizes):
        folder, _, last = name.rpartition("/")
        if last == "zarr.json" or (
            last == ".zarray" and f"{folder}/zarr.json".lstrip("/") not in files.sizes
        ):
            entry = _entry(files, limits, folder, _description(files, name), 3 if last == "zarr.json" else 2)
            found += [entry] if entry is not None else []
        if len(found) > MAX_ENTRIES:
            raise ValueError(f"more than {MAX_ENTRIES} arrays")
    if not found and not any(name.rpartition("/")[2] in ("zarr.json", ".zgroup") for name in files.sizes):
        raise InputError(
            f"expected a zarr store; got the folder {files.path!r} without one; name a file in it"
        )
    return found


def _description(files: _Files, name: str) -> dict[str, Any]:
    """Return the JSON object in a description."""
    if files.sizes[name] > MAX_TEXT:
        raise ValueError(f"a description {name!r} of {files.sizes[name]} bytes")
    value = json.loads(files.read(name))
    if not isinstance(value, dict):
        raise ValueError(f"a description {name!r} that is no object")
    return value


def _entry(files: _Files, limits: Limits, name: str, about: dict[str, Any], version: int) -> Entry | None:
    """Return the array that `about` describes, None for a group or an array of something else."""
    if version == 3 and about["node_type"] != "array":
        return None
    dtype = _dtype(about["data_type" if version == 3 else "dtype"], version)
    if dtype is None:
        return None
    shape = tuple(about["shape"])
    if 0 in shape:
        return None
    check_sizes(shape, dtype)
    if version == 3:
        grid = about["chunk_grid"]
        if grid["name"] != "regular":
            raise ValueError(f"chunks of the kind {grid['name']!r}")
        chunk = tuple(grid["configuration"]["chunk_shape"])
        codecs = list(_names(about["codecs"], "name"))
    else:
        chunk = tuple(about["chunks"])
        codecs = list(_names([*(about["filters"] or ()), about["compressor"]], "id"))
    if len(chunk) != len(shape):
        raise ValueError(f"chunks {list(chunk)} of sizes {list(shape)}")
    return Entry(
        name, shape, dtype, lambda: _open(files, limits, name, version, (shape, chunk, dtype, codecs))
    )


def _dtype(name: Any, version: int) -> np.dtype[Any] | None:
    """Return the type called `name`, None unless it is of real numbers."""
    if not isinstance(name, str):  # structured or extended
        return None
    try:
        dtype = np.dtype(name)
    except TypeError:
        return None
    plain = dtype.name == name if version == 3 else dtype.str == name
    return dtype if plain and is_numeric(dtype) else None


def _names(codecs: Any, key: str) -> Iterator[str]:
    """Yield the names of codecs, those within shards too."""
    for codec in codecs:
        if codec is None:
            continue
        name = codec[key] if isinstance(codec, dict) else codec
        if not isinstance(name, str):
            raise ValueError(f"a codec {codec!r} without a name")
        yield name
        settings = codec.get("configuration") or {} if isinstance(codec, dict) else {}
        for inner in ("codecs", "index_codecs"):
            yield from _names(settings.get(inner, ()), key)


def _open(files: _Files, limits: Limits, name: str, version: int, facts: tuple[Any, ...]) -> Array:
    """Open an array after its description has been checked."""
    shape, chunk, dtype, codecs = facts
    unknown = [codec for codec in codecs if codec.removeprefix("numcodecs.") not in CODECS]
    if unknown:
        raise InputError(
            f"expected codecs among {', '.join(sorted(CODECS))}; got {unknown[0]!r} in {files.path!r}; "
            "others may run code: rewrite the array, as with zarr.copy"
        )
    check_limit(files.path, check_sizes(shape, dtype), limits.lazy)
    check_limit(files.path, check_sizes(chunk, dtype), MAX_CHUNK)
    _check_chunks(files, name, math.prod(chunk) * dtype.itemsize)
    zarr = require("zarr", "arrays", "zarr stores")
    store = files.store(zarr)
    array = zarr.open_array(store=store, path=name or None, mode="r", zarr_format=version)
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"an array {list(array.shape)} of {array.dtype}, which its description does not say")
    return Array(
        files.path,
        name,
        shape,
        dtype,
        lambda first, last: np.asarray(array[first:last]),
        close=store.close,
        rows=chunk[0],
        spacing=_spacing(array),
        source="zarr",
    )


def _spacing(array: Any) -> tuple[float, ...] | None:
    """Return the distances in the attribute ``spacing``, as `fastsnf.signals.write_volume` writes it."""
    steps = array.attrs.get("spacing")
    return checked_spacing(steps) if isinstance(steps, list) and len(steps) == 3 else None


def _check_chunks(files: _Files, name: str, nbytes: int) -> None:
    """Raise `ValueError` for files of an array that no chunk of `nbytes` can have made."""
    prefix = f"{name}/" if name else ""
    for file, size in files.sizes.items():
        if file.startswith(prefix) and size > 8 * nbytes + _SLACK:
            raise ValueError(f"a chunk {file!r} of {size} bytes, where {nbytes} are promised")
