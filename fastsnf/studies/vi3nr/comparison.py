"""Our figures beside the paper's: cells, tolerances, and notes that say why one is not within its own."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastsnf.studies.table import EMPTY, yes_no
from fastsnf.studies.vi3nr.published import half_digit

DEVIATIONS = 2.0
"""Tolerance of errors, in deviations of one net."""


@dataclass
class Notes:
    """Notes under a table, numbered in the order in which its rows ask for them."""

    texts: list[str] = field(default_factory=list)

    def number(self, text: str) -> str:
        """Return the number of a note, `EMPTY` for no text."""
        if not text:
            return EMPTY
        if text not in self.texts:
            self.texts.append(text)
        return f"({self.texts.index(text) + 1})"

    def lines(self) -> tuple[str, ...]:
        """Return the notes with their numbers."""
        return tuple(f"({number}) {text}" for number, text in enumerate(self.texts, start=1))


def compared(
    found: Sequence[float], printed: str, *, digits: int = 1, comparable: bool = True
) -> tuple[list[str], bool | None]:
    """Return ours, the paper's, the tolerance and whether it is within, as cells, and that last as a bool.

    The tolerance is `DEVIATIONS` deviations of one net, or half of the last printed digit; nets of other
    sizes than the paper's are not compared.
    """
    if not found:
        return [EMPTY, printed, EMPTY, EMPTY], None
    mean = statistics.mean(found)
    if len(found) < 2:
        return [f"{mean:.{digits}f}", printed, EMPTY, EMPTY], None
    deviation = statistics.stdev(found)
    ours = f"{mean:.{digits}f} +- {deviation:.{digits}f}"
    if not comparable:
        return [ours, printed, EMPTY, EMPTY], None
    allowed = max(DEVIATIONS * deviation, half_digit(printed))
    within = abs(mean - float(printed)) <= allowed
    return [ours, printed, f"+-{allowed:.{digits + 1}f}", yes_no(within)], within


def variance_cell(value: float | None) -> str:
    """Return a variance with four digits."""
    return EMPTY if value is None else f"{value:.4g}"


def sigma_cell(value: float | None) -> str:
    """Return a sigma_p with five digits."""
    return EMPTY if value is None else f"{value:.5g}"
