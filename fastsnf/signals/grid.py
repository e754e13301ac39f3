"""Regular grids over [-1, 1]^D or other boxes: the coordinates of every signal that is sampled on one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsnf.errors import InputError

UNIT = (-1.0, 1.0)
"""The bounds of an axis unless a grid says otherwise."""


def axis_coordinates(size: int, low: float = -1.0, high: float = 1.0) -> Tensor:
    """Return ``linspace(low, high, size)`` with both ends, float32 `[size]`; the middle for one point.

    Computed in float64 and rounded once, so that the entry i is the same whichever way it is asked for.
    """
    if size == 1:
        return torch.full((1,), (low + high) / 2)
    return _coordinate(torch.arange(size, dtype=torch.float64), size, low, high).float()


def _coordinate(places: Tensor, size: int, low: float, high: float) -> Tensor:
    """Return the coordinates of float64 `places`, counted from 0, on an axis of 2 points or more."""
    centred = (2.0 * places - (size - 1)) / (size - 1)
    return centred if (low, high) == UNIT else (low + high) / 2 + (high - low) / 2 * centred


@dataclass(frozen=True)
class Grid:
    """A grid of ``prod(shape)`` points, the last axis fastest, described by its shape and bounds alone.

    Point n has the coordinate ``axes()[a][i_a]`` along each axis a, where ``(i_a)`` unravels n; column
    c of its coordinates is that along axis ``columns[c]``. Nothing of the size of the grid is held: `points`
    makes all the coordinates, `at` those of some points.

    Args:
        shape: points along each of the D axes.
        bounds: (low, high) of each axis; by default [-1, 1] for all.
        columns: the axis of each coordinate; by default in order.
    """

    shape: tuple[int, ...]
    bounds: tuple[tuple[float, float], ...] = ()
    columns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        shape = checked_shape(self.shape)
        bounds = tuple((float(low), float(high)) for low, high in self.bounds) or (UNIT,) * len(shape)
        columns = tuple(self.columns) or tuple(range(len(shape)))
        if len(bounds) != len(shape) or not all(math.isfinite(end) for pair in bounds for end in pair):
            raise InputError(f"expected finite bounds (low, high) of {len(shape)} axes; got {self.bounds!r}")
        if sorted(columns) != list(range(len(shape))):
            raise InputError(f"expected each of {len(shape)} axes once as a column; got {self.columns!r}")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "bounds", bounds)
        object.__setattr__(self, "columns", columns)

    @property
    def ndim(self) -> int:
        """The number of axes, D."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of points, N."""
        return math.prod(self.shape)

    @property
    def strides(self) -> tuple[int, ...]:
        """How far apart the numbers of neighbours along each axis are."""
        return tuple(math.prod(self.shape[axis + 1 :]) for axis in range(self.ndim))

    def resampled(self, shape: Sequence[int]) -> Grid:
        """Return the grid of `shape` points within the same bounds, its columns in the same order."""
        return Grid(tuple(shape), self.bounds, self.columns)

    def axes(self) -> list[Tensor]:
        """Return the coordinates along each axis, float32 `[shape[d]]`."""
        return [axis_coordinates(size, *ends) for size, ends in zip(self.shape, self.bounds, strict=True)]

    def points(self) -> Tensor:
        """Return the coordinates of all points, float32 `[N, D]`."""
        mesh = torch.meshgrid(*self.axes(), indexing="ij")
        return torch.stack([mesh[axis] for axis in self.columns], dim=-1).reshape(-1, self.ndim)

    def at(self, index: Tensor | slice) -> Tensor:
        """Return the coordinates of the points `index` (integers `[B]` or a slice), float32 `[B, D]`."""
        if isinstance(index, slice):
            index = torch.arange(*index.indices(self.size))
        places, axes = torch.unravel_index(index, self.shape), self.axes()
        return torch.stack([axes[axis][places[axis]] for axis in self.columns], dim=-1)

    def located(self, places: Tensor) -> Tensor:
        """Return the coordinates, float32 `[..., D]`, of `places` on the grid, float64 `[..., D]`.

        The place p along an axis is its point number p; fractions lie between points, and places beyond the
        ends beyond the bounds. Whole places have the very coordinates of `points`. An axis of one point has
        no spacing: all of it is its middle.
        """
        columns = []
        for axis in self.columns:
            size, (low, high) = self.shape[axis], self.bounds[axis]
            place = places[..., axis]
            middle = torch.full_like(place, (low + high) / 2)
            columns.append(middle if size == 1 else _coordinate(place, size, low, high))
        return torch.stack(columns, dim=-1).float()


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
