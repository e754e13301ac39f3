"""What the engine is told of a regular grid, so that its kernels make the coordinates themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MOST_AXES = 4
"""Axes that the kernels unravel."""

MOST_SIZE = 2**30
"""Points along one axis: places on it are 32-bit numbers."""


@dataclass(frozen=True)
class Grid:
    """Points `begin` to `end` of a grid, the last axis fastest.

    Point i lies at ``torch.linspace(lows[a], highs[a], shape[a])[i_a]`` on each axis a, bit for bit as torch
    computes it in float32 on a CPU with FMA instructions, where ``(i_a)`` unravels i.

    Attributes:
        shape: points along each of up to `MOST_AXES` axes, each at most `MOST_SIZE`.
        lows, highs: coordinates of the ends of each axis; an axis of one point lies at its low end.
        begin, end: the range of row-major indices; they may exceed 2^31.
    """

    shape: tuple[int, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    begin: int
    end: int

    @property
    def rows(self) -> int:
        """The number of points, M."""
        return self.end - self.begin

    @property
    def axes(self) -> int:
        """The number of axes, D."""
        return len(self.shape)

    def reasons(self) -> list[str]:
        """Return why the kernels cannot make these coordinates, nothing when they can."""
        why = []
        if self.axes > MOST_AXES:
            why.append(f"the grid has {self.axes} axes, it takes at most {MOST_AXES}")
        if max(self.shape) > MOST_SIZE:
            why.append(f"an axis has {max(self.shape)} points, it takes at most {MOST_SIZE}")
        if math.prod(self.shape) >= 2**63:
            why.append(f"the grid has {math.prod(self.shape)} points, their index exceeds 64 bits")
        return why

    def arguments(self) -> dict[str, int | float]:
        """Return the kernels' arguments for `MOST_AXES` axes, of one point at 0 where the grid has none."""
        values: dict[str, int | float] = {"begin": self.begin}
        for axis in range(MOST_AXES):
            size, low, high, step = self._axis(axis) if axis < self.axes else (1, 0.0, 0.0, 0.0)
            values |= {f"size{axis}": size, f"low{axis}": low, f"high{axis}": high, f"step{axis}": step}
        return values

    def _axis(self, axis: int) -> tuple[int, float, float, float]:
        """Return size, low, high and step of an axis, the floats rounded as torch rounds them."""
        size, low, high = self.shape[axis], np.float32(self.lows[axis]), np.float32(self.highs[axis])
        if size == 1:
            return 1, float(low), float(low), 0.0
        return size, float(low), float(high), float((high - low) / np.float32(size - 1))


NO_GRID: dict[str, int | float] = Grid((1,), (0.0,), (0.0,), 0, 1).arguments()
"""The same arguments for a kernel that is given points as a tensor."""
