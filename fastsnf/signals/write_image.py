"""Writing pictures: clip, quantise, encode with Pillow, and put in place in one step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_write
from fastsnf.signals.pillow import load_pillow

JPEG_QUALITY = 95
"""Pillow's own advice for the highest useful setting."""

ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": JPEG_QUALITY}),
    ".jpeg": ("JPEG", {"quality": JPEG_QUALITY}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
}
"""Pillow's format and options for each suffix."""


def quantised(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Return ``round(clip(values, 0, 1) (2^bits - 1))`` as uint8 or uint16; NaN becomes 0."""
    top = 2**bits - 1
    unit = np.clip(np.nan_to_num(values, nan=0.0), 0, 1)
    return np.rint(unit.astype(np.float64) * top).astype(np.uint8 if bits == 8 else np.uint16)


def write_picture(samples: NDArray[Any], path: str | os.PathLike[str]) -> None:
    """Write `samples`, uint8 `[H, W]` or `[H, W, 3]` or uint16 `[H, W]`, in the format of the suffix.

    The file appears whole or not at all. JPEG has 8 bits: uint16 samples are rounded to them.

    Raises:
        InputError: a suffix other than those of `ENCODERS`, or a folder that is missing or read-only, or a
            picture too large for the format.
        RunError: the disk is full or failed.
    """
    path = Path(path)
    if path.suffix.lower() not in ENCODERS:
        raise InputError(
            f"expected a picture file ending in {', '.join(ENCODERS)}; got {str(path)!r}; name it so"
        )
    encoder, options = ENCODERS[path.suffix.lower()]
    if encoder == "JPEG" and samples.dtype == np.uint16:
        samples = np.rint(samples / 257).astype(np.uint8)
    image = load_pillow().fromarray(samples)
    with atomic_write(path) as file:
        try:
            image.save(file, format=encoder, **options)
        except ValueError as cause:
            size = f"{image.width}x{image.height}"
            raise InputError(
                f"expected a picture that {encoder} can hold; got {size} ({cause}); write .png instead"
            ) from cause
