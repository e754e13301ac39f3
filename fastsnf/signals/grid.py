"""Regular grids over [-1, 1]^D: the coordinates of every signal that is sampled on one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsnf.errors import InputError


def axis_coordinates(size: int) -> Tensor:
    """Return ``linspace(-1, 1, size)`` with both ends, float32 `[size]`; 0 for an axis of one point.

    Computed in float64 and rounded once, so that the entry i is the same whichever way it is asked for.
    """
    if size == 1:
        return torch.zeros(1)
    steps = torch.arange(size, dtype=torch.float64)
    return ((2.0 * steps - (size - 1)) / (size - 1)).float()


@dataclass(frozen=True)
class Grid:
    """A grid of ``prod(shape)`` points, the last axis fastest, described by its shape alone.

    Point ``n`` has the coordinates ``(axis_coordinates(shape[d])[i_d])_d`` where ``(i_d)`` unravels ``n``.
    Nothing of the size of the grid is held: `points` makes all the coordinates, `at` those of some points.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", checked_shape(self.shape))

    @property
    def ndim(self) -> int:
        """The number of axes, D."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of points, N."""
        return math.prod(self.shape)

    def axes(self) -> list[Tensor]:
        """Return the coordinates along each axis, float32 `[shape[d]]`."""
        return [axis_coordinates(size) for size in self.shape]

    def points(self) -> Tensor:
        """Return the coordinates of all points, float32 `[N, D]`."""
        return torch.stack(torch.meshgrid(*self.axes(), indexing="ij"), dim=-1).reshape(-1, self.ndim)

    def at(self, index: Tensor | slice) -> Tensor:
        """Return the coordinates of the points `index` (integers `[B]` or a slice), float32 `[B, D]`."""
        if isinstance(index, slice):
            index = torch.arange(*index.indices(self.size))
        places = torch.unravel_index(index, self.shape)
        return torch.stack([axis[i] for axis, i in zip(self.axes(), places, strict=True)], dim=-1)


def checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return `shape` as a tuple of at least one positive integer, or raise `InputError`."""
    sizes = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else ()
    if not sizes or not all(type(size) is int and size >= 1 for size in sizes):
        raise InputError(f"expected a shape of one or more positive whole numbers; got {shape!r}")
    return sizes


def holdout_split(shape: Sequence[int], every: int) -> tuple[Tensor, Tensor]:
    """Split the points of a grid into every K-th along each axis, to train on, and the rest, to test on.

    Args:
        shape: shape of the grid; the first point of each axis belongs to the training set.
        every: K, at least 2.

    Returns:
        (train, test): int64 point numbers in rising order, `[prod(ceil(shape / K))]` and the others.

    Raises:
        InputError: K below 2, or a grid so small that nothing is left to test on.
    """
    sizes = checked_shape(shape)
    if type(every) is not int or every < 2:
        raise InputError(f"expected the hold-out stride to be a whole number of 2 or more; got {every!r}")
    if max(sizes) == 1:
        raise InputError(f"expected a grid of at least 2 points to hold some out; got shape {sizes}")
    chosen = torch.zeros(sizes, dtype=torch.bool)
    chosen[tuple(slice(None, None, every) for _ in sizes)] = True
    flat = chosen.reshape(-1)
    return flat.nonzero().squeeze(1), flat.logical_not().nonzero().squeeze(1)
