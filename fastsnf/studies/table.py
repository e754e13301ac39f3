"""Tables of results: plain data, as text for a terminal and as Markdown for a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

EMPTY = "-"


@dataclass(frozen=True)
class Table:
    """A table: the first column is left-aligned, the others are numbers.

    Attributes:
        title: a line above.
        columns: their heads.
        rows: their cells, as many as columns in each.
        notes: lines below: what the figures are, and why a column is empty.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]] = ()
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the table for a terminal, columns aligned."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        drawn = [
            "  ".join(
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        return "\n".join([self.title, drawn[0], rule, *drawn[1:], *(f"  {note}" for note in self.notes)])

    def markdown(self) -> str:
        """Return the table in Markdown."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [_pipes(self.columns), _pipes(rule), *map(_pipes, self.rows)]
        notes = ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join([f"### {self.title}", "", *lines, *notes])

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON-able values."""
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "notes": list(self.notes),
        }


def figure(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """Return a number for a cell, `EMPTY` for None and for what is not finite.

    >>> figure(1.005, 1), figure(0.25, sign=True), figure(None)
    ('1.0', '+0.25', '-')
    """
    if value is None or not math.isfinite(value):
        return EMPTY
    return f"{value:{'+' if sign else ''}.{digits}f}"


def small(value: float | None) -> str:
    """Return a number that may be very small for a cell.

    >>> small(0.000012345), small(None)
    ('1.23e-05', '-')
    """
    return EMPTY if value is None or not math.isfinite(value) else f"{value:.3g}"


def yes_no(holds: bool | None) -> str:
    """Return yes or no for a cell, `EMPTY` for None."""
    return EMPTY if holds is None else "yes" if holds else "no"


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
