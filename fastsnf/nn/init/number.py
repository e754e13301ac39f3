"""Checks of the numbers that initializers take."""

from __future__ import annotations

import math
from numbers import Real

from fastsnf.errors import InputError

LARGEST = 1e100
"""The bound of such numbers: their squares are finite."""


def positive(name: str, value: object) -> float:
    """Return `value` as a float.

    Raises:
        InputError: unless it is a number above 0 and at most `LARGEST`.
    """
    number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    if not 0 < number <= LARGEST:
        limit = f" and at most {LARGEST:g}" if LARGEST < number < math.inf else ""
        raise InputError(f"expected {name} to be a number above 0{limit}; got {value!r}")
    return number
