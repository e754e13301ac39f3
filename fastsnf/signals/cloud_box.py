"""Where the points of a cloud lie: the frame that makes coordinates of them, and the box around these."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastsnf.errors import InputError
from fastsnf.signals.frame import Frame

MAX_AXES = 16
"""Coordinates that a point may have."""


def frame_of(points: np.ndarray[Any, Any]) -> Frame:
    """Return SIREN's frame of `points` `[N, D]`: mean at 0, then one scale, least and greatest at -1 and 1.

    Raises:
        InputError: points that are not finite, or all the same.
    """
    if not np.isfinite(points).all():
        raise InputError("expected finite points; got NaN or infinity: leave those points out")
    mean = points.mean(axis=0)
    low, high = float((points - mean).min()), float((points - mean).max())
    scale = 2 / (high - low) if high > low else math.inf
    if not math.isfinite(scale) or not math.isfinite(high):
        raise InputError(
            f"expected points that differ; got {len(points)} within {high - low:g} of each other"
        )
    return Frame((scale,) * points.shape[1], tuple((mean + (low + high) / 2).tolist()))
