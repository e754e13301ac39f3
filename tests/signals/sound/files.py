"""Sound files made without the code under test: WAV chunk by chunk, FLAC by libsndfile."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import soundfile

RATE = 8000
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def form(tag: int, bits: int, channels: int = 1, rate: int = RATE, extra: bytes = b"") -> bytes:
    align = channels * bits // 8
    return struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits) + extra


def extensible(tag: int, bits: int, channels: int = 1) -> bytes:
    return form(EXTENSIBLE, bits, channels, extra=struct.pack("<HHIH", 22, bits, 0, tag) + GUID)


def riff(*chunks: bytes, size: int | None = None, name: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(body) if size is None else size) + body


def packed(whole: np.ndarray, bits: int) -> bytes:
    """Whole numbers `[n, C]` as the samples of a WAV file."""
    if bits == 8:
        return (whole + 128).astype(np.uint8).tobytes()
    octets = whole.astype("<i4").reshape(-1, 1).view(np.uint8)
    return octets[:, : bits // 8].tobytes()


def wav(samples: np.ndarray, bits: int = 16, *, wide: bool = False, rate: int = RATE) -> bytes:
    """A WAV of whole numbers `[n, C]`, or of floats of 32 or 64 bits."""
    tag = FLOAT if samples.dtype.kind == "f" else PCM
    body = samples.astype(f"<f{bits // 8}").tobytes() if tag == FLOAT else packed(samples, bits)
    channels = samples.shape[1]
    header = extensible(tag, bits, channels) if wide else form(tag, bits, channels, rate)
    return riff(chunk(b"fmt ", header), chunk(b"data", body))


def flac(whole: np.ndarray, bits: int = 16, rate: int = RATE) -> bytes:
    """A FLAC of whole numbers `[n, C]`."""
    buffer = io.BytesIO()
    subtype = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24"}[bits]
    top = whole.astype(np.int32) << (32 - bits)
    soundfile.write(buffer, top, rate, format="FLAC", subtype=subtype)
    return buffer.getvalue()


def tones(count: int = 500, channels: int = 1, bits: int = 16, seed: int = 0) -> np.ndarray:
    """Whole numbers `[n, C]`: a tone for each channel and some noise, the largest a third of full scale."""
    rng = np.random.default_rng(seed)
    time = np.arange(count)[:, None] / RATE
    sound = np.sin(2 * np.pi * 440 * (1 + np.arange(channels)) * time) + 0.1 * rng.normal(
        size=(count, channels)
    )
    whole = np.rint(sound / np.abs(sound).max() * 2 ** (bits - 1) / 3)
    return whole.astype(np.int64)


def changed(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def info(data: bytes) -> dict[str, Any]:
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        return {
            "rate": file.samplerate,
            "channels": file.channels,
            "subtype": file.subtype,
            "frames": file.frames,
        }
