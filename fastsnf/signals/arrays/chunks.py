"""Compressed chunks, looked at before a library decompresses them: what they promise, how far they grow."""

from __future__ import annotations

import struct
import zlib

BLOSC_HEADER = 16

TRUSTED = 1 << 28
"""Bytes that deflated data may grow to unseen: data that could grow further are inflated once to see."""

_DEFLATE_RATIO = 1032
"""How many times its size deflated data can grow to."""

_ZSTD = b"\x28\xb5\x2f\xfd"
_SLACK = 1 << 16


def check_blosc(start: bytes, size: int, nbytes: int) -> None:
    """Raise `ValueError` unless a blosc chunk of `size` bytes says that it has them, and at most `nbytes`.

    The library takes its word for it: of a chunk cut short it would read on behind the end.

    Args:
        start: its first bytes.
        size: the bytes that it has.
        nbytes: what it should decompress to.
    """
    if len(start) < BLOSC_HEADER:
        raise ValueError(f"a chunk of {size} bytes, which are no blosc chunk")
    plain, _, packed = struct.unpack("<III", start[4:BLOSC_HEADER])
    if packed != size or plain > nbytes + _SLACK:
        raise ValueError(f"a chunk of {size} bytes that says {packed}, and {plain} of {nbytes} decompressed")


def check_zstd(start: bytes, nbytes: int) -> None:
    """Raise `ValueError` unless a zstd chunk says that it has at most `nbytes`, give or take other codecs."""
    if len(start) < 5 or start[:4] != _ZSTD:
        raise ValueError("a chunk that is not zstd")
    flags = start[4]
    single, width = bool(flags & 0x20), (0, 2, 4, 8)[flags >> 6]
    width = width or int(single)
    place = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    if not width or len(start) < place + width:
        raise ValueError("a zstd chunk that does not say its size; write it again with zarr")
    plain = int.from_bytes(start[place : place + width], "little") + (256 if width == 2 else 0)
    if plain > nbytes + _SLACK:
        raise ValueError(f"a chunk that says {plain} bytes decompressed, where {nbytes} are promised")


def may_burst(size: int) -> bool:
    """Whether `size` bytes could inflate to more than is trusted."""
    return size * _DEFLATE_RATIO > TRUSTED


def check_deflate(data: bytes, nbytes: int) -> None:
    """Raise `ValueError` if gzip or zlib data inflate to more than `nbytes`, never all of them at once."""
    inflater, done = zlib.decompressobj(zlib.MAX_WBITS | 32), 0
    while data and not inflater.eof:
        done += len(inflater.decompress(data, 1 << 20))
        data = inflater.unconsumed_tail
        if done > nbytes + _SLACK:
            raise ValueError(f"a chunk that grows beyond the {nbytes} bytes that are promised")
