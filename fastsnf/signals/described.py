"""Reading what a signal's metadata say: they come from files, so that every value is checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fastsnf.errors import InputError

Bounds = tuple[tuple[float, float], ...]
"""(low, high) of the coordinates along each axis."""


def described(metadata: Mapping[str, Any], kind: str, key: str, expected: type) -> Any:
    """Return ``metadata[key]`` of the type `expected`, or raise `InputError`."""
    value = metadata.get(key)
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise InputError(
            f"expected {key!r} in the metadata of {kind} to be {expected.__name__}; got {value!r}; "
            "the file is damaged"
        )
    return value


def described_numbers(
    metadata: Mapping[str, Any], kind: str, key: str, count: int | None = None
) -> tuple[float, ...]:
    """Return the numbers ``metadata[key]``, `count` of them or any, finite; or raise `InputError`."""
    numbers = described(metadata, kind, key, list)
    if not all(map(is_number, numbers)) or count not in (None, len(numbers)):
        raise InputError(
            f"expected {'' if count is None else f'{count} '}finite numbers as {key!r} in the metadata of "
            f"{kind}; got {numbers!r}; the file is damaged"
        )
    return tuple(float(number) for number in numbers)


def described_bounds(metadata: Mapping[str, Any], kind: str, axes: int) -> Bounds:
    """Return the ``bounds`` of `axes` axes in `metadata`, or raise `InputError`."""
    pairs = described(metadata, kind, "bounds", list)
    whole = all(isinstance(pair, list) and len(pair) == 2 and all(map(is_number, pair)) for pair in pairs)
    if len(pairs) != axes or not whole:
        raise InputError(
            f"expected the finite bounds of {axes} axes in the metadata of {kind}; got {pairs!r}; the file "
            "is damaged"
        )
    return tuple((float(low), float(high)) for low, high in pairs)


def is_number(value: object) -> bool:
    """Return whether `value` is a finite number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
