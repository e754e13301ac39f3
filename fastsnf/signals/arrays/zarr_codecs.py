"""Which codecs of zarr are let near a file, and what their chunks promise before they are decompressed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastsnf.errors import InputError
from fastsnf.signals.arrays.chunks import BLOSC_HEADER, check_blosc, check_deflate, check_zstd, may_burst

_COMPRESSORS = ("blosc", "zstd", "gzip", "zlib", "lz4")
_OTHERS = (
    *("shuffle", "delta", "fixedscaleoffset", "bitround", "packbits", "quantize", "bytes", "transpose"),
    *("crc32", "crc32c", "adler32", "fletcher32", "sharding_indexed"),
)

CODECS = frozenset((*_COMPRESSORS, *_OTHERS))
"""Codecs that turn numbers into bytes and back, do nothing else, and can be told how far they grow."""

_SLACK = 1 << 16
_PLACE = re.compile(r"(?:c[./])?([0-9]{1,12}(?:[./][0-9]{1,12})*)")
"""Names of chunks in either format: ``c/0/1/2``, ``0.1.2`` and so on."""

_SHARD_OVERHEAD = 8
"""How many times its numbers a shard of tiny chunks may take, with its index."""


@dataclass(frozen=True)
class StoreFiles:
    """The files of a store.

    Attributes:
        path: the folder or the zip.
        sizes: name of every file within the store -> its bytes.
        read: returns the content of one.
        start: returns its first bytes.
        store: makes zarr's own store, read-only.
        archive: whether it is a zip.
    """

    path: str
    sizes: Mapping[str, int]
    read: Callable[[str], bytes]
    start: Callable[[str, int], bytes]
    store: Callable[[Any], Any]
    archive: bool


def codec_names(codecs: Any, key: str) -> Iterator[str]:
    """Yield the names, under `key`, of the codecs in a description, those within shards too."""
    for codec in codecs:
        if codec is None:
            continue
        name = codec[key] if isinstance(codec, dict) else codec
        if not isinstance(name, str):
            raise ValueError(f"a codec {codec!r} without a name")
        yield name.removeprefix("numcodecs.")
        settings = codec.get("configuration") or {} if isinstance(codec, dict) else {}
        for inner in ("codecs", "index_codecs"):
            yield from codec_names(settings.get(inner, ()), key)


def check_codecs(path: str, codecs: Sequence[str]) -> None:
    """Raise `InputError` for codecs that may run code, or whose chunks cannot be looked at beforehand."""
    wrong = next((repr(codec) for codec in codecs if codec not in CODECS), None)
    if "blosc" in codecs and "sharding_indexed" in codecs:
        wrong = "blosc within shards"
    if sum(codec in _COMPRESSORS for codec in codecs) > 1:
        wrong = f"several compressors ({', '.join(codecs)})"
    if wrong is not None:
        raise InputError(
            f"expected one compressor of {', '.join(_COMPRESSORS)} (not blosc in shards) and other codecs of "
            f"{', '.join(_OTHERS)}; got {wrong} in {path!r}, which may run code or grow without a limit: "
            "write the array again, with zarr's defaults"
        )


def check_chunks(
    files: StoreFiles,
    name: str,
    shape: Sequence[int],
    chunk: Sequence[int],
    itemsize: int,
    codecs: Sequence[str],
) -> None:
    """Raise `ValueError` for files of the array `name` that are none of its chunks, or when it has none.

    Args:
        files: those of the store; in an archive nothing but chunks may lie beside the description.
        name: the array's folder.
        shape, chunk: sizes of the array and of a chunk.
        itemsize: bytes of a number.
        codecs: names of the codecs, in order.
    """
    nbytes = math.prod(chunk) * itemsize
    sharded = "sharding_indexed" in codecs
    most = (_SHARD_OVERHEAD if sharded else 2) * nbytes + _SLACK
    counts = [-(-size // side) for size, side in zip(shape, chunk, strict=True)]
    chunks = 0
    for file, key in _beside(files, name):
        place = _PLACE.fullmatch(key)
        if place is None:
            if files.archive:
                raise ValueError(f"a file {file!r} that is no chunk")
            continue
        chunks += 1
        numbers = [int(number) for number in re.split("[./]", place[1])]
        if len(numbers) != len(counts) or any(n >= most for n, most in zip(numbers, counts, strict=True)):
            raise ValueError(f"a chunk {file!r} beyond the sizes {list(shape)}")
        if not 0 < files.sizes[file] <= most:
            raise ValueError(f"a chunk {file!r} of {files.sizes[file]} bytes, where {nbytes} are promised")
        if not sharded:
            _check_chunk(files, file, nbytes, codecs)
    if not chunks:
        raise ValueError(f"{name or 'the array'}, of which nothing was ever written, or all was lost")


def _beside(files: StoreFiles, name: str) -> Iterator[tuple[str, str]]:
    """Yield (file, its name within the folder of the array `name`) but for descriptions."""
    prefix = f"{name}/" if name else ""
    for file in files.sizes:
        last = file.rpartition("/")[2]
        if file.startswith(prefix) and last != "zarr.json" and not last.startswith(".z"):
            yield file, file[len(prefix) :]


def _check_chunk(files: StoreFiles, file: str, nbytes: int, codecs: Sequence[str]) -> None:
    """Raise `ValueError` for a chunk that says, or when inflated shows, that it is not of `nbytes`."""
    if "blosc" in codecs:
        check_blosc(files.start(file, BLOSC_HEADER), files.sizes[file], nbytes)
    elif "zstd" in codecs:
        check_zstd(files.start(file, 18), nbytes)
    elif {"gzip", "zlib"} & {*codecs} and may_burst(files.sizes[file]):
        check_deflate(files.read(file), nbytes)
