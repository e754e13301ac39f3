"""Whether a row reaches its floors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks import iga, initializers, ntk
from benchmarks.child import KEPT
from benchmarks.sides import EAGER, FASTSNF


@dataclass(frozen=True)
class Verdict:
    """One bound beside what was measured (None: not measured): a floor, or where `at_most` a ceiling."""

    case: str
    what: str
    floor: float
    measured: float | None
    at_most: bool = False

    @property
    def holds(self) -> bool | None:
        """Whether the bound is kept; None where there is no figure."""
        if self.measured is None:
            return None
        return self.measured <= self.floor if self.at_most else self.measured >= self.floor


def ratio(record: dict[str, Any], side: str) -> float | None:
    """Return how many times longer `side` takes than the first one, if it was measured."""
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
    if record.get("suite") == iga.SUITE:
        if record["most_ratio"] is not None:
            measured = ratio(record, iga.ADJUSTED)
            found.append(Verdict(record["case"], "ratio", record["most_ratio"], measured, at_most=True))
        return found
    if record.get("suite") == ntk.SUITE:
        if record["floor_ratio"] is not None:
            measured = ratio(record, ntk.JACOBIANS)
            found.append(Verdict(record["case"], "ratio", record["floor_ratio"], measured))
        return found
    if record.get("suite") == initializers.SUITE:
        if record["most_seconds"] is not None:
            measured = record["seconds"]["median"]
            found.append(Verdict(record["case"], "seconds", record["most_seconds"], measured, at_most=True))
        return found
    if record["floor_ratio"] is not None:
        found.append(Verdict(record["case"], "ratio", record["floor_ratio"], ratio(record, EAGER)))
    if record["floor_share"] is not None:
        spread = share(record)
        found.append(
            Verdict(record["case"], "share", record["floor_share"], spread["median"] if spread else None)
        )
    return found
