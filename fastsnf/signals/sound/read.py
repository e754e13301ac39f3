"""Reading WAV and FLAC files with libsndfile; hostile, damaged and shortened files end in `InputError`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.described import is_number
from fastsnf.signals.faults import reading
from fastsnf.signals.opened import opened
from fastsnf.signals.optional import require
from fastsnf.signals.sound.flac import MARKER, flac_header
from fastsnf.signals.sound.flac_length import check_no_more
from fastsnf.signals.sound.header import Header, damaged
from fastsnf.signals.sound.wav import wav_header

MAX_SAMPLES = 1 << 28
"""Sounds of more samples, all channels counted, are refused unless the caller raises the limit: 1 GiB, and an
hour and a half of one channel at 48 kHz."""

_BLOCK = 1 << 16  # frames decoded at once

_HEADERS: dict[bytes, Callable[[BinaryIO, str], Header]] = {
    b"RIFF": wav_header,
    b"RF64": wav_header,
    MARKER: flac_header,
}


@dataclass(frozen=True)
class Sound:
    """Samples, float32 `[n, C]` as they are in the file (whole numbers divided to [-1, 1)), and their header.

    `start` is the number of the first frame read.
    """

    samples: NDArray[np.float32]
    header: Header
    start: int


def read_sound(
    path: str | os.PathLike[str],
    *,
    mono: bool = False,
    start: float | None = None,
    duration: float | None = None,
    max_samples: int = MAX_SAMPLES,
) -> Sound:
    """Return the sound in a WAV or FLAC file, or a part of it.

    A WAV file has no checksum: its sizes are held against each other and against the file, so that one cut
    short is seen, but not a sample that changed. A FLAC file is always decoded whole and its samples are
    compared with their MD5; where the file has none, their number is seen to be all there is.

    Args:
        path: a regular file; its content decides the format.
        mono: the mean of the channels instead of the channels.
        start, duration: the part to read, in seconds; by default all.
        max_samples: refuse to read more samples, all channels counted.

    Raises:
        InputError: no such file, not a sound of these kinds, damaged or cut short, too long, or a part that
            it does not have.
    """
    name = os.fsdecode(path)
    if type(max_samples) is not int or max_samples < 1:
        raise InputError(f"expected max_samples to be a positive whole number; got {max_samples!r}")
    soundfile = require("soundfile", "audio", "sounds")
    with opened(path, "sound file") as file:
        read_header = _HEADERS.get(file.read(4))
        if read_header is None:
            raise InputError(
                f"expected a WAV or FLAC file; got {name!r}, whose content is neither; convert it with: "
                "ffmpeg -i IN OUT.wav"
            )
        header = read_header(file, name)
        first, count = _part(header, name, start, duration)
        if count * header.channels > max_samples:
            raise InputError(
                f"expected at most {max_samples} samples; got {count * header.channels} in {name!r}; choose "
                "a part with start and duration or, if you trust the file, raise max_samples"
            )
        with reading(name, "WAV or FLAC"):
            samples = _decoded(soundfile, file, name, header, (first, count), mono)
            if header.container == "FLAC" and not header.md5:
                check_no_more(soundfile, file, name, header)
    return Sound(samples, header, first)


def _part(header: Header, name: str, start: float | None, duration: float | None) -> tuple[int, int]:
    """Return the number of the first frame to read and how many."""
    for key, value in (("start", start), ("duration", duration)):
        if value is not None and not (is_number(value) and value >= 0):
            raise InputError(f"expected {key} in seconds, 0 or more; got {value!r}")
    first = round((start or 0.0) * header.rate)
    count = header.frames - first if duration is None else round(duration * header.rate)
    if count < 1 or first + count > header.frames:
        seconds = header.frames / header.rate
        raise InputError(
            f"expected a part of the {seconds:.6g} s in {name!r}; got start={start} and duration={duration}; "
            "choose another"
        )
    return first, count


def _decoded(
    soundfile: Any, file: BinaryIO, name: str, header: Header, part: tuple[int, int], mono: bool
) -> NDArray[np.float32]:
    """Return the samples of a part, float32 `[n, C]`, or `[n, 1]` of their means."""
    # By its descriptor, so that what is decoded is the file whose header was read.
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    with soundfile.SoundFile(file.fileno(), closefd=False) as decoder:
        found = (decoder.samplerate, decoder.channels, decoder.frames, decoder.subtype)
        promised = (header.rate, header.channels, header.frames, header.subtype)
        if found != promised:
            raise damaged(name, f"{promised} (rate, channels, frames, type)", f"{found} from libsndfile")
        read = _read_flac if header.container == "FLAC" else _read_wav
        return read(decoder, name, header, part, mono)


def _read_wav(
    decoder: Any, name: str, header: Header, part: tuple[int, int], mono: bool
) -> NDArray[np.float32]:
    """Return the samples of a part, of which nothing but the number can be checked."""
    first, count = part
    samples = _empty(count, header, mono)
    decoder.seek(first)
    for place in range(0, count, _BLOCK):
        block = decoder.read(min(_BLOCK, count - place), dtype="float64", always_2d=True)
        if len(block) < min(_BLOCK, count - place):
            raise damaged(name, f"{count} frames", f"{place + len(block)}")
        samples[place : place + len(block)] = _mixed(block, mono)
    return samples


def _read_flac(
    decoder: Any, name: str, header: Header, part: tuple[int, int], mono: bool
) -> NDArray[np.float32]:
    """Return the samples of a part, having decoded them all for their MD5."""
    first, count = part
    samples, hasher = _empty(count, header, mono), hashlib.md5(usedforsecurity=False)
    for place in range(0, header.frames, _BLOCK):
        block = decoder.read(min(_BLOCK, header.frames - place), dtype="int32", always_2d=True)
        if len(block) < min(_BLOCK, header.frames - place):
            raise damaged(name, f"{header.frames} frames", f"{place + len(block)}")
        hasher.update(_octets(block, header.bits))
        begin, end = max(first, place), min(first + count, place + len(block))
        if begin < end:
            wanted = block[begin - place : end - place] / 2.0**31
            samples[begin - first : end - first] = _mixed(wanted, mono)
    if header.md5 and hasher.digest() != header.md5:
        raise damaged(name, f"samples with the MD5 {header.md5.hex()}", hasher.hexdigest())
    return samples


def _octets(block: NDArray[np.int32], bits: int) -> bytes:
    """Return int32 samples as FLAC hashes them: little-endian, frame by frame, in `bits` bits each.

    libsndfile shifts samples of fewer bits to the top of its 32.
    """
    octets = (block >> (32 - bits)).astype("<i4").reshape(-1, 1).view(np.uint8)
    return octets[:, : bits // 8].tobytes()


def _empty(count: int, header: Header, mono: bool) -> NDArray[np.float32]:
    return np.empty((count, 1 if mono else header.channels), dtype=np.float32)


def _mixed(block: NDArray[np.float64], mono: bool) -> NDArray[np.float64]:
    """Return samples `[b, C]`, or the mean of their channels `[b, 1]`."""
    return block.mean(axis=1, keepdims=True) if mono else block
