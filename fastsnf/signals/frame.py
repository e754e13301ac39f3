"""`Frame`: where the coordinates of a field lie in the user's own units: a mesh's, or voxels of a grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.described import described_numbers
from fastsnf.signals.grid import Grid


@dataclass(frozen=True)
class Frame:
    """The user's point p and the coordinate x of the same place, axis by axis: ``x = (p - centre) * scale``.

    Both are in the order of the grid's axes, whatever order the grid gives its columns.

    Args:
        scale: of each axis, above 0; for a mesh the same three times.
        centre: the user's point at the coordinates 0.
    """

    scale: tuple[float, ...]
    centre: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = (*self.scale, *self.centre)
        if (
            len(self.scale) != len(self.centre)
            or not all(map(math.isfinite, numbers))
            or min(self.scale, default=0.0) <= 0
        ):
            raise InputError(
                f"expected a scale above 0 and a centre for each axis; got {self.scale!r} and {self.centre!r}"
            )

    @classmethod
    def identity(cls, axes: int) -> Self:
        """Return the frame in which the user's units are the coordinates themselves."""
        return cls((1.0,) * axes, (0.0,) * axes)

    @classmethod
    def of_voxels(cls, grid: Grid, origin: Sequence[int] | None = None) -> Self:
        """Return the frame of a grid whose user counts voxels, from `origin` (by default 0) at its corner."""
        first = (0,) * grid.ndim if origin is None else tuple(origin)
        scales, centres = [], []
        for size, (low, high), corner in zip(grid.shape, grid.bounds, first, strict=True):
            scale = (high - low) / (size - 1) if size > 1 and high > low else 1.0
            scales.append(scale)
            centres.append(corner + (size - 1) / 2 - (low + high) / 2 / scale)
        return cls(tuple(scales), tuple(centres))

    def to_coordinates(self, points: Tensor) -> Tensor:
        """Return the coordinates of the user's `points`, both `[..., D]` in the order of the axes."""
        scale, centre = self._tensors(points)
        return ((points.double() - centre) * scale).to(_dtype(points))

    def to_units(self, coordinates: Tensor) -> Tensor:
        """Return the user's points at `coordinates`, both `[..., D]` in the order of the axes."""
        scale, centre = self._tensors(coordinates)
        return (centre + coordinates.double() / scale).to(_dtype(coordinates))

    def _tensors(self, like: Tensor) -> tuple[Tensor, Tensor]:
        if like.ndim == 0 or like.shape[-1] != len(self.scale):
            raise InputError(f"expected points [..., {len(self.scale)}]; got {list(like.shape)}")
        return tuple(  # type: ignore[return-value]
            torch.tensor(values, dtype=torch.float64, device=like.device)
            for values in (self.scale, self.centre)
        )

    def metadata(self) -> dict[str, Any]:
        """Return the frame as `from_metadata` reads it, JSON-able."""
        return {"scale": list(self.scale), "centre": list(self.centre)}

    @classmethod
    def from_metadata(cls, metadata: object, axes: int) -> Self:
        """Return the frame of `axes` axes that `metadata` describes, or raise `InputError`."""
        found = metadata if isinstance(metadata, Mapping) else {}
        return cls(*(described_numbers(found, "a frame", key, axes) for key in ("scale", "centre")))


def _dtype(points: Tensor) -> torch.dtype:
    return points.dtype if points.is_floating_point() else torch.get_default_dtype()
