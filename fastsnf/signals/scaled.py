"""Numbers of any type, in memory or mapped, scaled to [0, 1] when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.errors import InputError

_SLAB_BYTES = 1 << 26
_PART = 1 << 20
"""Points that are scaled at once."""


@dataclass(frozen=True)
class Extent:
    """The range of numbers, which is scaled to [0, 1].

    Attributes:
        low, high: the least and the greatest, finite.
    """

    low: float
    high: float

    @property
    def width(self) -> float:
        """What 1 stands for above `low`: 1 where all numbers are equal, which then become 0."""
        return self.high - self.low or 1.0

    def to_unit(self, numbers: NDArray[Any]) -> NDArray[np.float32]:
        """Return `numbers` scaled, computed in float64 and rounded once; what is NaN becomes 0."""
        scaled = (numbers.astype(np.float64) - self.low) / self.width
        return np.nan_to_num(scaled, nan=0.0).astype(np.float32)

    def to_units(self, values: Tensor) -> Tensor:
        """Return `values` of the field as numbers again, computed in float64, in the dtype of `values`."""
        return (values.double() * self.width + self.low).to(values.dtype)


class Scaled:
    """The numbers `[X, Y, Z, C]` at the points of a grid, kept as they are.

    Args:
        numbers: bool, integers or floats in any order of bytes and axes, perhaps a memory map.
        extent: their range.
    """

    def __init__(self, numbers: NDArray[Any], extent: Extent) -> None:
        self.numbers, self.extent = numbers, extent
        self._rows = numbers.reshape(-1, numbers.shape[-1]) if numbers.flags.c_contiguous else None

    def at(self, index: Tensor | slice) -> Tensor:
        """Return the values, float32 `[B, C]` in [0, 1], of the points `index` (int64 `[B]` or a slice)."""
        if self._rows is not None:
            rows = self._rows[index if isinstance(index, slice) else index.numpy()]
        else:
            size = math.prod(self.numbers.shape[:-1])
            flat = np.arange(*index.indices(size)) if isinstance(index, slice) else index.numpy()
            rows = self.numbers[np.unravel_index(flat, self.numbers.shape[:-1])]
        return torch.from_numpy(self.extent.to_unit(rows))

    def whole(self) -> Tensor:
        """Return all values, float32 `[N, C]`, made in parts: their float64 is never there as a whole."""
        size = math.prod(self.numbers.shape[:-1])
        out = torch.empty(size, self.numbers.shape[-1])
        for start in range(0, size, _PART):
            out[start : start + _PART] = self.at(slice(start, start + _PART))
        return out


def measured(numbers: NDArray[Any]) -> tuple[Extent, NDArray[np.bool_] | None]:
    """Return the range of `numbers` `[X, Y, Z, C]`, read slab by slab, and where they are NaN in any channel.

    Returns:
        (range, holes): bool `[X, Y, Z]`, or None without any NaN.

    Raises:
        InputError: infinite numbers, a range beyond float32, or nothing but NaN.
    """
    low, high, holes = math.inf, -math.inf, None
    for first, slab in _slabs(numbers):
        if slab.dtype.kind == "f":
            missing = np.isnan(slab).any(axis=-1)
            if missing.any():
                holes = np.zeros(numbers.shape[:-1], np.bool_) if holes is None else holes
                holes[first : first + len(slab)] = missing
                slab = slab[~missing]
        if slab.size:
            low, high = min(low, float(slab.min())), max(high, float(slab.max()))
    if low > high:
        raise InputError("expected at least one point with a number; got NaN everywhere")
    if not high - low <= float(np.finfo(np.float32).max):  # infinity too
        raise InputError(
            f"expected finite numbers that float32 can tell, or NaN for holes; got {low:g} to {high:g}; "
            "clip or rescale them"
        )
    return Extent(low, high), holes


def _slabs(numbers: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first, numbers) of parts of the first axis."""
    rows = max(1, _SLAB_BYTES // max(1, numbers.nbytes // len(numbers)))
    for first in range(0, len(numbers), rows):
        yield first, numbers[first : first + rows]
