"""The grid of signed distances that a `fastsnf.signals.SignedDistance` is measured on and rendered from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from numpy.typing import ArrayLike
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.bit_rendering import WRITES, BitRendering
from fastsnf.signals.frame import Frame
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.signal import Signal


class DistanceGrid(Signal):
    """Distances at the points of a grid over [-1, 1]^3; its renderings are meshes of where they are 0.

    Args:
        shape: points along x, y and z.
        frame: the mesh's own units.
        values: float32 `[N, 1]`, negative inside; None when only described.
    """

    kind: ClassVar[str] = "sdf"
    default_name: ClassVar[str] = "reconstruction.ply"
    metrics: ClassVar[tuple[str, ...]] = ("iou", "mae")
    sized_by: ClassVar[tuple[str, ...]] = ("resolution", "scale")
    writes: ClassVar[tuple[str, ...]] = WRITES
    unit: ClassVar[tuple[str, ...]] = ("x", "y", "z")

    def __init__(self, shape: Sequence[int], frame: Frame, values: Tensor | None = None) -> None:
        super().__init__(shape, 1, values)
        if self.in_features != 3 or len(frame.scale) != 3:
            raise InputError(f"expected a grid and a frame of three axes; got {self.shape} and {frame}")
        self.frame = frame

    def inside(self, values: Tensor) -> Tensor:
        """Return whether distances mean inside, as many bools; NaN does not."""
        return values <= 0

    def rendering(self, shape: Sequence[int]) -> Rendering:
        """Return what keeps which points are inside, and of a grid with data the distances too."""
        kind = DistanceRendering if self.held else BitRendering
        return kind(self, self.grid_of(shape).shape, 0.0, below=True)

    def to_coordinates(self, points: ArrayLike | Tensor) -> Tensor:
        """Return the coordinates of `points` `[..., 3]` in the mesh's units."""
        return self.frame.to_coordinates(self._checked_points(points)).float()

    def to_units(self, values: Tensor) -> Tensor:
        """Return distances in the mesh's units."""
        return values / self.frame.scale[0]

    def metadata(self) -> dict[str, Any]:
        """Return a JSON-able description: what `Signal.metadata` has, and the frame."""
        return {**super().metadata(), "frame": self.frame.metadata()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the grid, without its distances, that `metadata` describes."""
        shape = metadata.get("shape")
        return cls(shape if isinstance(shape, list) else [], Frame.from_metadata(metadata.get("frame"), 3))

    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write the mesh where the distances `values` `[N, 1]` at `shape` points are 0, in the mesh's units.

        Marching cubes sees which points are inside: the surface lies within half a step of the grid.

        Raises:
            InputError: another suffix than those of `writes`, nothing inside, or a place that cannot be
                written.
            RunError: the disk is full or failed.
        """
        checked = self._checked_rendering(values, shape)
        rendering = BitRendering(self, checked.shape[:3], 0.0, below=True)
        rendering.add(0, checked.reshape(-1, 1))
        rendering.write(path)


class DistanceRendering(BitRendering):
    """Which points are inside, and the distances themselves, which a fit's result has as its values."""

    def add(self, start: int, values: Tensor) -> None:
        """Take the distances `[B, 1]` of the points from number `start` on."""
        super().add(start, values)
        Rendering.add(self, start, values)
