"""Checks of the numbers that initializers take."""

from __future__ import annotations

import math
from numbers import Real
from typing import SupportsFloat, cast

from fastsnf.errors import InputError


def positive(name: str, value: object) -> float:
    """Return `value` as a float.

    Raises:
        InputError: unless it is a finite number above 0.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < math.inf:
        raise InputError(f"expected {name} to be a number above 0; got {value!r}")
    return float(cast(SupportsFloat, value))
