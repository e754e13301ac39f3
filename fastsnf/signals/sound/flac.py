"""The header of a FLAC file: its promises, and whether the first frame agrees with them (RFC 9639)."""

from __future__ import annotations

from typing import BinaryIO

from fastsnf.errors import InputError
from fastsnf.signals.sound.header import Header, damaged

MARKER = b"fLaC"

SUBTYPES: dict[int, str] = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24"}
"""Sample types by bits: those that libsndfile decodes."""

MOST_FRAMES_A_BLOCK = 65_535
LEAST_BYTES_A_BLOCK = 8
"""A block of constant samples is hardly smaller: it bounds what a small file may promise."""

_RATES = {1: 88_200, 2: 176_400, 3: 192_000, 4: 8_000, 5: 16_000, 6: 22_050}
_RATES |= {7: 24_000, 8: 32_000, 9: 44_100, 10: 48_000, 11: 96_000}
_KILOHERTZ, _HERTZ, _TENS_OF_HERTZ = 12, 13, 14  # the rate follows, in 1 or 2 bytes
_BITS = {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}
_STEREO = range(8, 11)  # codes of two channels, one of them as a difference


def flac_header(file: BinaryIO, name: str) -> Header:
    """Return what the FLAC file promises, once its first frame agrees.

    Args:
        file: the open file.
        name: what the errors call it.

    Raises:
        InputError: the header is damaged, promises more than the file can hold, or leaves the length open.
    """
    length = file.seek(0, 2)
    file.seek(0)
    start = file.read(42)
    if len(start) < 42 or start[:4] != MARKER or start[4] & 0x7F or start[5:8] != b"\0\0\x22":
        raise damaged(name, "a FLAC header of 42 bytes", f"{start[:8]!r}...")
    info = start[8:]
    packed = int.from_bytes(info[10:18], "big")  # 20 bits of rate, 3 channels, 5 bits, 36 frames
    rate, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    frames = packed & (1 << 36) - 1
    if bits not in SUBTYPES:
        raise InputError(
            f"expected FLAC samples of 8, 16 or 24 bits; got {bits} in {name!r}; convert it with: "
            "ffmpeg -i IN -c:a pcm_s32le OUT.wav"
        )
    if not frames:
        raise InputError(
            f"expected a FLAC file whose header says how long it is; got {name!r}, which leaves it open, so "
            "that nobody can tell whether all of it is there; write it anew with: ffmpeg -i IN OUT.flac"
        )
    blocks = -(-frames // MOST_FRAMES_A_BLOCK)
    if not rate or blocks * LEAST_BYTES_A_BLOCK > length:
        raise damaged(name, "a sound that its file can hold", f"{frames} frames at {rate} Hz, {length} bytes")
    _check_first_frame(file, name, not start[4] >> 7, (rate, channels, bits))
    return Header("FLAC", rate, channels, frames, SUBTYPES[bits], info[18:] if any(info[18:]) else b"")


def _check_first_frame(file: BinaryIO, name: str, more: bool, promised: tuple[int, int, int]) -> None:
    """Refuse a file whose first frame has another (rate, channels, bits) than the header promised.

    Args:
        file: the open file, behind its first metadata block.
        name: what the errors call it.
        more: whether further metadata blocks come before the frame.
        promised: by the header, which no checksum covers; what a frame leaves to the header cannot differ.
    """
    while more:
        head = file.read(4)
        if len(head) < 4 or head[0] & 0x7F in (0, 127):
            raise damaged(name, "a metadata block", f"{head!r}")
        more = not head[0] >> 7
        file.seek(int.from_bytes(head[1:], "big"), 1)
    frame = file.read(16)  # the longest header of a frame
    if len(frame) < 6 or frame[0] != 0xFF or frame[1] & 0xFE != 0xF8:
        raise damaged(name, "a frame behind the header", f"{frame[:4]!r}")
    channel_code, bit_code = frame[3] >> 4, frame[3] >> 1 & 7
    channels = 2 if channel_code in _STEREO else channel_code + 1
    found = (_rate(frame) or promised[0], channels, _BITS.get(bit_code, 0) if bit_code else promised[2])
    if found != promised:
        raise damaged(name, "{} Hz, {} channels, {} bits".format(*promised), "{}, {}, {}".format(*found))


def _rate(frame: bytes) -> int:
    """Return the rate in the header of a frame in Hz, 0 where the frame leaves it to the file's header."""
    block_code, code = frame[2] >> 4, frame[2] & 15
    # Behind 4 bytes come the frame's number, in as many bytes as its first has leading ones, and its size.
    ones = 8 - (~frame[4] & 0xFF).bit_length()
    place = 4 + max(1, ones) + {6: 1, 7: 2}.get(block_code, 0)
    match code:
        case 12:
            return 1000 * int.from_bytes(frame[place : place + 1], "big")
        case 13:
            return int.from_bytes(frame[place : place + 2], "big")
        case 14:
            return 10 * int.from_bytes(frame[place : place + 2], "big")
        case _:
            return _RATES.get(code, 0)
