"""Whether a row reaches its floors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.child import KEPT
from benchmarks.sides import EAGER, FASTSNF


@dataclass(frozen=True)
class Verdict:
    """One floor beside what was measured (None: not measured)."""

    case: str
    what: str
    floor: float
    measured: float | None

    @property
    def holds(self) -> bool | None:
        """Whether the floor is reached; None where there is no figure."""
        return None if self.measured is None else self.measured >= self.floor


def ratio(record: dict[str, Any], side: str) -> float | None:
    """Return how many times longer `side` takes than fastsnf, if it was measured."""
    value = record["ratios"].get(side)
    return None if value is None else float(value)


def share(record: dict[str, Any]) -> dict[str, Any] | None:
    """Return the spread of fastsnf's share of the FMA peak, if it was measured."""
    side = record["sides"].get(FASTSNF)
    return side["share"] if side else None


def verdicts(record: dict[str, Any]) -> list[Verdict]:
    """Return the floors of a record; only rows with the kept allocator are bound."""
    found: list[Verdict] = []
    if record["allocator"] != KEPT:
        return found
    if record["floor_ratio"] is not None:
        found.append(Verdict(record["case"], "ratio", record["floor_ratio"], ratio(record, EAGER)))
    if record["floor_share"] is not None:
        spread = share(record)
        found.append(
            Verdict(record["case"], "share", record["floor_share"], spread["median"] if spread else None)
        )
    return found
