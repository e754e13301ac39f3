"""Whether an array is an occupancy grid: three axes and two values, of which one is 0."""

from __future__ import annotations

import os

import numpy as np

from fastsnf.signals.arrays.array import Array
from fastsnf.signals.arrays.read import read_array


def holds_occupancy(path: str | os.PathLike[str], key: str | None = None) -> bool:
    """Return whether the array in the file `path` is `two_valued` in three axes; raises as `read_array`."""
    with read_array(path, key) as array:
        return array.ndim == 3 and two_valued(array)


def two_valued(array: Array) -> bool:
    """Return whether an array is of bools, or has the values 0 and one other, above 0, and both of them.

    Looked at slab by slab, and no further than the first value that says no.
    """
    if array.dtype.kind == "b":
        return True
    high = None
    has_zero = False
    for _, slab in array.slabs():
        top = slab.max()
        if not slab.min() >= 0 or (high is not None and top not in (0, high)):
            return False  # NaN ends here too
        high = top if top > 0 else high
        empty = slab == 0
        if high is not None and not np.logical_or(empty, slab == high).all():
            return False
        has_zero = has_zero or bool(empty.any())
    return has_zero and high is not None and bool(np.isfinite(high))
