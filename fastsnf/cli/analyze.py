"""``fastsnf analyze``: what makes a field train fast or slowly, as tables and pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastsnf.cli.analyze_options import fit_options, options_class, refuse_fresh
from fastsnf.cli.parse import parse
from fastsnf.cli.shared_options import FLAGS, SIGNAL
from fastsnf.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from fastsnf.analysis import Analysis
    from fastsnf.nn import Field
    from fastsnf.signals import Signal

NUMBERS = "analysis.json"
"""What the tables show, and more, in the folder of the pictures."""
COUNTS = ("points", "hessian_points", "hessian_steps", "ntk_steps")
"""Options that go to `fastsnf.analysis.analyze` under the same name."""


class Subject(NamedTuple):
    """What is analysed: the field, its signal or None, what its outputs are, and what to know about it."""

    field: Field
    signal: Signal | None
    outputs: str
    name: str
    note: str = ""


def main(argv: Sequence[str]) -> int:
    """Run ``fastsnf analyze`` and return its exit status."""
    run(parse(options_class(), argv, prog="fastsnf analyze"))
    return 0


def run(options: Any) -> None:
    """Analyse as `options` say, print the tables and write the pictures.

    Raises:
        InputError: for an input, an option or a folder that is wrong.
        RunError: when the disk is full or fails.
    """
    from rich.console import Console

    from fastsnf.analysis import analyze
    from fastsnf.cli.analyze_tables import head, tables
    from fastsnf.train.placement import resolve_device
    from fastsnf.train.result import finite_or_none

    # stderr belongs to errors, unless stdout belongs to the JSON object.
    console = Console(stderr=options.json, highlight=False, markup=False, emoji=False)
    device = resolve_device(options.device)
    subject = subject_of(options)
    folder = folder_of(options)
    field = subject.field.to(device)
    counts = {name: value for name in COUNTS if (value := getattr(options, name)) is not None}
    for line in head(field, subject.signal, subject.name, str(device), subject.note):
        console.print(line, soft_wrap=True)
    with console.status("") if console.is_terminal else nullcontext() as status:
        told: Callable[[str], None] = (lambda part: None) if status is None else status.update
        found = analyze(
            field,
            subject.signal,
            only=options.only,
            outputs=subject.outputs,
            seed=options.seed,
            told=told,
            **counts,
        )
    for table in tables(found):
        console.print(table)
    numbers = finite_or_none(found.to_dict())
    pictures = write(found, numbers, folder, console)
    for what, path in (*(("picture", path) for path in pictures), ("numbers", folder / NUMBERS)):
        console.print(f"{what:<9}{path}", soft_wrap=True)
    if options.json:
        print(json.dumps({**numbers, "out": str(folder)}, allow_nan=False))


def subject_of(options: Any) -> Subject:
    """Return what `options` name: the field of a run with the signal that it records, or a fresh field.

    Raises:
        InputError: for anything that is neither, or options that contradict it.
    """
    path = Path(options.input)
    if path.is_dir() or path.suffix == ".safetensors":
        return fitted(options, path)
    if options.signal is not None:
        raise InputError("expected --signal with a run; got it with an input file, which is its own signal")
    from fastsnf.cli.fit_field import make_field
    from fastsnf.cli.fit_setup import open_signal

    chosen = fit_options(options, options.input)
    signal = open_signal(chosen)
    return Subject(make_field(chosen, signal), signal, "values", path.name, "a fresh field")


def fitted(options: Any, path: Path) -> Subject:
    """Return the field of a run and its signal, described only where its file is not to be found."""
    from fastsnf.signals import from_metadata
    from fastsnf.train import checkpoint

    refuse_fresh(options, options.input)
    source = checkpoint.read(path)
    described = None if source.signal is None else from_metadata(source.signal)
    recorded = _recorded(path)
    known = recorded.input if recorded is not None else None
    wanted = options.signal if options.signal is not None else known
    typed = {name: getattr(options, name) for name in SIGNAL}
    given = {name: value for name, value in typed.items() if value is not None and value is not False}
    if wanted is None or (options.signal is None and not _is_input(Path(wanted))):
        if given:
            raise InputError("expected --signal FILE with options that say how it is read; got none")
        lost = "" if wanted is None else f"; {wanted}, which the run records, is gone"
        note = f"no targets: give them with --signal FILE{lost}"
        return Subject(source.field, described, source.outputs, str(path), note)
    from fastsnf.cli.fit_setup import open_signal

    reading: dict[str, Any] = {name: getattr(recorded, name, None) for name in SIGNAL} | given
    reading |= {name: bool(reading[name]) for name in FLAGS}
    chosen = dataclasses.replace(fit_options(options, wanted), **reading)
    signal = open_signal(chosen)
    if described is not None and signal.shape != described.shape:
        raise InputError(
            f"expected the signal that {options.input} was fitted to, on a grid of {described.shape}; got "
            f"{signal.shape} from {wanted}: say with --size how it was read, or give its file with --signal"
        )
    return Subject(source.field, signal, source.outputs, str(path), f"signal {wanted}")


def _is_input(path: Path) -> bool:
    """Return whether a file is there, or the folder of a zarr array, which is an input as well."""
    from fastsnf.cli.run_folder import is_folder

    return path.exists() and not is_folder(path)


def _recorded(path: Path) -> Any:
    """Return the options that a run folder records, None where there are none, as for a file alone."""
    from fastsnf.cli.run_folder import recorded

    try:
        return recorded(path)
    except InputError:
        return None


def folder_of(options: Any) -> Path:
    """Return the folder of the pictures: ``--out``, or a place by the run, or by the input's name."""
    from fastsnf.cli.run_folder import RUNS

    path = Path(options.input)
    if options.out is not None:
        return Path(options.out)
    if path.is_dir():
        return path / "analysis"
    if path.suffix == ".safetensors":
        return path.with_name(f"{path.stem}-analysis")
    return RUNS / f"{path.stem}-analysis"


def write(found: Analysis, numbers: dict[str, Any], folder: Path, console: Console) -> list[Path]:
    """Write the numbers and the pictures and return the latter; without matplotlib there are none."""
    from fastsnf.signals.atomic import atomic_write

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"expected a folder that can be written; got {str(folder)!r}: {error.strerror}"
        ) from None
    with atomic_write(folder / NUMBERS) as file:
        file.write((json.dumps(numbers, indent=1, allow_nan=False) + "\n").encode())
    try:
        return found.draw(folder)
    except InputError as error:
        if "matplotlib" not in str(error):
            raise
        console.print(str(error), soft_wrap=True)
        return []
