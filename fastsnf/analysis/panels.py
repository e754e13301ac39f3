"""Pictures of several panels: curves, heat maps and bars, drawn by matplotlib when it is installed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastsnf.analysis.plots import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 3.2, 2.6
"""Inches of a panel."""
MOST_INCHES = 60.0
"""Longest side of a picture: 9,000 pixels."""

MOST_OPAQUE = 6
"""Curves whose legend may hide what is behind it; that of more covers much and is seen through."""


@dataclass(frozen=True)
class Line:
    """A curve: its name and its points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    @classmethod
    def known(cls, name: str, x: Iterable[float], y: Iterable[float | None]) -> Line:
        """Return the curve through the points that have a y.

        >>> Line.known("PSNR", [0, 10, 20], [12.5, None, 30.0])
        Line(name='PSNR', x=[0, 20], y=[12.5, 30.0])
        """
        there = [(a, b) for a, b in zip(x, y, strict=True) if b is not None]
        return cls(name, [a for a, _ in there], [b for _, b in there])


@dataclass(frozen=True)
class Lines:
    """A panel of curves over one axis; `log` makes the vertical one logarithmic, `x_log` the other.

    Curves without points are left out.
    """

    title: str
    lines: Sequence[Line]
    x_label: str
    y_label: str
    log: bool = False
    x_log: bool = False

    def draw(self, axes: Axes) -> None:
        """Draw the panel."""
        shown = [line for line in self.lines if len(line.x)]
        for line in shown:
            axes.plot(line.x, line.y, label=line.name, linewidth=1.3, marker="." if len(line.x) < 12 else "")
        positive = [y for line in shown for y in line.y if y > 0]
        if self.log and positive:
            axes.set_yscale("log")
        if self.x_log:
            axes.set_xscale("log", base=2)
        axes.set_xlabel(self.x_label)
        axes.set_ylabel(self.y_label)
        axes.grid(alpha=0.3)
        if shown:
            many = len(shown) > MOST_OPAQUE
            axes.legend(fontsize=5 if many else 6, framealpha=0.3 if many else 0.8)


@dataclass(frozen=True)
class Heat:
    """A panel of errors as colours: `rows` from bottom to top with their `ticks`, columns over `span`."""

    title: str
    rows: Sequence[Sequence[float]]
    ticks: Sequence[str]
    span: tuple[float, float]

    def draw(self, axes: Axes) -> None:
        """Draw the panel; darker is a larger error, as in the paper, one scale for all panels."""
        low, high = self.span
        extent = (low, high if high > low else low + 1, -0.5, len(self.rows) - 0.5)
        axes.imshow(
            self.rows, aspect="auto", origin="lower", cmap="Blues", vmin=0.0, vmax=1.0, extent=extent,
            interpolation="nearest",
        )  # fmt: skip
        axes.set_yticks(range(len(self.ticks)), self.ticks)
        axes.set_xlabel("step")


@dataclass(frozen=True)
class Plane:
    """A panel of values over two axes as colours: `values[j][i]` is at (`x[i]`, `y[j]`), and `lines` on it.

    The axes are numbers that ascend; colours span the values from `low` to `high`, None for their own range.
    """

    title: str
    x: Sequence[float]
    y: Sequence[float]
    values: Sequence[Sequence[float]]
    x_label: str
    y_label: str
    lines: Sequence[Line] = ()
    low: float | None = None
    high: float | None = None

    def draw(self, axes: Axes) -> None:
        """Draw the panel, a colour bar beside it."""
        mesh = axes.pcolormesh(
            self.x, self.y, self.values, shading="nearest", cmap="viridis", vmin=self.low, vmax=self.high
        )
        axes.figure.colorbar(mesh, ax=axes).ax.tick_params(labelsize=6)
        limits = axes.get_xlim(), axes.get_ylim()
        for line in self.lines:
            axes.plot(line.x, line.y, label=line.name, linewidth=1.0, color="red", linestyle="--")
        axes.set_xlim(*limits[0])
        axes.set_ylim(*limits[1])
        axes.set_xlabel(self.x_label)
        axes.set_ylabel(self.y_label)
        if self.lines:
            axes.legend(fontsize=6)


@dataclass(frozen=True)
class Bars:
    """A panel of bars: one for each name."""

    title: str
    names: Sequence[str]
    values: Sequence[float]
    y_label: str

    def draw(self, axes: Axes) -> None:
        """Draw the panel; the axis starts a little below the lowest bar."""
        places = range(len(self.names))
        axes.bar(places, self.values)
        axes.set_xticks(places, self.names, rotation=30, ha="right")
        axes.set_ylabel(self.y_label)
        if self.values and min(self.values) > 0:
            gap = max(self.values) - min(self.values) or 1.0
            axes.set_ylim(max(0.0, min(self.values) - gap), max(self.values) + 0.2 * gap)


Panel = Lines | Heat | Plane | Bars


class Drawn(ABC):
    """A result that draws itself as a row of panels."""

    @abstractmethod
    def panels(self) -> list[Panel]:
        """Return the panels."""

    def draw(self, path: Path | str) -> None:
        """Draw the panels into a file; raises as `draw_panels`."""
        draw_panels([self.panels()], path)


def draw_panels(grid: Sequence[Sequence[Panel]], path: Path | str, *, title: str = "") -> None:
    """Draw rows of panels as one picture, replacing `path` in one move.

    Args:
        grid: rows, perhaps of different lengths.
        path: the picture; its suffix names the format.
        title: a line above.

    Raises:
        InputError: when matplotlib is not installed, naming the extra, or the folder cannot be written.
        RunError: when the disk is full or fails; an earlier picture stays.
    """
    rows, columns = max(1, len(grid)), max([1, *(len(row) for row in grid)])
    size = (min(MOST_INCHES, WIDTH * columns), min(MOST_INCHES, HEIGHT * rows))
    figure = new_figure(size, Path(path).name)
    places = figure.subplots(rows, columns, squeeze=False)
    for r in range(rows):
        for c in range(columns):
            axes = places[r][c]
            if r < len(grid) and c < len(grid[r]):
                axes.set_title(grid[r][c].title, fontsize=8)
                grid[r][c].draw(axes)
                axes.tick_params(which="both", labelsize=7)
                axes.xaxis.label.set_size(8)
                axes.yaxis.label.set_size(8)
            else:
                axes.set_axis_off()
    if title:
        figure.suptitle(title, fontsize=10)
    save_figure(figure, Path(path))
