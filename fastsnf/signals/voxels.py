"""Which voxels of an array are occupied: two values or a threshold, and the crop to a box; slab by slab."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError, unknown
from fastsnf.signals.arrays.array import Array
from fastsnf.signals.bits import checked_voxels, slabs_of
from fastsnf.signals.described import is_number

CROPS = ("tight", "wire")
"""``tight``: the box of the occupied voxels. ``wire``: that of the voxels above 0.99 of the maximum, without
its last slice along each axis, as WIRE's code has it (wire_occupancy.py: ``min():max()``)."""

WIRE_LEVEL = 0.99

Box = tuple[tuple[int, int], ...]
"""(first, last), the latter excluded, of each axis."""


@dataclass(frozen=True)
class Survey:
    """What one reading of an array says of it.

    Attributes:
        lowest: its smallest value.
        highest: its largest value.
        values: its values in rising order where they are two or fewer, else none.
    """

    lowest: float
    highest: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, array: Array) -> Survey:
        """Read an array of three axes once; raise `InputError` for other arrays, NaN and infinity."""
        if array.ndim != 3:
            raise InputError(
                f"expected an occupancy grid of three axes; got an array of shape {array.shape}; name "
                "another with the key, or take one channel of it"
            )
        checked_voxels(array.shape)
        found: set[Any] = set()
        lowest, highest = math.inf, -math.inf
        for _, slab in _parts(array):
            low, high = slab.min(), slab.max()
            if not (np.isfinite(low) and np.isfinite(high)):
                raise InputError(
                    "expected a grid of finite values; got NaN or infinity: replace those voxels first"
                )
            lowest, highest = min(lowest, float(low)), max(highest, float(high))
            if len(found) < 3:
                found |= {float(low), float(high)}
                if not np.logical_or(slab == low, slab == high).all():
                    found |= {math.inf, -math.inf, math.nan}  # more than two
        return cls(lowest, highest, tuple(sorted(found)) if len(found) < 3 else ())

    def level(self, threshold: float | None) -> float:
        """Return the value above which a voxel is occupied: `threshold`, or halfway between two values.

        Raises:
            InputError: the values are one, or more than two and without a threshold; or none is above it.
        """
        if threshold is None and len(self.values) == 2:
            return (self.values[0] + self.values[1]) / 2
        span = f"values from {self.lowest:g} to {self.highest:g}"
        if threshold is None:
            got = f"{self.lowest:g} everywhere" if len(self.values) == 1 else span
            raise InputError(
                f"expected a grid of two values, or a threshold above which a voxel is occupied; got {got}: "
                "give it, with --threshold T"
            )
        if not is_number(threshold) or not self.lowest <= threshold < self.highest:
            raise InputError(
                f"expected a threshold below the highest value, and not below the lowest; got {threshold!r} "
                f"for {span}"
            )
        return float(threshold)


def box_of(array: Array, survey: Survey, level: float, crop: str | None) -> Box:
    """Return the box of `array` that `crop` (of `CROPS`, or None for all of it) leaves.

    Raises:
        InputError: an unknown crop, or one that leaves nothing.
    """
    if crop is None:
        return tuple((0, size) for size in array.shape)
    if crop not in CROPS:
        raise unknown("the crop", crop, CROPS)
    wire = crop == "wire"
    rows, columns, depths = _occupied_slices(array, WIRE_LEVEL * survey.highest if wire else level)
    ends = [(int(found[0]), int(found[-1]) + (not wire)) for found in (rows, columns, depths) if found.size]
    if len(ends) < 3 or any(first >= last for first, last in ends):
        raise InputError(
            f"expected the crop {crop!r} to leave voxels; got none of {array.shape}: do without it"
        )
    return tuple(ends)


def _occupied_slices(array: Array, level: float) -> list[NDArray[np.int64]]:
    """Return, for each axis, the numbers of the slices with a voxel above `level`, rising."""
    seen = [np.zeros(size, dtype=np.bool_) for size in array.shape]
    for first, slab in _parts(array):
        above = slab > level
        seen[0][first : first + len(above)] = above.any(axis=(1, 2))
        flat: Any = above.any(axis=0)
        seen[1] |= flat.any(axis=1)
        seen[2] |= flat.any(axis=0)
    return [np.flatnonzero(slices) for slices in seen]


def occupied(array: Array, level: float, box: Box) -> Iterator[NDArray[np.bool_]]:
    """Yield, in order, whether the voxels of `box` are above `level`."""
    (first, last), (low_1, high_1), (low_2, high_2) = box
    for start, slab in _parts(array):
        here = slab[max(0, first - start) : max(0, last - start)]
        if len(here):
            yield here[:, low_1:high_1, low_2:high_2] > level


def _parts(array: Array) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first, entries) over the whole array, few enough for the masks that are made of them.

    They are read in slabs as large as `Array` likes: some files cost as much to read in parts as whole.
    """
    for first, slab in array.slabs():
        for low, high in slabs_of(slab.shape):
            yield first + low, slab[low:high]


def in_memory(array: NDArray[Any]) -> Array:
    """Return an array of numbers as one that is read slab by slab, or raise `InputError` for others."""
    if array.dtype.kind not in "biuf" or array.ndim == 0 or not array.size:
        raise InputError(f"expected an array of numbers; got {array.dtype} of shape {array.shape}")
    return Array("array", "", array.shape, array.dtype, lambda first, last: array[first:last])
