"""What the paper says of a figure, beside what came out: rows of a table with a tolerance and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fastsnf.studies.table import EMPTY, Table, yes_no

COLUMNS = ("claim", "paper", "here", "tolerance", "holds", "why not")
OPEN = "open"
"""The verdict on a claim that cannot be judged."""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and what became of it.

    Attributes:
        text: what is claimed, and where.
        paper: the paper's value, or its direction in words.
        here: ours.
        tolerance: within which it holds.
        holds: whether it does; None where rows that it needs are missing, or a fit missed the target.
        why: the reason where it does not, as far as it is known.
    """

    text: str
    paper: str
    here: str
    tolerance: str
    holds: bool | None
    why: str = "not with these settings"

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        verdict = OPEN if self.holds is None else yes_no(self.holds)
        why = self.why if self.holds is False else EMPTY
        return (self.text, self.paper, self.here, self.tolerance, verdict, why)


def claims_table(
    claims: Sequence[Claim], notes: Sequence[str] = (), title: str = "The paper's claims"
) -> Table:
    """Return claims as a table."""
    told = f"{OPEN}: rows that it takes are missing, or fits that it compares did not reach the target."
    unknown = [told] if any(claim.holds is None for claim in claims) else []
    return Table(title, COLUMNS, [claim.cells() for claim in claims], (*unknown, *notes))


def rises(values: Sequence[float], slack: float = 0.0) -> bool | None:
    """Return whether every value is above the one before it, less `slack`; None for fewer than two.

    >>> rises([1.0, 2.0, 3.0]), rises([1.0, 0.9, 3.0]), rises([1.0, 0.9, 3.0], slack=0.5), rises([1.0])
    (True, False, True, None)
    """
    if len(values) < 2:
        return None
    return all(after > before - slack for before, after in pairwise(values))


def steps_between(first: float, last: float, ladder: Sequence[float]) -> int:
    """Return how many candidates `last` is above `first` on a ladder of candidates that has both.

    >>> steps_between(2.0, 1.5, [1.0, 1.5, 1.75, 2.0])
    -2
    """
    order = sorted(ladder)
    return order.index(last) - order.index(first)


def chain(values: Sequence[float]) -> str:
    """Return values with arrows between them, three digits of each.

    >>> chain([0.5, 1234.5, 2.0]), chain([])
    ('0.5 -> 1.23e+03 -> 2', '-')
    """
    return " -> ".join(map(number, values)) or EMPTY


def number(value: float | None) -> str:
    """Return three digits of a number for a cell, ``inf`` for infinity, `EMPTY` for None.

    >>> number(3456.0), number(float("inf")), number(None)
    ('3.46e+03', 'inf', '-')
    """
    return EMPTY if value is None else f"{value:.3g}"
