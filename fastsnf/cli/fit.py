"""``fastsnf fit``: options in, one call of the trainer, a run folder and a summary out."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastsnf.cli import run_folder
from fastsnf.cli.fit_options import AUTO, FitOptions
from fastsnf.cli.parse import parse

if TYPE_CHECKING:
    from rich.console import Console

    from fastsnf.nn import Field
    from fastsnf.signals import Signal
    from fastsnf.train import FitResult
    from fastsnf.train.parallel import World


def main(argv: Sequence[str]) -> int:
    """Run ``fastsnf fit`` and return its exit status."""
    options = parse(FitOptions, argv, prog="fastsnf fit")

    from fastsnf.train.parallel import joined

    with joined() as world:
        # The first process names the folder and reads what it records: later it is there for all of them.
        options, folder = world.from_first(lambda: placed(options))
        run(options, folder, world)
    return 0


def placed(options: FitOptions) -> tuple[FitOptions, Path]:
    """Return the options with those of the run that is resumed, and the run folder."""
    from fastsnf.cli.fit_recipe import with_recipe

    if not options.resume:
        return with_recipe(options), run_folder.new_folder(options)
    folder = run_folder.resume_folder(options)
    return run_folder.merged(options, run_folder.recorded(folder), folder), folder


def run(options: FitOptions, folder: Path, world: World) -> None:
    """Fit as `options` say into `folder` and print how it went; of several processes the first one prints.

    Raises:
        InputError, RunError, fastsnf.train.Interrupted: as `fastsnf.fit`, and for options that do not fit
            together.
    """
    from rich.console import Console

    from fastsnf.cli import fit_field, fit_setup

    # stderr belongs to errors, unless stdout belongs to the JSON object.
    console = Console(stderr=options.json, quiet=not world.first, highlight=False, markup=False, emoji=False)
    signal = world.each(lambda: _open(options, console))
    world.each(lambda: fit_setup.make_config(options))  # what is wrong shall be said before a search
    search = run_folder.search_of(folder) if options.resume else None
    if options.alpha == AUTO:
        tell = _teller(options, console)
        options, search = world.from_first(lambda: fit_field.search_alpha(options, signal, tell))
    elif not options.resume and fit_field.takes_default_alpha(options, signal):
        options, search = world.from_first(lambda: fit_field.learning_alpha(options, signal))
    result = _fit(options, folder, signal, console, search)
    if world.first:
        _conclude(result, options, folder, signal, console)


def _open(options: FitOptions, console: Console) -> Signal:
    """Open the input, telling how far the points of a mesh are, and what a reader warns of."""
    from fastsnf.cli.counter import Counter
    from fastsnf.cli.fit_setup import open_signal

    said: list[str] = []
    counter = Counter(console, f"{Path(str(options.input)).name}: points of the mesh")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            signal = open_signal(options, None if options.no_progress else counter)
        said += getattr(signal, "remarks", [])  # which the header says
        return signal
    finally:
        counter.close()
        for warning in caught:
            if str(warning.message) not in said:
                console.print(f"{'note':<8}{warning.message}", soft_wrap=True)


def _fit(
    options: FitOptions, folder: Path, signal: Signal, console: Console, search: Sequence[str] | None
) -> FitResult:
    """Train, with a header and progress."""
    from fastsnf.cli.fit_recipe import recipe_line
    from fastsnf.cli.fit_setup import make_config
    from fastsnf.cli.progress import Header, Progress
    from fastsnf.train import Callback, Interrupted, fit

    progress = Progress(console)
    recipe = recipe_line(options)
    more = [*([("recipe", recipe)] if recipe else []), *(("search", line) for line in search or ())]
    watchers: list[Callback] = [Header(console, Path(str(options.input)).name, more)]
    if not options.no_progress:
        watchers.append(progress)
    try:
        return fit(
            _field(options, folder, signal),
            signal,
            make_config(options),
            run=folder,
            callbacks=watchers,
            resume=options.resume,
            record=run_folder.record(options, search),
        )
    except Interrupted as error:
        error.args = (f"{error}: fastsnf fit --resume --out {folder}",)
        raise
    finally:
        progress.close()


def _conclude(result: FitResult, options: FitOptions, folder: Path, signal: Signal, console: Console) -> None:
    """Draw the pictures, write the report and print the summary."""
    from fastsnf.analysis import write_report
    from fastsnf.cli import fit_summary

    name = Path(str(options.input)).name
    similarity = fit_summary.similarity(result, signal)
    more = {} if similarity is None else {"ssim": similarity}
    drawn = fit_summary.draw(result, signal, folder, name, console)
    page = write_report(result, signal, folder, title=name, more=more)
    for line in fit_summary.lines(result, folder, signal, more, drawn):
        console.print(line, soft_wrap=True)
    if options.json:
        made = {} if result.left_out is not None else {"reconstruction": str(folder / signal.default_name)}
        print(json.dumps({**result.summary(), **more, **made, "report": str(page)}, allow_nan=False))


def _teller(options: FitOptions, console: Console) -> Callable[[str], None]:
    """Return what tells of the candidates of a search, silent with ``--no-progress``."""
    return lambda line: None if options.no_progress else console.print(f"{'search':<8}{line}", soft_wrap=True)


def _field(options: FitOptions, folder: Path, signal: Signal) -> Field:
    """Return the field to fit; that of a resumed run comes from its checkpoint, where there is one."""
    from fastsnf.cli.fit_field import make_field
    from fastsnf.train.snapshot import Snapshots

    # The run that --from names may be gone or changed by now: what it gave is in the checkpoint.
    snapshot = Snapshots(folder).newest() if options.resume and options.from_ is not None else None
    return make_field(options, signal) if snapshot is None else snapshot.checkpoint().field
