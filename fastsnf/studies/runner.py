"""`reproduce`: run a study row by row, keep every finished row, write its tables and pictures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fastsnf.errors import InputError, RunError
from fastsnf.signals.atomic import disk_errors
from fastsnf.studies.records import Records
from fastsnf.studies.registry import entry, settings_of, study_of
from fastsnf.studies.settings import Settings
from fastsnf.studies.study import Outcome, Progress, Row, Study, silent
from fastsnf.studies.table import Table
from fastsnf.train.files import sweep, write_atomic
from fastsnf.train.lock import locked
from fastsnf.version import __version__

TABLE_FILE = "table.md"
Watch = Callable[[int, int, Outcome, bool], None]
"""Told of a row that is done: its number from 1, how many there are, it, whether it was there before."""


@dataclass(frozen=True)
class Report:
    """What a study gave.

    Attributes:
        name: of the study. settings: what it ran with. folder: where its records are.
        outcomes: its rows. tables, pictures: what they give. not_drawn: why there is no picture, "" where
            there is one or nothing to draw.
    """

    name: str
    settings: Settings
    folder: Path
    outcomes: list[Outcome]
    tables: list[Table]
    pictures: list[Path]
    not_drawn: str = ""

    @property
    def failures(self) -> list[Outcome]:
        """The rows whose training failed."""
        return [outcome for outcome in self.outcomes if outcome.failed is not None]

    def summary(self) -> dict[str, Any]:
        """Return the report as JSON-able values; curves are in the records."""
        return {
            "study": self.name,
            "settings": asdict(self.settings),
            "folder": str(self.folder),
            "rows": [_summary(outcome) for outcome in self.outcomes],
            "tables": [table.to_dict() for table in self.tables],
            "pictures": [str(path) for path in self.pictures],
        }


def reproduce(
    name: str,
    *,
    out: str | os.PathLike[str] | None = None,
    settings: Settings | None = None,
    watch: Watch | None = None,
    progress: Progress = silent,
    **options: Any,
) -> Report:
    """Run the study called `name` and return its report.

    Every finished row is in ``records.jsonl`` of the output folder at once; a row that is there with the same
    settings is not run again, so that an interrupted study goes on and a larger one keeps what it has.

    Args:
        name: of `fastsnf.studies.registry.STUDIES`.
        out: the output folder; None takes ``runs/reproduce-<name>``.
        settings: the study's settings; None makes them of `options`.
        watch: told of every row when it is done.
        progress: told where the row in training stands.
        options: of the study's settings, whose defaults are the paper's.

    Raises:
        InputError: for a name, a setting, data or a folder that is wrong.
        KeyboardInterrupt: after Ctrl-C or SIGTERM; the finished rows are kept.
    """
    line, settings = entry(name).line, _settings(name, settings, options)
    folder = Path(out) if out is not None else Path("runs") / f"reproduce-{name}"
    study: Study[Any] = study_of(name)(settings, folder)
    study.progress = progress
    rows = study.rows()  # before anything is written: what is asked may be wrong
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        sweep(folder)
        outcomes: list[Outcome] = []
        try:
            _run(study, rows, Records(folder), outcomes, watch)
        except KeyboardInterrupt as error:
            kept = sum(outcome.result is not None for outcome in outcomes)
            rows_are = "row is" if kept == 1 else "rows are"
            error.args = (
                f"interrupted; {kept} finished {rows_are} kept in {folder}: the same command goes on there",
            )
            raise
        tables = study.tables(outcomes)
        text = "\n\n".join([f"# {name}", line, *(table.markdown() for table in tables)])
        write_atomic(folder / TABLE_FILE, f"{text}\n".encode())
        pictures, not_drawn = _draw(study, outcomes, folder)
    return Report(name, settings, folder, outcomes, tables, pictures, not_drawn)


def _settings(name: str, settings: Settings | None, options: dict[str, Any]) -> Settings:
    expected = settings_of(name)
    if settings is None:
        try:
            made: Settings = expected(**options)
        except TypeError as error:
            raise InputError(f"expected settings of {name}; got {', '.join(options)}: {error}") from None
        return made
    if not isinstance(settings, expected) or options:
        raise InputError(f"expected {expected.__name__} alone; got {type(settings).__name__} and {options}")
    return settings


def _run(
    study: Study[Any], rows: list[Row], records: Records, outcomes: list[Outcome], watch: Watch | None
) -> None:
    """Run the rows that have no record, adding every outcome to `outcomes` as it comes."""
    for number, row in enumerate(rows, start=1):
        found = None if row.missing is not None else records.find(row.facts)
        known = found is not None
        failed = None
        if row.missing is None and found is None:
            began = time.monotonic()
            try:
                result = study.train(row)
            except RunError as error:
                failed = str(error)
            else:
                about = {
                    "fastsnf": __version__,
                    "torch": str(torch.__version__),
                    "threads": torch.get_num_threads(),
                    "seconds": round(time.monotonic() - began, 3),
                }
                records.add(row.facts, result, about)
                found = records.find(row.facts)
        outcomes.append(Outcome(row, found, failed))
        if watch is not None:
            watch(number, len(rows), outcomes[-1], known)


def _draw(study: Study[Any], outcomes: Sequence[Outcome], folder: Path) -> tuple[list[Path], str]:
    if not any(outcome.result is not None for outcome in outcomes):
        return [], ""
    try:
        return study.draw(outcomes, folder), ""
    except InputError as error:
        return [], str(error)


def _summary(outcome: Outcome) -> dict[str, Any]:
    """Return a row without its curves."""
    facts = {"row": dict(outcome.row.facts), "label": outcome.row.label}
    if outcome.result is None:
        return {**facts, "missing": outcome.why}
    result = {key: value for key, value in outcome.result.items() if not _is_curve(value)}
    return {**facts, "result": result}


def _is_curve(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 8
