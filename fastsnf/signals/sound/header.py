"""What the header of a sound file promises, in the same words for every format."""

from __future__ import annotations

from dataclasses import dataclass

from fastsnf.errors import InputError

BITS: dict[str, int] = {
    "PCM_S8": 8,
    "PCM_U8": 8,
    "PCM_16": 16,
    "PCM_24": 24,
    "PCM_32": 32,
    "FLOAT": 32,
    "DOUBLE": 64,
}
"""Bits of a sample of each type that is read, by libsndfile's names."""

FLOATS = ("FLOAT", "DOUBLE")
"""The sample types that are not whole numbers: their samples may go beyond 1."""


@dataclass(frozen=True)
class Header:
    """What a sound file says of itself.

    Attributes:
        container: ``WAV`` or ``FLAC``.
        rate: frames a second.
        channels: samples a frame.
        frames: the length of the sound.
        subtype: the type of a sample, a key of `BITS`.
        md5: of all samples, 16 bytes (FLAC); empty where the file has none.
    """

    container: str
    rate: int
    channels: int
    frames: int
    subtype: str
    md5: bytes = b""

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return BITS[self.subtype]


def damaged(name: str, expected: str, got: str) -> InputError:
    """Return the error for a file that breaks what its format promises."""
    return InputError(
        f"expected {expected}; got {got} in {name!r}; the file is damaged or cut short: fetch it again, "
        "or write it anew with ffmpeg or sox if you trust what is left"
    )
