"""Tiny videos: a moving pattern as an array, and files of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from fastsnf.signals.write_video import write_video

FRAMES, H, W = 9, 24, 32
RATE = Fraction(30000, 1001)


def pattern(frames: int = FRAMES, height: int = H, width: int = W, channels: int = 3) -> np.ndarray:
    """Frames uint8 [T, H, W, C] of smooth waves that move."""
    t, y, x = np.mgrid[0:frames, 0:height, 0:width]
    waves = [np.sin(0.3 * t + 0.2 * y), np.cos(0.2 * x - 0.4 * t), np.sin(0.1 * (x + y + t))]
    return np.stack([128 + 100 * wave for wave in waves[:channels]], axis=-1).astype(np.uint8)


def film_file(path: Path, samples: np.ndarray | None = None, rate: Fraction = RATE) -> Path:
    """Write a video file of `samples`, by default of `pattern`, and return its path."""
    write_video(pattern() if samples is None else samples, rate, path)
    return path
