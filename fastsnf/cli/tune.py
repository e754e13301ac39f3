"""``fastsnf tune``: search the fastest admissible value of a number on one input or several."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastsnf.cli.parse import parse
from fastsnf.cli.tune_options import fit_options, options_class
from fastsnf.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from fastsnf.nn import Field
    from fastsnf.signals import Signal
    from fastsnf.studies.records import Records
    from fastsnf.studies.tune import MakeField, Transfer, Trial, TuneResult
    from fastsnf.train import FitConfig

TABLE_FILE = "table.md"


class Input(NamedTuple):
    """A file to fit: its name, the signal in it, and what makes fields for it."""

    name: str
    signal: Signal
    make_field: MakeField
    config: FitConfig


def main(argv: Sequence[str]) -> int:
    """Run ``fastsnf tune`` and return its exit status."""
    options = parse(options_class(), argv, prog="fastsnf tune")
    if not options.inputs:
        raise InputError("expected INPUT, the file to fit; got nothing; see fastsnf tune --help")
    if options.transfer and len(options.inputs) < 2:
        raise InputError("expected two INPUTs or more with --transfer; got one")
    run(options, Path(options.out or Path("runs") / f"tune-{Path(options.inputs[0]).stem or 'input'}"))
    return 0


def run(options: Any, folder: Path) -> None:
    """Search as `options` say, with what is found in `folder`, and print it.

    Raises:
        InputError: for options, inputs or a folder that is wrong.
        RunError: when the fits of a reference diverge, or the disk fails.
        KeyboardInterrupt: after Ctrl-C or SIGTERM; the finished fits are kept.
    """
    from rich.console import Console

    from fastsnf.signals.atomic import disk_errors
    from fastsnf.studies.records import Records
    from fastsnf.train.files import write_atomic
    from fastsnf.train.lock import locked

    # stderr belongs to errors, unless stdout belongs to the JSON object.
    console = Console(stderr=options.json, highlight=False, markup=False, emoji=False)
    inputs = [_open(options, path) for path in options.inputs]
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        found, moved = _search(options, inputs, Records(folder), folder, console)
        tables = [result.table() for result in found]
        tables = [
            dataclasses.replace(table, title=f"{entry.name}: {table.title}")
            for entry, table in zip(inputs, tables, strict=False)
        ]
        tables += [] if moved is None else [moved.table()]
        text = "\n\n".join(["# tune", *(table.markdown() for table in tables)])
        write_atomic(folder / TABLE_FILE, f"{text}\n".encode())
        pictures, not_drawn = _draw(found, inputs, folder)
    for table in tables:
        console.print(f"\n{table.text()}", soft_wrap=True)
    console.print("")
    if not_drawn:
        console.print(not_drawn, soft_wrap=True)
    places = [*(("picture", path) for path in pictures), ("table", folder / TABLE_FILE)]
    for what, path in (*places, ("records", Records(folder).path)):
        console.print(f"{what:<9}{path}", soft_wrap=True)
    if options.json:
        print(json.dumps(_summary(inputs, found, moved, folder), allow_nan=False))


def _open(options: Any, path: str) -> Input:
    """Open an input and see to it that the field can be made."""
    from fastsnf.cli import fit_field, fit_setup

    given = fit_options(options, path)
    signal = fit_setup.open_signal(given)

    def make_field(overrides: Mapping[str, Any], seed: int) -> Field:
        return fit_field.make_field(dataclasses.replace(given, **overrides, seed=seed), signal)

    return Input(Path(path).name, signal, make_field, fit_setup.make_config(given))


def _search(
    options: Any, inputs: Sequence[Input], records: Records, folder: Path, console: Console
) -> tuple[list[TuneResult], Transfer | None]:
    """Search on every input, or on the first one for all of them."""
    from fastsnf.cli.reproduce import RowProgress
    from fastsnf.studies.tune import transfer, tune

    progress = RowProgress(console)

    def watch(trial: Trial) -> None:
        progress.close()
        if not options.no_progress:
            console.print(_line(options.over, trial), soft_wrap=True)

    shared: dict[str, Any] = {"records": records, "watch": watch}
    if not options.no_progress:
        shared["progress"] = progress.step_done
    low, high = options.range or (None, None)
    found: list[TuneResult] = []
    try:
        for entry in inputs[: 1 if options.transfer else None]:
            if not options.no_progress:
                console.print(_heading(options.over, entry), soft_wrap=True)
            result = tune(
                entry.signal, entry.make_field, entry.config, over=options.over, values=options.values,
                low=low, high=high, candidates=options.candidates, rounds=options.rounds,
                seeds=options.seeds, share=options.share, race=not options.complete, **shared,
            )  # fmt: skip
            found.append(result)
        moved = None
        if options.transfer and found[0].value == found[0].reference:
            console.print("nothing to transfer: no value is better than the reference", soft_wrap=True)
        elif options.transfer:
            others = [(entry.name, entry.signal, entry.make_field) for entry in inputs[1:]]
            moved = transfer(found[0], others, inputs[0].config, **shared)
    except KeyboardInterrupt as error:
        kept = f"{len(records)} finished {'fit is' if len(records) == 1 else 'fits are'} kept"
        error.args = (f"interrupted; {kept} in {folder}: the same command goes on there",)
        raise
    finally:
        progress.close()
    return found, moved


def _heading(over: str, entry: Input) -> str:
    """Return what is searched on an input, with the rule of thumb where there is one."""
    from fastsnf.studies.tune import OVER, rule_for
    from fastsnf.studies.tune.rule import training_grid
    from fastsnf.studies.tune.search import HOLDOUT

    signal, heading = entry.signal, f"{entry.name}: {OVER[over].symbol}"
    if over != "alpha":
        return heading
    grid = training_grid(signal.shape, entry.config.holdout or HOLDOUT)
    rule = rule_for(entry.make_field({}, entry.config.seed), grid, signal.kind)
    size = " x ".join(map(str, grid))
    return heading if rule is None else f"{heading}, rule of thumb for {size} training points {rule:.2f}"


def _line(over: str, trial: Trial) -> str:
    """Return how a candidate ended, in a line."""
    from fastsnf.studies.tune import OVER

    head = f"{OVER[over].symbol} {OVER[over].text(trial.value)}: "
    if trial.why:
        return f"{head}no result after {trial.made:,.0f} steps: {trial.why}"
    how = "target reached" if trial.steps is not None else "target not reached"
    psnrs = f"PSNR {trial.psnr:.2f} dB, held-out {trial.psnr_test:.2f} dB"
    return f"{head}{how} after {trial.made:,.0f} steps, {psnrs}"


def _draw(found: Sequence[TuneResult], inputs: Sequence[Input], folder: Path) -> tuple[list[Path], str]:
    """Draw the curves of every search; without matplotlib the search is no less done."""
    paths: list[Path] = []
    for number, (result, entry) in enumerate(zip(found, inputs, strict=False), start=1):
        path = folder / ("tune.png" if len(found) == 1 else f"tune-{number}.png")
        try:
            result.draw(path, title=entry.name)
        except InputError as error:
            return paths, str(error)
        paths.append(path)
    return paths, ""


def _summary(
    inputs: Sequence[Input], found: Sequence[TuneResult], moved: Transfer | None, folder: Path
) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": entry.name, **result.summary()} for entry, result in zip(inputs, found, strict=False)
        ],
        "transfer": None if moved is None else moved.summary(),
        "folder": str(folder),
    }
