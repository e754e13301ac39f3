"""Planes through a grid of three axes, thinned to what a page shows, without reading the rest of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_SIDE = 512
"""Points along a side of a slice that are shown at most; of more every k-th."""


@dataclass(frozen=True)
class Slice:
    """The points of a grid whose place along one axis is fixed.

    Attributes:
        axis: the axis.
        place: where on it, counted from 0.
        index: the numbers of the points, int64 `[h w]`.
        shape: (h, w): the other two axes in order, rows first.
        thinned: every so many-th point along both is there.
    """

    axis: int
    place: int
    index: Tensor
    shape: tuple[int, int]
    thinned: int

    @property
    def title(self) -> str:
        """What a caption calls it."""
        return f"axis {self.axis} at {self.place}"

    @property
    def note(self) -> str:
        """What a caption says of a thinned slice."""
        return "" if self.thinned == 1 else f"every {self.thinned}th point"


def slice_of(shape: Sequence[int], axis: int, place: int) -> Slice:
    """Return the slice of a grid of `shape`, three axes, at `place` along `axis`."""
    strides = (shape[1] * shape[2], shape[2], 1)
    rows, columns = (other for other in range(3) if other != axis)
    step = max(1, -(-max(shape[rows], shape[columns]) // MOST_SIDE))
    down = torch.arange(0, shape[rows], step)
    across = torch.arange(0, shape[columns], step)
    index = place * strides[axis] + down[:, None] * strides[rows] + across[None, :] * strides[columns]
    return Slice(axis, place, index.reshape(-1), (len(down), len(across)), step)


def middle_slices(shape: Sequence[int]) -> list[Slice]:
    """Return the slices through the middle along each of three axes."""
    return [slice_of(shape, axis, shape[axis] // 2) for axis in range(3)]
