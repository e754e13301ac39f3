"""The chunks of a WAV file against the size of the file: libsndfile takes one cut short for a shorter sound.

Sources: Multimedia Programming Interface and Data Specifications 1.0 (IBM and Microsoft, 1991); Microsoft,
"Multiple channel audio data and WAVE files" (extensible format); EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fastsnf.errors import InputError
from fastsnf.signals.sound.header import Header, damaged

UNKNOWN = 0xFFFFFFFF
"""The size that a writer leaves who could not go back, or, in RF64, one that stands in the chunk ``ds64``."""

MAX_CHUNKS = 10_000
"""Chunks beyond this are refused: real files have a dozen."""

SUBTYPES: dict[tuple[int, int], str] = {
    (1, 8): "PCM_U8",
    (1, 16): "PCM_16",
    (1, 24): "PCM_24",
    (1, 32): "PCM_32",
    (3, 32): "FLOAT",
    (3, 64): "DOUBLE",
}
"""Sample types by format tag (1 whole numbers, 3 IEEE floats) and bits."""

_EXTENSIBLE = 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # of a format tag written as a GUID


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    start: int
    size: int


def wav_header(file: BinaryIO, name: str) -> Header:
    """Return what the WAV file promises, once every size in it agrees with the others and with the file.

    Args:
        file: the open file.
        name: what the errors call it.

    Raises:
        InputError: the file is cut short, has no or two formats or sounds, was written by a stream that left
            its size open, or holds compressed samples.
    """
    found: dict[bytes, _Chunk] = {}
    for chunk in _chunks(file, name):
        if chunk.name in (b"fmt ", b"data") and chunk.name in found:
            raise damaged(name, f"one chunk {chunk.name.decode()!r}", "two")
        found.setdefault(chunk.name, chunk)
    for needed in (b"fmt ", b"data"):
        if needed not in found:
            raise damaged(name, f"a chunk {needed.decode()!r}", "none")
    rate, channels, subtype, align = _format(_body(file, found[b"fmt "], 40), name)
    size = found[b"data"].size
    if size % align or not size:
        raise damaged(name, f"a whole number of frames of {align} bytes, at least one", f"{size} bytes")
    frames = size // align
    stated = _body(file, found[b"fact"], 4) if b"fact" in found else b""
    # Writers fill it by their own lights: with frames or samples, and with nothing where it means nothing.
    if len(stated) == 4 and struct.unpack("<I", stated)[0] not in (frames, frames * channels, 0, UNKNOWN):
        raise damaged(name, f"{frames} frames, as its data are", f"{struct.unpack('<I', stated)[0]} stated")
    return Header("WAV", rate, channels, frames, subtype)


def _chunks(file: BinaryIO, name: str) -> Iterator[_Chunk]:
    """Yield the chunks one after the other; together they fill the file, or it is refused."""
    length = file.seek(0, 2)
    file.seek(0)
    start = file.read(12)
    if len(start) < 12 or start[8:] != b"WAVE":
        raise damaged(name, "a RIFF header of 12 bytes that says WAVE", f"{start!r}")
    (declared,), place, sizes = struct.unpack("<I", start[4:8]), 12, {}
    if start[:4] == b"RF64":
        declared, sizes[b"data"], place = _sizes_64(file, name)
    elif declared in (0, UNKNOWN):
        raise _streamed(name)
    end = 8 + declared
    # A chunk of odd size is followed by a byte that not every writer writes, nor counts.
    if not end <= length <= end + 1:
        raise damaged(name, f"a file of {end} bytes, as its header says", f"{length}")
    for _ in range(MAX_CHUNKS):
        if place in (end, end + 1):
            return
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or not all(0x20 <= octet < 0x7F for octet in head[:4]):
            raise damaged(name, f"a chunk at byte {place}", f"{head!r}")
        size = struct.unpack("<I", head[4:])[0]
        if size == UNKNOWN:
            size = sizes.get(head[:4], UNKNOWN)
            if size == UNKNOWN:
                raise _streamed(name)
        if place + 8 + size > end:
            raise damaged(name, f"{size} bytes of {head[:4].decode()!r}", f"{end - place - 8}")
        yield _Chunk(head[:4], place + 8, size)
        place += 8 + size + size % 2
    raise damaged(name, f"at most {MAX_CHUNKS} chunks", "more")


def _sizes_64(file: BinaryIO, name: str) -> tuple[int, int, int]:
    """Return the size of the file and of its data in RF64, and where the next chunk begins."""
    head = file.read(24)
    if len(head) < 24 or head[:4] != b"ds64":
        raise damaged(name, "the sizes of an RF64 file (chunk 'ds64')", f"{head[:4]!r}")
    size, declared, data = struct.unpack("<IQQ", head[4:])
    if size < 28:
        raise damaged(name, "a chunk 'ds64' of at least 28 bytes", f"{size}")
    return declared, data, 12 + 8 + size + size % 2


def _body(file: BinaryIO, chunk: _Chunk, most: int) -> bytes:
    """Return up to `most` bytes of a chunk."""
    file.seek(chunk.start)
    return file.read(min(chunk.size, most))


def _format(body: bytes, name: str) -> tuple[int, int, str, int]:
    """Return (rate, channels, sample type, bytes a frame) of the chunk ``fmt ``; much of it is said twice."""
    if len(body) < 16:
        raise damaged(name, "a format of at least 16 bytes", f"{len(body)}")
    tag, channels, rate, byte_rate, align, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _EXTENSIBLE:
        if len(body) < 40 or body[26:] != _GUID_TAIL:
            raise _unreadable(name, "an extensible format that is not one of Microsoft's")
        tag = struct.unpack("<H", body[24:26])[0]
    if (tag, bits) not in SUBTYPES:
        raise _unreadable(name, f"format {tag:#06x} with {bits} bits")
    if not channels or not rate or align != channels * bits // 8 or byte_rate != rate * align:
        expected = f"{channels * bits // 8} bytes a frame and {rate * channels * bits // 8} a second"
        got = (
            f"{channels} channels of {bits} bits at {rate} Hz, {align} bytes a frame and {byte_rate} a second"
        )
        raise damaged(name, expected, got)
    return rate, channels, SUBTYPES[tag, bits], align


def _unreadable(name: str, got: str) -> InputError:
    return InputError(
        f"expected samples of 8, 16, 24 or 32 bits, or floats of 32 or 64; got {got} in {name!r}; convert it "
        "with: ffmpeg -i IN -c:a pcm_f32le OUT.wav"
    )


def _streamed(name: str) -> InputError:
    return InputError(
        f"expected a sound whose header says how long it is; got one written by a stream that left its "
        f"size open in {name!r}, so that nobody can tell whether all of it is there; write it anew with: "
        "ffmpeg -i IN -c copy OUT.wav"
    )
