"""`Lattice`: the latitudes and longitudes on which values lie. No torch: a child process imports it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError

TURN = 360.0
EVEN = 1e-3
"""How far, in steps, a longitude may lie from where even steps put it: files round to a few digits."""
AXES = ("latitude", "longitude")


@dataclass(frozen=True)
class Lattice:
    """Every latitude with every longitude, in degrees, in the order of the file; longitudes are fastest.

    Args:
        latitudes: within [-90, 90], rising or falling, evenly or not.
        longitudes: rising or falling by less than a whole turn, from wherever the file begins.

    Raises:
        InputError: latitudes or longitudes that are none.
    """

    latitudes: tuple[float, ...]
    longitudes: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, degrees in zip(AXES, (self.latitudes, self.longitudes), strict=True):
            steps = np.diff(np.asarray(degrees, dtype=np.float64))
            finite = len(degrees) > 0 and bool(np.isfinite(degrees).all())
            if not finite or not ((steps > 0).all() or (steps < 0).all()):
                raise InputError(
                    f"expected {name}s in degrees that rise or fall; got {_shown(degrees)}: the file is "
                    "damaged, or its grid is none of latitudes and longitudes"
                )
        if max(map(abs, self.latitudes)) > 90 + 1e-6:
            raise InputError(
                f"expected latitudes within 90 degrees of the equator; got {_shown(self.latitudes)}"
            )
        first, last = self.longitudes[0], self.longitudes[-1]
        if abs(last - first) > TURN + 1e-6 or max(abs(first), abs(last)) > 2 * TURN:
            raise InputError(f"expected longitudes of one turn; got {_shown(self.longitudes)}")

    @property
    def shape(self) -> tuple[int, int]:
        """Latitudes (rows) and longitudes (columns)."""
        return len(self.latitudes), len(self.longitudes)

    @property
    def goes_round(self) -> bool:
        """Whether even steps of longitude lead from the last to the first."""
        count = len(self.longitudes)
        if count < 2:
            return False
        step = (self.longitudes[-1] - self.longitudes[0]) / (count - 1)
        even = self.longitudes[0] + step * np.arange(count)
        close = np.abs(even - np.asarray(self.longitudes)).max() <= EVEN * abs(step)
        return bool(close and abs(abs(step) * count - TURN) <= EVEN * abs(step) * count)

    def resampled(self, shape: Sequence[int]) -> Lattice:
        """Return the lattice of `shape` (rows, columns) over the same part of the sphere.

        Latitudes keep both ends and lie between those of the file as before. So do longitudes, but those that
        go round divide the turn anew from the first of the file, so that twice as many contain them.
        """
        rows, columns = shape
        if (rows, columns) == self.shape:
            return self
        longitudes = _between(self.longitudes, columns)
        if self.goes_round:
            sign = 1.0 if self.longitudes[1] > self.longitudes[0] else -1.0
            longitudes = self.longitudes[0] + sign * TURN * np.arange(columns) / columns
        return Lattice(tuple(_between(self.latitudes, rows).tolist()), tuple(longitudes.tolist()))


def _between(degrees: Sequence[float], count: int) -> NDArray[np.float64]:
    """Return `count` degrees, both ends included, linear in the place between those of the file."""
    own = len(degrees)
    places = np.linspace(0.0, own - 1.0, count) if count > 1 else np.array([(own - 1) / 2])
    return np.interp(places, np.arange(own), degrees)


def _shown(degrees: Sequence[float]) -> str:
    values = [f"{degree:g}" for degree in degrees]
    return ", ".join(values if len(values) <= 6 else [*values[:3], "...", *values[-2:]]) or "none"
