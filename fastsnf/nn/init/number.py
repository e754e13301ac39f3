"""Checks of the numbers that initializers take."""

from __future__ import annotations

import math
from numbers import Real

from fastsnf.errors import InputError


def positive(name: str, value: object) -> float:
    """Return `value` as a float.

    Raises:
        InputError: unless it is a finite number above 0.
    """
    number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    if not 0 < number < math.inf:
        raise InputError(f"expected {name} to be a number above 0; got {value!r}")
    return number
