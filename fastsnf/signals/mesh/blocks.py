"""The blocks of a grid that a mesh touches. In the others all points are inside or all are outside.

Needs NumPy alone: the child process that evaluates winding numbers imports it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1 << 15
"""Triangles that are looked at together."""

_LARGE = 6
"""Triangles whose box spans more blocks than this along an axis are cut in two, for the box to fit."""

_LOOK, _MOSTLY = 64, 0.5
"""How often to see whether more than this share is touched: then all blocks may as well be evaluated."""

_SLACK = 1e-6
"""Coordinates, in steps of the grid, that a box is made larger by: far above all rounding here."""


def block_counts(shape: Sequence[int], side: int) -> tuple[int, ...]:
    """Return how many blocks a grid of `shape` has along each axis; the last ones may be smaller."""
    return tuple(-(-size // side) for size in shape)


def touched_blocks(
    triangles: NDArray[np.float64], shape: Sequence[int], bounds: Sequence[Sequence[float]], side: int
) -> NDArray[np.bool_]:
    """Return whether the box of a triangle, or of a piece of it, meets a block: bool, one for each block.

    A block is the closed box that its points span. The answer errs on the side of touching. Where no
    triangle touches a block, two of its points are joined by a segment that crosses no triangle, and so have
    the same winding number if the mesh is closed.

    Args:
        triangles: their corners, `[F, 3, 3]`, in the coordinates of the grid.
        shape: points along each axis, 2 or more.
        bounds: (low, high) of each axis.
        side: points of a block along each axis.
    """
    touched = np.zeros(block_counts(shape, side), dtype=np.bool_)
    low = np.array([ends[0] for ends in bounds])
    step = np.array([(high - low) / (size - 1) for (low, high), size in zip(bounds, shape, strict=True)])
    waiting = [triangles[first : first + _AT_ONCE] for first in range(0, len(triangles), _AT_ONCE)]
    pieces: list[NDArray[np.float64]] = []  # in steps of the grid; the last ones first, so that few wait
    rounds = 0
    while waiting or pieces:
        part = pieces.pop() if pieces else (waiting.pop() - low) / step
        lowest, highest = _spans(part, shape, side)
        large = ((highest - lowest) >= _LARGE).any(axis=1)
        _mark(touched, lowest[~large], highest[~large])
        if large.any():
            halves = _halves(part[large])
            pieces += [halves[first : first + _AT_ONCE] for first in range(0, len(halves), _AT_ONCE)]
        rounds += 1
        if rounds % _LOOK == 0 and touched.mean() > _MOSTLY:
            touched[:] = True
            break
    return touched


def _spans(
    pieces: NDArray[np.float64], shape: Sequence[int], side: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last block, along each axis, that the box of each piece meets, `[F, 3]`.

    Block b spans the points from ``side b`` to ``side b + side - 1``; a box between two blocks meets neither:
    then first > last.
    """
    most = np.array(block_counts(shape, side)) - 1
    lowest = np.ceil((pieces.min(axis=1) - _SLACK - (side - 1)) / side).astype(np.int64)
    highest = np.floor((pieces.max(axis=1) + _SLACK) / side).astype(np.int64)
    return np.clip(lowest, 0, None), np.minimum(highest, most)


def _mark(touched: NDArray[np.bool_], lowest: NDArray[np.int64], highest: NDArray[np.int64]) -> None:
    """Set the blocks from `lowest` to `highest` `[F, 3]`, at most `_LARGE` along each axis."""
    for i in range(_LARGE):
        for j in range(_LARGE):
            for k in range(_LARGE):
                place = lowest + np.array([i, j, k])
                within = (place <= highest).all(axis=1)
                touched[tuple(place[within].T)] = True


def _halves(pieces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return triangles `[F, 3, 3]` cut in two at the middle of their longest side, `[2 F, 3, 3]`."""
    sides = np.linalg.norm(pieces - np.roll(pieces, -1, axis=1), axis=2)
    order = (sides.argmax(axis=1)[:, None] + np.arange(3)) % 3
    a, b, c = np.moveaxis(np.take_along_axis(pieces, order[:, :, None], axis=1), 1, 0)
    middle = (a + b) / 2
    return np.concatenate([np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)])
