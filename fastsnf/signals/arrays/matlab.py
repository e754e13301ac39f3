"""MATLAB 5 files (``save -v6`` and ``-v7``): numeric arrays found by their tags and mapped where they lie.

The layout is MathWorks' "MAT-File Format": elements of a tag (type, bytes) and data, padded to 8 bytes; an
array is an element of flags, sizes, name and entries, and may be deflated as a whole. Read here rather than
by SciPy, which allocates what a header promises, warns of damage and goes on, and loads all of a file. Only
deflated arrays have a checksum.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsnf.signals.arrays.array import Array, Entry, mapped
from fastsnf.signals.arrays.limits import MAX_ENTRIES, check_limit, check_sizes
from fastsnf.signals.arrays.source import Source
from fastsnf.signals.arrays.unnamed import expanded

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_INT8, _INT32, _UINT32 = 1, 5, 6
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""How entries are stored, by the type in their tag; narrower than their class where all of them fit."""

_NUMERIC = range(6, 16)
"""Classes of arrays: double, single, and integers of 8 to 64 bits."""

_COMPLEX = 0x0800
_PEEK = 1 << 16
"""What is inflated of an array to read its name and sizes."""


@dataclass(frozen=True)
class _Header:
    """Name and sizes of an array, and where its entries are in the bytes of its element."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    nbytes: int


def entries(source: Source) -> list[Entry]:
    """Return the real numeric arrays of a MATLAB 5 file: no structures, cells, text or sparse ones."""
    start = source.start(_HEADER)
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(start[124:])
    if order is None:
        raise ValueError("no MATLAB 5 version and byte order in its header")
    found = []
    for kind, offset, nbytes in _elements(source, order):
        entry = _deflated(source, offset, nbytes, order) if kind == _COMPRESSED else None
        if kind == _MATRIX:
            entry = _stored(source, offset, nbytes, order)
        found += [entry] if entry is not None else []
        if len(found) > MAX_ENTRIES:
            raise ValueError(f"more than {MAX_ENTRIES} arrays")
    return found


def _elements(source: Source, order: str) -> Iterator[tuple[int, int, int]]:
    """Yield (type, offset of its data, bytes) of every element; together they fill the file."""
    offset = _HEADER
    while offset < source.size:
        source.file.seek(offset)
        kind, nbytes = struct.unpack(order + "II", source.file.read(8))
        offset += 8
        if offset + nbytes > source.size:
            raise ValueError(f"{source.size} bytes, where an array ends at {offset + nbytes}")
        if kind not in (_MATRIX, _COMPRESSED):
            raise ValueError(f"an element of type {kind}, where arrays belong")
        yield kind, offset, nbytes
        offset += nbytes


def _stored(source: Source, offset: int, nbytes: int, order: str) -> Entry | None:
    """Return the array whose element lies in the file as it is."""
    source.file.seek(offset)
    header = _header(source.file.read(min(nbytes, _PEEK)), nbytes, order)
    if header is None:
        return None
    check_limit(source.name, header.nbytes, source.limits.lazy)
    return Entry(header.name, header.shape, header.dtype, lambda: _mapped(source, offset, header))


def _deflated(source: Source, offset: int, nbytes: int, order: str) -> Entry | None:
    """Return the array whose element is deflated."""
    peek = _Inflated(source, offset, nbytes).read(_PEEK)
    kind, inner = struct.unpack(order + "II", peek[:8])
    if kind != _MATRIX:
        raise ValueError(f"a deflated element of type {kind}, where an array belongs")
    header = _header(peek[8:], inner, order)
    if header is None:
        return None

    def open_it() -> Array:
        whole = expanded(_Inflated(source, offset, nbytes), 8 + inner, source)
        with whole.file:
            return _mapped(whole, 8, header)

    return Entry(header.name, header.shape, header.dtype, open_it)


def _mapped(source: Source, offset: int, header: _Header) -> Array:
    """Return the array of `header` whose element begins at `offset`; MATLAB has the first axis fastest."""
    view = source.map(header.dtype, header.shape, offset + header.offset, "F")
    return mapped(source.name, header.name, view, source="MATLAB 5")


def _header(data: bytes, nbytes: int, order: str) -> _Header | None:
    """Return what the first bytes of an element of `nbytes` say, None unless it is a real numeric array."""
    kind, flags, place = _part(data, 0, order)
    if kind != _UINT32 or len(flags) != 8:
        raise ValueError("an array without flags")
    word = struct.unpack(order + "II", flags)[0]
    if word & 0xFF not in _NUMERIC or word & _COMPLEX:
        return None
    kind, sizes, place = _part(data, place, order)
    if kind != _INT32 or len(sizes) % 4:
        raise ValueError("an array without sizes")
    shape = tuple(size for (size,) in struct.iter_unpack(order + "i", sizes))
    kind, name, place = _part(data, place, order)
    if kind != _INT8:
        raise ValueError("an array without a name")
    if 0 in shape or not name:  # empty, or what MATLAB keeps about its objects
        return None
    kind, stored, offset = _tag(data, place, order)
    if kind not in _STORED:
        raise ValueError(f"entries of type {kind}, which are not numbers")
    dtype = np.dtype(order + _STORED[kind])
    if check_sizes(shape, dtype) != stored or not 0 <= nbytes - (offset + stored) < 8:
        raise ValueError(f"{stored} bytes of entries in {nbytes}, where sizes {list(shape)} are promised")
    return _Header(name.decode("latin-1"), shape, dtype, offset, stored)


def _part(data: bytes, place: int, order: str) -> tuple[int, bytes, int]:
    """Return (type, data, place of the next) of the small element at `place`."""
    kind, nbytes, start = _tag(data, place, order)
    if start + nbytes > len(data):
        raise ValueError("an array that ends within its header")
    following = place + 8 if start == place + 4 else start + -(-nbytes // 8) * 8
    return kind, data[start : start + nbytes], following


def _tag(data: bytes, place: int, order: str) -> tuple[int, int, int]:
    """Return (type, bytes, place of the data) of the tag at `place`: of 8 bytes, or 4 and up to 4 of data."""
    if place + 8 > len(data):
        raise ValueError("an array that ends within its header")
    word, nbytes = struct.unpack_from(order + "II", data, place)
    if word >> 16:
        if word >> 16 > 4:
            raise ValueError("a short element of more than 4 bytes")
        return word & 0xFFFF, word >> 16, place + 4
    return word, nbytes, place + 8


class _Inflated:
    """The bytes that a deflated element yields; at their end the checksum has been verified."""

    def __init__(self, source: Source, offset: int, nbytes: int) -> None:
        self._source, self._offset, self._left = source, offset, nbytes
        self._zlib = zlib.decompressobj()
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end; raise `ValueError` for an end before its time."""
        out = b""
        while not out and not self._zlib.eof:
            data = self._zlib.unconsumed_tail or self._next()
            out = self._zlib.decompress(data, size)
            if not data and not out:
                raise ValueError("a deflated array that is cut short")
        return out

    def _next(self) -> bytes:
        """Return the next bytes of the file."""
        self._source.file.seek(self._offset)
        data = self._source.file.read(min(self._left, 1 << 16))
        self._offset, self._left = self._offset + len(data), self._left - len(data)
        return data
