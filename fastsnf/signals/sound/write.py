"""Writing WAV and FLAC files: clip, quantise, encode with libsndfile, and put in place in one step."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_write
from fastsnf.signals.optional import require
from fastsnf.signals.sound.header import BITS, FLOATS

CONTAINERS: dict[str, str] = {".wav": "WAV", ".flac": "FLAC"}
"""libsndfile's format for each suffix."""

WRITTEN: dict[str, dict[str, str]] = {
    # A field errs by less than the steps of 8 bits, and its values are float32.
    "WAV": {"PCM_S8": "PCM_16", "PCM_U8": "PCM_16", "DOUBLE": "FLOAT"},
    "FLAC": {
        "PCM_S8": "PCM_16",
        "PCM_U8": "PCM_16",
        "PCM_32": "PCM_24",
        "FLOAT": "PCM_24",
        "DOUBLE": "PCM_24",
    },
}
"""The sample type that is written for that of the source, where it is another."""

MOST_WAV_BYTES = 2**32 - 4096
"""The sizes in a WAV file have 32 bits."""


def write_sound(samples: NDArray[np.float32], rate: int, subtype: str, path: str | os.PathLike[str]) -> None:
    """Write `samples`, float32 `[n, C]`, at `rate` frames a second in the format of the suffix.

    The file appears whole or not at all. Whole numbers are rounded, ``round(x 2^(bits - 1))``, and clipped to
    what the type holds; NaN becomes 0.

    Args:
        samples: within [-1, 1] for whole numbers.
        rate: frames a second.
        subtype: the sample type of the source, a key of `fastsnf.signals.sound.header.BITS`; see `WRITTEN`.
        path: ends in one of `CONTAINERS`.

    Raises:
        InputError: another suffix, a rate, number of channels or length that the format does not have,
            samples beyond 1 for whole numbers, or a place that cannot be written.
        RunError: the disk is full or failed.
    """
    soundfile = require("soundfile", "audio", "sounds")
    path = Path(path)
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise InputError(
            f"expected a sound file ending in {' or '.join(CONTAINERS)}; got {str(path)!r}; name it so"
        )
    kind = WRITTEN[container].get(subtype, subtype)
    octets = samples.size * BITS[kind] // 8
    if container == "WAV" and octets > MOST_WAV_BYTES:
        raise InputError(
            f"expected a sound that a WAV file can hold, {MOST_WAV_BYTES} bytes; got {octets}; choose a "
            "lower rate or write .flac"
        )
    buffer = io.BytesIO()  # libsndfile passes no error of a disk on
    try:
        soundfile.write(buffer, _quantised(samples, kind), rate, format=container, subtype=kind)
    except (soundfile.LibsndfileError, ValueError, TypeError, OverflowError) as cause:
        raise InputError(
            f"expected a sound that {container} can hold; got {samples.shape[1]} channels at {rate} Hz "
            f"({cause}); write .wav or choose another rate"
        ) from cause
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def _quantised(samples: NDArray[np.float32], kind: str) -> NDArray[np.float32] | NDArray[np.int32]:
    """Return samples as libsndfile takes them: floats, or whole numbers at the top of 32 bits.

    Its own conversion from floats multiplies by ``2^(bits - 1) - 1``, and on the way back it divides by
    ``2^(bits - 1)``: a sound would come back smaller.
    """
    finite = np.nan_to_num(samples, nan=0.0)
    if kind in FLOATS:
        return finite
    peak = float(np.abs(finite).max(initial=0.0))
    if peak > 1.0:
        raise InputError(
            f"expected samples within [-1, 1] for whole numbers; got {peak:g}, from a source of floats; "
            "write .wav"
        )
    top = 2 ** (BITS[kind] - 1)
    whole = np.clip(np.rint(finite.astype(np.float64) * top), -top, top - 1)
    return whole.astype(np.int32) << np.int32(32 - BITS[kind])
