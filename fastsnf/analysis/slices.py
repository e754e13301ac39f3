"""Slices through the middle of a volume or a solid: original, reconstruction and error, by matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.analysis.plots import new_figure, save_figure
from fastsnf.analysis.run_report.slices import Slice, middle_slices
from fastsnf.errors import InputError
from fastsnf.signals.signal import Signal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Tensor | Callable[[Tensor], Tensor]
"""Values `[N, C]` at the points of a signal, or what gives them, `[B, C]`, of points by number, `[B]`."""


def draw_slices(
    signal: Signal, values: Values, path: Path | str, *, original: bool = True, title: str = ""
) -> None:
    """Draw the three slices through the middle of a grid of three axes, replacing `path` in one move.

    A row for each axis: the original, the reconstruction and their difference, in the source's units. Of
    vectors the length is drawn, and the length of the difference. Points of weight 0 stay blank. Slices are
    thinned to `fastsnf.analysis.run_report.slices.MOST_SIDE` points a side; nothing else is read.

    Args:
        signal: a volume, a solid or another signal of three axes.
        values: the field's, 0 to 1 as the signal has them.
        path: the picture; its suffix names the format.
        original: whether to draw original and difference, for which the signal needs its data.
        title: a line above the slices.

    Raises:
        InputError: no matplotlib, another number of axes or values, a signal without its data, or a place
            that cannot be written.
        RunError: the disk is full or failed.
    """
    target = Path(path)
    save_figure(slices_figure(signal, values, target.name, original=original, title=title), target)


def slices_figure(
    signal: Signal, values: Values, name: str, *, original: bool = True, title: str = ""
) -> Figure:
    """Return the figure of `draw_slices` for the picture called `name`."""
    if len(signal.shape) != 3:
        raise InputError(f"expected a signal of three axes to draw slices of; got shape {signal.shape}")
    if isinstance(values, Tensor) and values.shape != (signal.size, signal.out_features):
        expected = [signal.size, signal.out_features]
        raise InputError(f"expected values of shape {expected}; got {list(values.shape)}")
    columns = 3 if original else 1
    figure = new_figure((0.6 + 3.2 * columns, 8.4), name)
    for row, cut in zip(figure.subplots(3, columns, squeeze=False), middle_slices(signal.shape), strict=True):
        _row(list(row), signal, values, cut)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _row(axes: list[Axes], signal: Signal, values: Values, cut: Slice) -> None:
    """Draw one slice: the original, the reconstruction and the difference, or the reconstruction alone."""
    found = values[cut.index] if isinstance(values, Tensor) else values(cut.index)
    found = signal.to_units(found.detach().to("cpu", torch.float32))
    panels = {"reconstruction": _lengths(found, cut)}
    if len(axes) > 1:
        there = signal.to_units(signal.targets(cut.index))
        hidden = None if signal.weights is None else signal.weights[cut.index] == 0
        panels = {"original": _lengths(there, cut), **panels, "error": _lengths(found - there, cut)}
        if hidden is not None:
            blank = hidden.reshape(cut.shape).numpy()
            panels["original"][blank] = panels["error"][blank] = np.nan
    shown = panels.get("original", panels["reconstruction"])
    seen = shown[np.isfinite(shown)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    for panel, (what, plane) in zip(axes, panels.items(), strict=True):
        style: dict[str, Any] = {"vmin": low, "vmax": high, "cmap": "gray"}
        if what == "error":
            most = float(np.nanmax(np.abs(plane), initial=0.0)) or 1.0
            signed = signal.out_features == 1
            style = {"vmin": -most if signed else 0.0, "vmax": most, "cmap": "RdBu_r" if signed else "magma"}
        image = panel.imshow(plane, aspect=_aspect(signal, cut), interpolation="nearest", **style)
        panel.figure.colorbar(image, ax=panel, shrink=0.8)
        panel.set_title(f"{what}: {cut.title}" if panel is axes[0] else what, fontsize=9)
        panel.set_xticks([])
        panel.set_yticks([])


def _lengths(values: Tensor, cut: Slice) -> NDArray[np.float32]:
    """Return scalars as they are and the lengths of vectors, `[h, w]`."""
    plane = values[:, 0] if values.shape[1] == 1 else values.norm(dim=1)
    return plane.reshape(cut.shape).numpy().copy()


def _aspect(signal: Signal, cut: Slice) -> float:
    """Return how much longer a point is down than across, where the source knows its spacing."""
    spacing = getattr(signal, "spacing", None)
    if spacing is None:
        return 1.0
    down, across = (step for axis, step in enumerate(spacing) if axis != cut.axis)
    return float(down / across)
