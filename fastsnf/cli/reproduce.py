"""``fastsnf reproduce``: a paper's table or figure, run again beside the paper's numbers."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from fastsnf.cli.options import default, text
from fastsnf.cli.parse import parse
from fastsnf.errors import InputError, RunError
from fastsnf.studies.registry import STUDIES, entry, settings_of
from fastsnf.studies.settings import Option

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from fastsnf.studies.runner import Report
    from fastsnf.studies.study import Outcome

REDRAW, PLAIN = 0.1, 5.0
"""Seconds between two drawings of the live line, and between two lines where there is no terminal."""
LISTING = ("-l", "--list")
HELP = ("-h", "--help")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """The options that every study has."""

    out: Annotated[str | None, text("DIR"), default("runs/reproduce-NAME")] = None
    """Where records, tables and pictures go; a row that is there is not run again."""
    json: Annotated[bool, default("")] = False
    """Print the summary as one JSON object on the last line of stdout."""
    no_progress: Annotated[bool, default("")] = False
    """Print no lines while rows run."""


def main(argv: Sequence[str]) -> int:
    """Run ``fastsnf reproduce`` and return its exit status."""
    if not argv or argv[0] in LISTING:
        print(listing())
        return 0
    if argv[0] in HELP:
        print(usage())
        return 0
    name, *rest = argv
    if name.startswith("-"):
        raise InputError(f"expected the name of a study first; got {name}; see fastsnf reproduce --list")
    entry(name)
    chosen = parse(options_of(name), rest, prog=f"fastsnf reproduce {name}")
    run(name, chosen)
    return 0


def listing() -> str:
    """Return the studies with one line each."""
    width = max(map(len, STUDIES))
    return "\n".join(f"{name:<{width}}  {study.line}" for name, study in STUDIES.items())


def usage() -> str:
    """Return the help text of the command."""
    studies = "\n".join(f"  {line}" for line in listing().splitlines())
    return (
        "usage: fastsnf reproduce NAME [OPTIONS]\n\n"
        "Run a paper's table or figure again, beside the paper's numbers.\n\n"
        f"studies:\n{studies}\n\n"
        "fastsnf reproduce NAME --help lists the options of a study; fastsnf reproduce --list the studies."
    )


def options_of(name: str) -> type[Any]:
    """Return the dataclass of a study's options on the command line: the common ones and its settings."""
    settings = settings_of(name)
    fields = []
    for field in dataclasses.fields(settings):
        option: Option = field.metadata["option"]
        argument = tyro.conf.arg(help=option.help, help_behavior_hint=_default(option, field.default))
        kind = bool if option.kind is bool else Any
        spec = () if option.kind is bool else (_constructor(field.name, option),)
        fields.append((field.name, Annotated[(kind, *spec, argument)], field.default))
    made = dataclasses.make_dataclass(
        f"{settings.__name__}Options", fields, bases=(CommonOptions,), frozen=True, kw_only=True
    )
    made.__doc__ = settings.__doc__
    return made


def run(name: str, options: Any) -> None:
    """Run a study as `options` say and print what it gave.

    Raises:
        InputError: for settings, data or a folder that is wrong.
        RunError: when a row failed, after everything else is done.
        KeyboardInterrupt: after Ctrl-C; the finished rows are kept.
    """
    from rich.console import Console

    from fastsnf.studies.runner import reproduce

    # stderr belongs to errors, unless stdout belongs to the JSON object.
    console = Console(stderr=options.json, highlight=False, markup=False, emoji=False)
    names = [field.name for field in dataclasses.fields(settings_of(name))]
    settings = settings_of(name)(**{key: getattr(options, key) for key in names})
    if options.no_progress:
        report = reproduce(name, out=options.out, settings=settings)
    else:
        progress = RowProgress(console)
        try:
            report = reproduce(
                name, out=options.out, settings=settings, watch=progress.row_done, progress=progress.step_done
            )
        finally:
            progress.close()
    show(report, console)
    if options.json:
        print(json.dumps(report.summary(), allow_nan=False))
    if report.failures:
        first = report.failures[0]
        count = f"{len(report.failures)} of {len(report.outcomes)} rows failed"
        raise RunError(f"{count}; {first.row.label}: {first.failed}")


def show(report: Report, console: Console) -> None:
    """Print the tables, and where everything is."""
    from fastsnf.studies.records import RECORDS_FILE
    from fastsnf.studies.runner import TABLE_FILE

    for table in report.tables:
        console.print(f"\n{table.text()}", soft_wrap=True)
    console.print("")
    if report.not_drawn:
        console.print(report.not_drawn, soft_wrap=True)
    for what, path in (
        *(("picture", path) for path in report.pictures),
        ("tables", report.folder / TABLE_FILE),
        ("records", report.folder / RECORDS_FILE),
    ):
        console.print(f"{what:<9}{path}", soft_wrap=True)


class RowProgress:
    """A line for every row that is done, and one that moves for the row in training.

    Args:
        console: a terminal gets a live line, anything else one every few seconds.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._due = self._began = time.monotonic()
        self._due += PLAIN
        self._first: int | None = None
        self._said: set[str] = set()

    def row_done(self, number: int, count: int, outcome: Outcome, known: bool) -> None:
        """Say how a row ended; one line for all rows that miss the same."""
        self.close()
        if outcome.row.missing is not None:
            if outcome.row.missing in self._said:
                return  # the tables' notes count them
            self._said.add(outcome.row.missing)
        state = outcome.why or ("there already" if known else "done")
        self._console.print(f"{number}/{count}  {outcome.row.label}: {state}", soft_wrap=True)

    def step_done(self, step: int, steps: int, loss: float) -> None:
        """Say where the row in training stands, unless that was done a moment ago."""
        from rich.live import Live

        from fastsnf.cli.counter import clock

        now = time.monotonic()
        if self._first is None:
            self._first, self._began = step, now
        if now < self._due:
            return
        left = (now - self._began) / (step - self._first) * (steps - step) if step > self._first else None
        line = f"step {step:,} of {steps:,}  loss {loss:.3g}{'' if left is None else f'  {clock(left)} left'}"
        if not self._console.is_terminal:
            self._due = now + PLAIN
            self._console.print(line, soft_wrap=True)
            return
        self._due = now + REDRAW
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(line, refresh=True)

    def close(self) -> None:
        """Give the terminal back; the next row starts anew."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._first = None


def _constructor(name: str, option: Option) -> PrimitiveConstructorSpec[Any]:
    def made(values: list[str]) -> Any:
        value = option.parse(name, values[0])
        option.check(name, value)
        return value

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=option.metavar,
        instance_from_str=made,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [_words(value)],
    )


def _default(option: Option, value: Any) -> str:
    return "" if option.kind is bool or value is None else f"(default: {_words(value)})"


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else str(value)
