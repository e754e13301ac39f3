"""Pictures of a run, drawn by matplotlib when it is installed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSS, PSNR = "tab:gray", "tab:blue"
DPI = 150


def read_metrics(path: Path | str) -> list[dict[str, Any]]:
    """Return the rows of a ``metrics.jsonl``; a last line that a kill cut short is left out.

    Raises:
        InputError: when the file is missing, or a line before the last is not a JSON object.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"expected the metrics of a run; there is no file {str(path)!r}") from None
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            if number == len(lines):
                break
            raise InputError(
                f"expected a JSON object on line {number} of {str(path)!r}; got {line[:40]!r}"
            ) from None
        rows.append(row)
    return rows


def curve(rows: Sequence[Mapping[str, Any]], path: Path | str, *, title: str = "") -> None:
    """Draw loss and PSNR over steps and over seconds as a picture, replacing `path` in one move.

    Args:
        rows: Rows of ``metrics.jsonl``: ``step, seconds, loss, psnr``; ``psnr_holdout`` where there is one.
        path: The picture to write; its suffix names the format.
        title: A line above the axes.

    Raises:
        InputError: when matplotlib is not installed, naming the extra, or the folder cannot be written.
        RunError: when the disk is full or fails; an earlier picture stays.
    """
    target = Path(path)
    save_figure(curve_figure(rows, target.name, title=title), target)


def curve_figure(rows: Sequence[Mapping[str, Any]], name: str, *, title: str = "") -> Figure:
    """Return the figure of `curve` for the picture called `name`; raises `InputError` without matplotlib."""
    figure = new_figure((9.0, 3.6), name)
    left, right = figure.subplots(1, 2)
    _panel(left, rows, "step")
    _panel(right, rows, "seconds")
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def new_figure(size: tuple[float, float], name: str) -> Figure:
    """Return an empty figure of `size` inches for the picture called `name`.

    Raises:
        InputError: when matplotlib is not installed, naming the extra.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            f"expected matplotlib, to draw {name}; it is not installed: pip install 'fastsnf[report]'"
        ) from None
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)  # no pyplot: no global state, no display, safe in a thread
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as `path`, in one move; its suffix names the format.

    Raises:
        InputError: when the folder cannot be written.
        RunError: when the disk is full or fails; an earlier picture stays.
    """
    with atomic_write(path) as file:
        figure.savefig(file, dpi=DPI, format=path.suffix.lstrip(".") or "png")


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], over: str) -> None:
    """Draw PSNR on the left axis and the loss, logarithmic, on the right one."""
    losses = _points(rows, over, "loss")
    twin = axes.twinx()
    if losses[1]:
        twin.plot(*losses, color=LOSS, linewidth=1.0)
        if min(losses[1]) > 0:
            twin.set_yscale("log")
    twin.set_ylabel("loss", color=LOSS)
    for key, style in (("psnr", "-"), ("psnr_holdout", "--")):
        values = _points(rows, over, key)
        marker = "." if len(values[1]) == 1 else ""  # a single point has no line to be seen by
        axes.plot(*values, color=PSNR, linestyle=style, linewidth=1.8, marker=marker)
    axes.set_xlabel(over)
    axes.set_ylabel("PSNR (dB)", color=PSNR)
    axes.grid(alpha=0.3)
    axes.set_zorder(twin.get_zorder() + 1)
    axes.patch.set_visible(False)


def _points(rows: Sequence[Mapping[str, Any]], over: str, key: str) -> tuple[list[float], list[float]]:
    """Return the finite points of one curve."""
    xs, ys = [], []
    for row in rows:
        x, y = row.get(over), row.get(key)
        if x is not None and y is not None and math.isfinite(x) and math.isfinite(y):
            xs.append(float(x))
            ys.append(float(y))
    return xs, ys
