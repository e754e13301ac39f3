"""`Study`: a paper's table or figure as rows to train, tables to print and pictures to draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from fastsnf.studies.settings import Settings
from fastsnf.studies.table import Table

S = TypeVar("S", bound=Settings)
Progress = Callable[[int, int, float], None]
"""Told where a training stands: steps done, steps in all, and the loss."""


def silent(step: int, steps: int, loss: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        facts: everything that decides it, JSON-able: a row with the same facts is not run again.
        label: for people.
        missing: why it cannot run, and what to do; None when it can.
    """

    facts: Mapping[str, Any]
    label: str
    missing: str | None = None


@dataclass(frozen=True)
class Outcome:
    """A row with its result, or with the reason why it has none in `row.missing` or `failed`."""

    row: Row
    result: Mapping[str, Any] | None = None
    failed: str | None = None

    @property
    def why(self) -> str:
        """Why there is no result, "" where there is one."""
        if self.result is not None:
            return ""
        return f"failed: {self.failed}" if self.failed else self.row.missing or "not run"


@dataclass(frozen=True)
class Finished(Outcome):
    """A row that has a result."""

    result: Mapping[str, Any]


class Study(ABC, Generic[S]):
    """Base of all studies.

    Args:
        settings: what to run; the defaults are the paper's.
        folder: where a training may keep its own files.

    Attributes:
        progress: told where a training stands, as often as it keeps a point of its curves.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, settings: S, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.progress: Progress = silent

    @abstractmethod
    def rows(self) -> list[Row]:
        """Return the rows in the order in which they run.

        Raises:
            InputError: for data that cannot be read.
        """

    @abstractmethod
    def train(self, row: Row) -> dict[str, Any]:
        """Run the training of a row and return its result, JSON-able.

        Raises:
            RunError: when it fails; the other rows run all the same.
        """

    @abstractmethod
    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the tables, the paper's figures beside ours."""

    @abstractmethod
    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw what the finished rows give into `folder` and return the pictures.

        Raises:
            InputError: without matplotlib.
        """


def finished(outcomes: Sequence[Outcome], **facts: Any) -> list[Finished]:
    """Return the outcomes that have a result and the given facts."""
    return [
        Finished(outcome.row, outcome.result)
        for outcome in outcomes
        if outcome.result is not None
        and all(outcome.row.facts.get(name) == value for name, value in facts.items())
    ]


def results(outcomes: Sequence[Outcome], **facts: Any) -> list[Mapping[str, Any]]:
    """Return the results of the finished rows that have the given facts."""
    return [outcome.result for outcome in finished(outcomes, **facts)]


def reasons(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Return why rows have no result, each reason once with the rows that share it."""
    found: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.why:
            found.setdefault(outcome.why, []).append(outcome.row.label)
    return tuple(
        f"{labels[0] if len(labels) == 1 else f'{labels[0]} and {len(labels) - 1} more'}: {why}"
        for why, labels in found.items()
    )
