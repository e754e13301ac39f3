"""``fastsnf fit``: options in, one call of the trainer, a run folder and a summary out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastsnf.cli import run_folder
from fastsnf.cli.fit_options import AUTO, FitOptions
from fastsnf.cli.parse import parse
from fastsnf.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from fastsnf.nn import Field
    from fastsnf.signals import Signal
    from fastsnf.train import FitResult

CURVE = "curve.png"
MADE = {
    ".png": "picture", ".wav": "sound", ".ply": "mesh", ".nc": "map", ".mp4": "video", ".mkv": "video",
    ".npz": "values", ".npy": "values",
}
"""What the reconstruction of a run is, by its suffix."""
SSIM_POINTS = 1 << 24
"""Larger pictures are summarised without SSIM, whose computation holds some ten copies in float64."""


def main(argv: Sequence[str]) -> int:
    """Run ``fastsnf fit`` and return its exit status."""
    options = parse(FitOptions, argv, prog="fastsnf fit")
    if options.resume:
        folder = run_folder.resume_folder(options)
        options = run_folder.merged(options, run_folder.recorded(folder), folder)
    else:
        folder = run_folder.new_folder(options)
    run(options, folder)
    return 0


def run(options: FitOptions, folder: Path) -> None:
    """Fit as `options` say into `folder` and print how it went.

    Raises:
        InputError, RunError, fastsnf.train.Interrupted: as `fastsnf.fit`, and for options that do not fit
            together.
    """
    from rich.console import Console

    from fastsnf.analysis import write_report
    from fastsnf.cli import fit_field, fit_setup
    from fastsnf.cli.progress import Header, Progress
    from fastsnf.train import Callback, Interrupted, fit

    # stderr belongs to errors, unless stdout belongs to the JSON object.
    console = Console(stderr=options.json, highlight=False, markup=False, emoji=False)
    signal = fit_setup.open_signal(options)
    config = fit_setup.make_config(options)
    search = run_folder.search_of(folder) if options.resume else None
    if options.alpha == AUTO:
        options, search = fit_field.search_alpha(options, signal, _teller(options, console))
    field = _field(options, folder, signal)
    progress = Progress(console)
    watchers: list[Callback] = [Header(console, Path(str(options.input)).name, search or ())]
    if not options.no_progress:
        watchers.append(progress)
    record = run_folder.record(options, search)
    try:
        result = fit(
            field, signal, config, run=folder, callbacks=watchers, resume=options.resume, record=record
        )
    except Interrupted as error:
        error.args = (f"{error}: fastsnf fit --resume --out {folder}",)
        raise
    finally:
        progress.close()
    similarity = _ssim(result, signal)
    extra = {} if similarity is None else {"ssim": similarity}
    name = Path(str(options.input)).name
    drawn = _draw(result, folder, name, console)
    write_report(result, signal, folder, title=name, more=extra)
    for line in report(result, folder, signal, extra, drawn):
        console.print(line, soft_wrap=True)
    if options.json:
        print(json.dumps({**result.summary(), **extra}, allow_nan=False))


def _teller(options: FitOptions, console: Console) -> Callable[[str], None]:
    """Return what tells of the candidates of a search, silent with ``--no-progress``."""
    return lambda line: None if options.no_progress else console.print(f"{'search':<8}{line}", soft_wrap=True)


def report(
    result: FitResult, folder: Path, signal: Signal, more: Mapping[str, float], drawn: bool
) -> list[str]:
    """Return the lines that end a fit: how good, how fast, and where everything is."""
    from fastsnf.analysis.run_report.numbers import qualities, said
    from fastsnf.analysis.run_report.report import REPORT_FILE
    from fastsnf.cli.progress import clock
    from fastsnf.train.checkpoint import FIELD_FILE

    quality = ", ".join(said(name, value) for name, value in qualities(result, more).items())
    speed = f"{result.points_per_second / 1e6:.2f} M points/s"
    made = folder / signal.default_name
    return [
        f"{'result':<12}{quality}; {result.steps:,} steps in {clock(result.seconds)}, {speed}",
        *adjustment_lines(result),
        f"{MADE.get(made.suffix, 'values'):<12}{made if result.left_out is None else result.left_out}",
        *([f"{'curve':<12}{folder / CURVE}"] if drawn else []),
        f"{'report':<12}{folder / REPORT_FILE}",
        f"{'checkpoint':<12}{folder / FIELD_FILE}",
    ]


def adjustment_lines(result: FitResult) -> list[str]:
    """Return what a user should know of the adjustment of gradients: nothing, where all went well."""
    missed = {} if result.iga is None else {name: result.iga[name] for name in ("failures", "short")}
    reasons = {"failures": "the eigenvalue problem was not solved", "short": "there were too few groups"}
    said = [f"{count:,} steps, as {reasons[name]}" for name, count in missed.items() if count]
    return [f"{'iga':<12}no adjustment in {'; in '.join(said)}"] if said else []


def _field(options: FitOptions, folder: Path, signal: Signal) -> Field:
    """Return the field to fit; that of a resumed run comes from its checkpoint, where there is one."""
    from fastsnf.cli.fit_field import make_field
    from fastsnf.train.snapshot import Snapshots

    # The run that --from names may be gone or changed by now: what it gave is in the checkpoint.
    snapshot = Snapshots(folder).newest() if options.resume and options.from_ is not None else None
    return make_field(options, signal) if snapshot is None else snapshot.checkpoint().field


def _ssim(result: FitResult, signal: Signal) -> float | None:
    """Return the SSIM of the whole picture, or None where it is not defined or scikit-image is not there."""
    from fastsnf.train.metrics import ssim

    if signal.kind != "image" or signal.weights is not None or signal.size > SSIM_POINTS:
        return None
    shape = (*signal.shape, signal.out_features)
    assert result.values is not None, "pictures are held"
    try:
        return ssim(result.values.reshape(shape), signal.values.reshape(shape))
    except InputError:
        return None


def _draw(result: FitResult, folder: Path, name: str, console: Console) -> bool:
    """Draw the curve and return whether there is one; without matplotlib the fit is no less done."""
    from fastsnf.analysis.plots import curve

    try:
        curve(result.history, folder / CURVE, title=name)
    except InputError as error:
        console.print(str(error), soft_wrap=True)
        return False
    return True
