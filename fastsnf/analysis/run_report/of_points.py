"""What a report shows of values at scattered points: means of those that project onto a pixel."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from fastsnf.analysis.run_report import reconstructed
from fastsnf.analysis.run_report.gallery import Gallery, Group
from fastsnf.analysis.run_report.of_grid import comparable, magnitudes
from fastsnf.analysis.run_report.picture import errors, levels

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.train import FitResult

MOST_POINTS = 1 << 20
"""Points that are looked at, evenly spread."""
MOST_SIDES = 3
PIXELS = 256


def gallery(result: FitResult, signal: Signal) -> Gallery:
    """Return target, reconstruction and error of a fitted cloud, seen along one axis after the other."""
    step = -(-signal.size // MOST_POINTS)
    index = torch.arange(0, signal.size, step)
    places = signal.batch(index)[0].double().numpy()
    weights = None if signal.weights is None else signal.weights[index]
    target, found, said = comparable(signal.targets(index), reconstructed.at(result, signal, index), weights)
    shown = [magnitudes(target, weights), magnitudes(found, weights)]
    error = magnitudes(found - target, weights, absolute=True)
    there = shown[0][np.isfinite(shown[0])]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
    side = max(8, min(PIXELS, int(np.sqrt(len(index)))))
    groups = []
    columns = places if places.shape[1] > 1 else np.repeat(places, 2, axis=1)
    for down, across in list(combinations(range(columns.shape[1]), 2))[:MOST_SIDES]:
        at = columns[:, [down, across]]
        before, after, difference = (projected(at, values, side) for values in (*shown, error))
        pictures = [
            levels("before: the target", before, low, high),
            levels("after: the reconstruction", after, low, high),
            errors("absolute error", difference),
        ]
        title = f"Axis {down} down, axis {across} across" if places.shape[1] > 1 else ""
        note = "means of the points in each pixel; grey: none"
        groups.append(Group(title, pictures, "; ".join(filter(None, (said, note)))))
    return Gallery(groups)


def projected(at: NDArray[np.float64], values: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Return the means `[side, side]` of `values` `[n]` at places `at` `[n, 2]` in [-1, 1]; NaN without."""
    known = np.isfinite(values)
    pixels = np.clip(((at[known] + 1) / 2 * side).astype(np.int64), 0, side - 1)
    flat = pixels[:, 0] * side + pixels[:, 1]
    counts = np.bincount(flat, minlength=side * side)
    sums = np.bincount(flat, weights=values[known].astype(np.float64), minlength=side * side)
    means = np.divide(sums, counts, out=np.full(side * side, np.nan), where=counts > 0)
    return means.reshape(side, side)
