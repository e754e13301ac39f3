"""What ends ``fastsnf fit``: the measures of quality, the curve, and where everything is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastsnf.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from fastsnf.signals import Signal
    from fastsnf.train import FitResult

CURVE = "curve.png"
MADE = {
    ".png": "picture",
    ".wav": "sound",
    ".ply": "mesh",
    ".nc": "values",
    ".mp4": "video",
    ".npz": "values",
    ".npy": "values",
}
"""What the reconstruction of a run is, by its suffix."""
SSIM_POINTS = 1 << 24
"""Larger pictures are summarised without SSIM, whose computation holds some ten copies in float64."""


def lines(
    result: FitResult,
    folder: Path,
    signal: Signal,
    more: Mapping[str, float],
    drawn: Sequence[tuple[str, Path]],
) -> list[str]:
    """Return the lines that end a fit: how good, how fast, and where everything is.

    Args:
        result, folder, signal: of the fit.
        more: measures of quality beside those of the result.
        drawn: the pictures and what they are.
    """
    from fastsnf.analysis.run_report.numbers import qualities, said
    from fastsnf.analysis.run_report.report import REPORT_FILE
    from fastsnf.cli.counter import clock
    from fastsnf.train.checkpoint import FIELD_FILE

    known = {name: value for name, value in qualities(result, more).items() if not math.isnan(value)}
    quality = ", ".join(said(name, value) for name, value in known.items())
    speed = f"{result.points_per_second / 1e6:.2f} M points/s"
    made = folder / signal.default_name
    what = MADE.get(made.suffix, "values")
    return [
        f"{'result':<12}{quality}; {result.steps:,} steps in {clock(result.seconds)}, {speed}",
        *adjustment_lines(result),
        f"{what:<12}{made}" if result.left_out is None else f"{what:<12}none: {result.left_out}",
        *(f"{picture:<12}{path}" for picture, path in drawn),
        f"{'report':<12}{folder / REPORT_FILE}",
        f"{'checkpoint':<12}{folder / FIELD_FILE}",
    ]


def adjustment_lines(result: FitResult) -> list[str]:
    """Return what a user should know of the adjustment of gradients: nothing, where all went well."""
    missed = {} if result.iga is None else {name: result.iga[name] for name in ("failures", "short")}
    reasons = {"failures": "the eigenvalue problem was not solved", "short": "there were too few groups"}
    said = [f"{count:,} steps, as {reasons[name]}" for name, count in missed.items() if count]
    return [f"{'iga':<12}no adjustment in {'; in '.join(said)}"] if said else []


def similarity(result: FitResult, signal: Signal) -> float | None:
    """Return the SSIM of a picture, or None where it is not defined, there already, or needs scikit-image."""
    from fastsnf.train.metrics import ssim

    if signal.kind != "image" or signal.weights is not None or signal.size > SSIM_POINTS:
        return None
    if "ssim" in result.metrics or result.values is None:
        return None
    shape = (*signal.shape, signal.out_features)
    try:
        return ssim(result.values.reshape(shape), signal.values.reshape(shape))
    except InputError:
        return None


def draw(
    result: FitResult, signal: Signal, folder: Path, name: str, console: Console
) -> list[tuple[str, Path]]:
    """Draw the curve and what is drawn of a kind of signal, and return (what, path) of each picture.

    Without matplotlib there are none, and the fit is no less done.
    """
    from fastsnf.analysis.plots import curve
    from fastsnf.cli.fit_pictures import draw_pictures

    try:
        curve(result.history, folder / CURVE, title=name)
    except InputError as error:
        console.print(str(error), soft_wrap=True)
        return []
    return [("curve", folder / CURVE), *draw_pictures(result, signal, folder)]
