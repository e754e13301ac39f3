"""Where a mesh lies in coordinates, and the grid around it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import check_whole
from fastsnf.signals.bits import checked_voxels
from fastsnf.signals.frame import Frame
from fastsnf.signals.grid import Grid

REACH = 0.95
"""The longest side of a mesh spans [-REACH, REACH]."""

LEAST, MOST = 8, 4096
"""Points along the longest axis."""


@dataclass(frozen=True)
class Placement:
    """A grid around a mesh and the frame that puts the mesh into it.

    Attributes:
        shape: points along x, y and z.
        bounds: (low, high) of each axis.
        frame: the mesh's own units.
    """

    shape: tuple[int, int, int]
    bounds: tuple[tuple[float, float], ...]
    frame: Frame

    @classmethod
    def of(cls, vertices: NDArray[np.float64], resolution: int) -> Self:
        """Return the placement of `vertices` `[V, 3]`, which span some volume.

        One scale for all axes makes the longest side of their box span [-0.95, 0.95], its middle at 0. That
        axis has `resolution` points from -1 to 1; the others have, at the same distance and symmetric about
        0, as many as leave at least the same margin of 0.05.

        Raises `InputError` for a resolution beyond 8 to 4096.
        """
        check_whole("the resolution of a mesh", resolution, LEAST, MOST)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        extent = high - low
        scale = 2 * REACH / float(extent.max())
        step = 2 / (resolution - 1)
        counts = []
        for side in extent:
            half = float(side) * scale / 2 + (1 - REACH)
            # a whole number of steps may come out a rounding error above itself
            counts.append(min(resolution, math.ceil(2 * half / step - 1e-9) + 1))
        shape = checked_voxels(
            [resolution if side == extent.max() else n for side, n in zip(extent, counts, strict=True)]
        )
        bounds = tuple(
            (-step * (n - 1) / 2, step * (n - 1) / 2) if n != resolution else (-1.0, 1.0) for n in shape
        )
        return cls(shape, bounds, Frame((scale,) * 3, tuple(((low + high) / 2).tolist())))  # type: ignore[arg-type]

    def grid(self, columns: tuple[int, ...] = ()) -> Grid:
        """Return the grid, its coordinates in the order of `columns`."""
        return Grid(self.shape, self.bounds, columns)

    def placed(self, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the coordinates of `vertices` `[V, 3]` in the mesh's units."""
        return (vertices - np.array(self.frame.centre)) * np.array(self.frame.scale)

    def metadata(self) -> dict[str, Any]:
        """Return the placement as `from_metadata` reads it, JSON-able."""
        return {"shape": list(self.shape), "bounds": [list(b) for b in self.bounds], **self.frame.metadata()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the placement that `metadata` describes."""
        grid = Grid(tuple(metadata["shape"]), tuple((low, high) for low, high in metadata["bounds"]))
        return cls(grid.shape, grid.bounds, Frame.from_metadata(metadata, 3))  # type: ignore[arg-type]
