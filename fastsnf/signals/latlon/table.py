"""`Table`: one slice of a file as a plain table of values over latitudes and longitudes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.latlon.lattice import Lattice

MAX_POINTS = 1 << 28
"""Slices of more points are refused unless the caller raises the limit."""


@dataclass(frozen=True)
class Table:
    """Values over a lattice and what the file says about them.

    Attributes:
        values: float64 `[rows, columns]`, NaN where the file has none.
        lattice: the latitudes and longitudes.
        name: of the variable.
        long_name: of the quantity in words, or empty.
        unit: of the values, such as ``K``, or empty.
        time: when, as the file has it, or empty.
        source: the format.
    """

    values: NDArray[np.float64]
    lattice: Lattice
    name: str
    long_name: str = ""
    unit: str = ""
    time: str = ""
    source: str = "array"


def chosen(names: list[str], key: str | None, path: str) -> str:
    """Return the variable called `key`, or the only one of `names`, or raise `InputError`."""
    if key is not None and key in names:
        return key
    listed = ", ".join(map(repr, sorted(names)[:20])) or "none"
    if key is not None:
        raise InputError(
            f"expected the name of a variable over latitudes and longitudes; got key={key!r}; {path!r} has "
            f"{listed}"
        )
    if len(names) != 1:
        raise InputError(
            f"expected one variable over latitudes and longitudes; got {listed} in {path!r}; name one with "
            "key="
        )
    return names[0]


def place_of(option: str, given: int | None, labels: list[str], path: str) -> int:
    """Return the place along an axis of several entries, or raise `InputError` naming them.

    Args:
        option: the name of the option that chooses, ``time`` or ``level``.
        given: what the user chose, counted from 0 and from the end where negative.
        labels: the entries in words.
        path: the file.
    """
    size = len(labels)
    if given is None and size == 1:
        return 0
    if type(given) is int and -size <= given < size:
        return given % size
    shown = [f"{i} ({label})" for i, label in enumerate(labels)]
    listed = ", ".join(shown if size <= 8 else [*shown[:4], "...", *shown[-2:]])
    raise InputError(
        f"expected {option}= to choose one of {size} entries of {path!r}: {listed}; got {given!r}"
    )


def check_points(rows: int, columns: int, max_points: int, path: str) -> None:
    """Raise `InputError` if a slice has more than `max_points` points, or none."""
    if not 1 <= rows * columns <= max_points:
        raise InputError(
            f"expected a slice of 1 to {max_points} points; got {rows} x {columns} promised by {path!r}; the "
            "file is damaged or, if you trust it, raise max_points"
        )


def check_numeric(dtype: np.dtype[Any], name: str, path: str) -> None:
    """Raise `InputError` unless a variable holds real numbers."""
    if dtype.kind not in "iuf":
        raise InputError(f"expected real numbers; got {dtype} in the variable {name!r} of {path!r}")
