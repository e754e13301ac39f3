"""What every signal offers: points, values, weights, batches, and the means to render without the data."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.grid import Grid, checked_shape
from fastsnf.signals.kinds import DEFAULTS, FieldDefaults
from fastsnf.signals.rendering import Rendering

CACHED_POINTS = 1 << 24
"""Signals of up to this many points keep their coordinates in memory (128 MiB for two axes)."""

DIGEST_POINTS = 1 << 20
"""Points of a signal that its digest reads at most, evenly spread."""


class Signal(ABC):
    """Values `[N, C]` at N points, on a grid in [-1, 1]^D as a rule, perhaps with a weight for each point.

    A signal too large for memory holds no values: it overrides `targets`, `check`, `digest` and `rendering`,
    and the trainer reads it batch by batch.

    Args:
        shape: the grid, last axis fastest; ``N = prod(shape)`` and ``D = len(shape)``.
        out_features: C.
        values: float32 `[N, C]`, or None for a signal that is only described (`from_metadata`).
        weights: float32 `[N]`, 0 or more, 0 where nothing is known; None when every point counts alike.
        grid: the grid of `shape` where its bounds or columns are not the usual ones.

    Attributes:
        kind: the word for this kind of signal in files and on the command line.
        default_name: the file name of its reconstruction in a run folder.
        metrics: what a fit reports of it beside ``psnr``: names of `fastsnf.train.meters.METRICS`.
        unit: names of the user's coordinates, U of them, which `to_coordinates` takes; empty for the place
            along each axis of the grid, counted from 0.
        samples: S, of how many outputs of the field a value is made, by `reduce`.
        sized_by: what the resolution of a rendering may be asked for by: ``size``, ``scale``, ``resolution``
            (`fastsnf render`).
        writes: suffixes of the files that a rendering can be written to; empty for that of `default_name`.
    """

    kind: ClassVar[str]
    default_name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]] = ()
    unit: ClassVar[tuple[str, ...]] = ()
    samples: int = 1
    sized_by: ClassVar[tuple[str, ...]] = ("scale",)
    writes: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        shape: Sequence[int],
        out_features: int,
        values: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        grid: Grid | None = None,
    ) -> None:
        self.shape = checked_shape(shape)
        self.out_features = checked_shape([out_features])[0]
        self.weights = weights
        self._grid = Grid(self.shape) if grid is None else grid
        self._values = values
        if values is not None and values.shape != (self.size, self.out_features):
            expected = [self.size, self.out_features]
            raise InputError(f"expected values of shape {expected}; got {list(values.shape)}")
        if weights is not None and weights.shape != (self.size,):
            raise InputError(f"expected weights of shape [{self.size}]; got {list(weights.shape)}")
        if weights is not None and not (weights.isfinite().all() and (weights >= 0).all() and weights.any()):
            raise InputError(
                "expected finite weights of 0 or more, and at least one point above 0; "
                f"got {self.size} weights between {weights.min():g} and {weights.max():g}"
            )

    def __repr__(self) -> str:
        weighted = ", weighted" if self.weights is not None else ""
        return f"{type(self).__name__}(shape={self.shape}, out_features={self.out_features}{weighted})"

    @property
    def defaults(self) -> FieldDefaults:
        """The defaults of a field that fits this kind of signal."""
        return DEFAULTS[self.kind]

    @property
    def size(self) -> int:
        """The number of points, N."""
        return self._grid.size

    @property
    def in_features(self) -> int:
        """The number of coordinates of a point, D."""
        return self._grid.ndim

    @property
    def values(self) -> Tensor:
        """The values, float32 `[N, C]`; raises `InputError` for a signal without data."""
        if self._values is None:
            raise InputError(
                f"expected a signal with its data; got a {self.kind} that was described by a "
                "checkpoint; open the file"
            )
        return self._values

    @cached_property
    def coords(self) -> Tensor:
        """The coordinates of all points, float32 `[N, D]`, made on first use."""
        return self._grid.points()

    @property
    def held(self) -> bool:
        """Whether the values lie in memory as `values`."""
        return self._values is not None

    def targets(self, index: Tensor | slice) -> Tensor:
        """Return the values, float32 `[B, C]`, of the points `index` (integers `[B]` or a slice)."""
        return self.values[index] if isinstance(index, slice) else torch.index_select(self.values, 0, index)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return (x `[B, D]`, y `[B, C]`, w `[B]` or None) of the points `index` (integers `[B]` or a slice).

        A slice gives views where it can; an index gathers. Large signals never hold their coordinates.
        """
        cached = self.held and self.size <= CACHED_POINTS
        if isinstance(index, slice):
            x = self.coords[index] if cached else self._grid.at(index)
            return x, self.targets(index), None if self.weights is None else self.weights[index]
        x = torch.index_select(self.coords, 0, index) if cached else self._grid.at(index)
        w = None if self.weights is None else torch.index_select(self.weights, 0, index)
        return x, self.targets(index), w

    @property
    def evaluation(self) -> Signal:
        """The signal that a fit is measured on and whose reconstruction it writes: itself, as a rule."""
        return self

    def reduce(self, out: Tensor) -> Tensor:
        """Return the values `[B, C]` that the field's outputs at the coordinates of `batch` stand for.

        Those are the outputs themselves, unless `samples` is above 1: then the coordinates are `[B, S, D]`.
        """
        return out

    def packed(self) -> Tensor | None:
        """Return values that are 0 or 1 as bits, uint8 `[ceil(N / 8)]`; None for a signal without such.

        Bit ``n % 8`` of byte ``n // 8`` is the value of point n.
        """
        return None

    def check(self, mask: Tensor | None = None) -> None:
        """Raise `InputError` unless every value of the points of `mask` `[N]`, None for all, is finite."""
        finite = self.values.isfinite().all(dim=1)
        bad = ~finite if mask is None else ~finite & mask
        count = int(bad.sum())
        if count:
            first = [int(i) for i in torch.unravel_index(bad.nonzero()[0, 0], self.shape)]
            raise InputError(
                f"expected finite values; got NaN or infinity at {count} of {self.size} points, the first at "
                f"{first}: give those points weight 0"
            )

    def digest(self) -> str:
        """Return a SHA-256 of shape, values and weights, of at most `DIGEST_POINTS` points."""
        stride = -(-self.size // DIGEST_POINTS)
        parts: list[Tensor] = [self.values[::stride]]
        if self.weights is not None:
            parts.append(self.weights[::stride])
        hasher = hashlib.sha256(json.dumps([list(self.shape), self.kind, len(parts)]).encode())
        for part in parts:
            hasher.update(part.detach().cpu().contiguous().numpy().tobytes())
        return hasher.hexdigest()

    def grid(self, shape: Sequence[int]) -> Tensor:
        """Return the coordinates of a rendering with `shape` points, float32 `[prod(shape), D]`."""
        return self.grid_of(shape).points()

    def grid_of(self, shape: Sequence[int]) -> Grid:
        """Return the grid of a rendering with `shape` points, for those who decode it in chunks."""
        if len(checked_shape(shape)) != self.in_features:
            raise InputError(
                f"expected a shape of {self.in_features} axes for a {self.kind}; got {tuple(shape)}"
            )
        return self._grid.resampled(shape)

    def coordinates_of(self, shape: Sequence[int], index: Tensor | slice) -> Tensor:
        """Return the coordinates, float32 `[B, D]`, of points `index` of a rendering with `shape` points."""
        return self.grid_of(shape).at(index)

    def rendering(self, shape: Sequence[int]) -> Rendering:
        """Return what gathers a rendering with `shape` points chunk by chunk and writes it."""
        return Rendering(self, self.grid_of(shape).shape)

    def to_coordinates(self, points: ArrayLike | Tensor) -> Tensor:
        """Return the field's coordinates, float32 `[..., D]`, of `points` `[..., U]` in the units of `unit`.

        Here a point is a place on the grid, counted from 0 along each axis, fractions and places beyond the
        ends allowed. Computed in float64 and rounded once: the points of the signal have its own coordinates.

        >>> from fastsnf.signals import Image
        >>> Image((3, 5), 1).to_coordinates([[0, 0], [1, 0.5], [2, 4]])  # row, column
        tensor([[-1.0000, -1.0000],
                [ 0.0000, -0.7500],
                [ 1.0000,  1.0000]])

        Raises:
            InputError: anything but numbers `[..., U]`.
        """
        return self._grid.located(self._checked_points(points))

    def to_units(self, values: Tensor) -> Tensor:
        """Return `values` `[..., C]` of the field in the user's units; here they are the same."""
        return values

    def metadata(self) -> dict[str, Any]:
        """Return what `from_metadata` needs to render without the data: JSON-able, no paths, no values."""
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "out_features": self.out_features,
            "coordinates": "linspace(-1, 1) with both ends on each axis, last axis fastest",
        }

    @classmethod
    @abstractmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the signal, without its data, that `metadata` describes, or raise `InputError`."""

    @abstractmethod
    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write `values` `[prod(shape), C]` of a rendering with `shape` points as a file of this kind."""

    def _checked_points(self, points: ArrayLike | Tensor) -> Tensor:
        """Return `points` `[..., U]` in float64, on their device, or raise `InputError`."""
        expected = len(self.unit) or self.in_features
        names = f" ({', '.join(self.unit)})" if self.unit else ""
        try:
            found = torch.as_tensor(points)
            if found.is_complex() or found.dtype == torch.bool:
                raise TypeError(f"{found.dtype}")
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise InputError(
                f"expected points of a {self.kind} as numbers [..., {expected}]{names}; got {error}"
            ) from error
        if found.dim() == 0 or found.shape[-1] != expected:
            raise InputError(
                f"expected points of a {self.kind} of shape [..., {expected}]{names}; got {list(found.shape)}"
            )
        return found.to(torch.float64)

    def _checked_rendering(self, values: Tensor, shape: Sequence[int]) -> Tensor:
        """Return `values` as `[*shape, C]` on the CPU in float32, or raise `InputError`."""
        grid = self.grid_of(shape)
        if values.shape != (grid.size, self.out_features):
            expected = [grid.size, self.out_features]
            raise InputError(f"expected rendered values of shape {expected}; got {list(values.shape)}")
        return values.detach().to("cpu", torch.float32).reshape(*grid.shape, self.out_features)
