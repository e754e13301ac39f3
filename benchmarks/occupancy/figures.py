"""A figure with its floor, and the record of a case."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import machine
from benchmarks.timer import Spread

SUITE = "occupancy"


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        what: in words. unit: "", "%", "s", "GB", "M points/s", ...
        value: the median, or the only one.
        least, most: the floor, or the ceiling; None where it is reported and not bound.
        low, high: quartiles, where there are several measurements.
        count: of them.
    """

    what: str
    value: float
    unit: str = ""
    least: float | None = None
    most: float | None = None
    low: float | None = None
    high: float | None = None
    count: int = 1

    @property
    def holds(self) -> bool | None:
        """Whether the bound holds; None without one."""
        if self.least is None and self.most is None:
            return None
        above = self.least is None or self.value >= self.least
        return above and (self.most is None or self.value <= self.most)


def spread_of(values: Sequence[float], what: str, unit: str = "", **bounds: float | None) -> Figure:
    """Return the median of some measurements with its quartiles."""
    spread = Spread.of(values)
    return Figure(what, spread.median, unit, low=spread.q25, high=spread.q75, count=spread.count, **bounds)


def record(case: str, work: str, figures: Sequence[Figure], engine: str = "native") -> dict[str, Any]:
    """Return the record of a case: what was done, its figures, when and where."""
    return {
        "suite": SUITE,
        "case": case,
        "work": work,
        "figures": [asdict(figure) | {"holds": figure.holds} for figure in figures],
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "engine": engine,
        "machine": machine.describe(),
    }
