"""zarr stores of format 2 and 3, in a folder or a zip, read chunk by chunk with zarr.

Their descriptions are read here first: zarr would run the codecs that they name, one of which unpickles. A
chunk that is absent means the fill value, so a chunk that was lost is not seen; nor is a damaged one unless
its codec has a checksum (crc32c, or zstd with ``checksum``), which zarr's default has not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

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
from fastsnf.signals.arrays.zarr_codecs import StoreFiles, check_chunks, check_codecs, codec_names
from fastsnf.signals.optional import require

MAX_CHUNK = 1 << 30
"""Bytes of a chunk or a shard, which is decompressed as a whole."""

MAX_TEXT = 1 << 24
"""Bytes of a description."""


def folder_entries(path: str, limits: Limits) -> list[Entry]:
    """Return the arrays of the zarr store in the folder `path`."""
    root = Path(path)
    files = StoreFiles(
        path,
        dict(_walk(root)),
        lambda name: (root / name).read_bytes(),
        lambda name, size: _start((root / name).open("rb"), size),
        lambda zarr: zarr.storage.LocalStore(root, read_only=True),
        archive=False,
    )
    return _entries(files, limits)


def zip_entries(source: Source, archive: zipfile.ZipFile) -> list[Entry]:
    """Return the arrays of the zarr store in a zip, whose members have been checked."""
    sizes = {member.filename: member.file_size for member in archive.infolist() if not member.is_dir()}
    files = StoreFiles(
        source.name,
        sizes,
        archive.read,
        lambda name, size: _start(archive.open(name), size),
        lambda zarr: zarr.storage.ZipStore(Path(source.name), mode="r", read_only=True),
        archive=True,
    )
    return _entries(files, source.limits)


def _start(file: IO[bytes], size: int) -> bytes:
    """Return the first `size` bytes of `file`, and close it."""
    with file:
        return file.read(size)


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


def _entries(files: StoreFiles, limits: Limits) -> list[Entry]:
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


def _description(files: StoreFiles, name: str) -> dict[str, Any]:
    """Return the JSON object in a description."""
    if files.sizes[name] > MAX_TEXT:
        raise ValueError(f"a description {name!r} of {files.sizes[name]} bytes")
    value = json.loads(files.read(name))
    if not isinstance(value, dict):
        raise ValueError(f"a description {name!r} that is no object")
    return value


def _entry(files: StoreFiles, limits: Limits, name: str, about: dict[str, Any], version: int) -> Entry | None:
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
        codecs = list(codec_names(about["codecs"], "name"))
    else:
        chunk = tuple(about["chunks"])
        codecs = list(codec_names([*(about["filters"] or ()), about["compressor"]], "id"))
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


def _open(files: StoreFiles, limits: Limits, name: str, version: int, facts: tuple[Any, ...]) -> Array:
    """Open an array after its description has been checked."""
    shape, chunk, dtype, codecs = facts
    check_codecs(files.path, codecs)
    check_limit(files.path, check_sizes(shape, dtype), limits.lazy)
    check_limit(files.path, check_sizes(chunk, dtype), MAX_CHUNK)
    check_chunks(files, name, shape, chunk, dtype.itemsize, codecs)
    zarr = require("zarr", "arrays", "zarr stores")
    store = files.store(zarr)
    array = zarr.open_array(store=store, path=name or None, mode="r", zarr_format=version)
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"an array {list(array.shape)} of {array.dtype}, which its description does not say")

    def read(first: int, last: int) -> NDArray[Any]:
        try:
            return np.asarray(array[first:last])
        except BaseException:
            _drain()
            raise

    return Array(
        files.path,
        name,
        shape,
        dtype,
        read,
        close=store.close,
        rows=chunk[0],
        spacing=_spacing(array),
        source="zarr",
    )


def _spacing(array: Any) -> tuple[float, ...] | None:
    """Return the distances in the attribute ``spacing``, as `fastsnf.signals.write_volume` writes it."""
    steps = array.attrs.get("spacing")
    return checked_spacing(steps) if isinstance(steps, list) and len(steps) == 3 else None


def _drain() -> None:
    """Wait for what zarr still reads after an error, which would complain when the process ends."""
    with contextlib.suppress(Exception):
        loop = import_module("zarr.core.sync")._get_loop()

        async def others() -> None:
            await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=5)

        asyncio.run_coroutine_threadsafe(others(), loop).result(10)
