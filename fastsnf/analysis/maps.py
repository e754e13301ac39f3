"""Maps of a sphere and of the error of a field on it, drawn by matplotlib when it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.analysis.plots import new_figure, save_figure
from fastsnf.errors import InputError, unknown
from fastsnf.signals.latlon.lattice import Lattice
from fastsnf.signals.sphere import Sphere

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROJECTIONS = ("plate-carree", "mollweide")
"""Degrees as they are, and the whole sphere in an ellipse with areas as they are."""

MOST_CELLS = 1000
"""Cells drawn along each side at most: more than the pixels there are."""


def draw_map(
    signal: Sphere,
    values: Tensor,
    shape: Sequence[int],
    path: Path | str,
    *,
    projection: str = "plate-carree",
    title: str = "",
) -> None:
    """Draw values of a field on a sphere, in the unit of the source, replacing `path` in one move.

    Args:
        signal: the sphere; it may be without its data.
        values: `[N, 1]`, as the field gives them: the range of the source is 0 to 1.
        shape: (rows, columns) of the rendering, ``N`` points.
        path: the picture; its suffix names the format.
        projection: one of `PROJECTIONS`.
        title: a line above the map.

    Raises:
        InputError: no matplotlib, shapes that do not agree, a projection that is none or does not fit, or a
            place that cannot be written.
        RunError: the disk is full or failed.
    """
    target = Path(path)
    table = signal.to_array(values, shape)
    figure = map_figure(
        table.astype(np.float64), signal.lattice.resampled(table.shape), target.name,
        projection=projection, title=title, label=_label(signal),
    )  # fmt: skip
    save_figure(figure, target)


def draw_error_map(
    signal: Sphere,
    values: Tensor,
    path: Path | str,
    *,
    projection: str = "plate-carree",
    title: str = "",
) -> None:
    """Draw field minus source at every point of a sphere, in the unit of the source; points without a value
    stay blank.

    Args:
        signal: the sphere with its data.
        values: `[N, 1]`, the field's at its points.
        path, projection, title: see `draw_map`, which says what is raised.
    """
    target = Path(path)
    error = signal.to_array(values).astype(np.float64) - signal.to_array()
    figure = map_figure(
        error, signal.lattice, target.name, projection=projection, title=title,
        label=f"error: {_label(signal)}", signed=True,
    )  # fmt: skip
    save_figure(figure, target)


def map_figure(
    table: NDArray[np.float64],
    lattice: Lattice,
    name: str,
    *,
    projection: str = "plate-carree",
    title: str = "",
    label: str = "",
    signed: bool = False,
) -> Figure:
    """Return the figure of a table over latitudes and longitudes for the picture called `name`.

    Args:
        table: `[rows, columns]`, NaN where nothing is drawn.
        lattice: its latitudes and longitudes.
        name: of the picture, for the error without matplotlib.
        projection: one of `PROJECTIONS`; Mollweide's shows longitudes that go round.
        title: a line above.
        label: what the colours are.
        signed: colours on both sides of 0.
    """
    if projection not in PROJECTIONS:
        raise unknown("the projection", projection, PROJECTIONS)
    round_ = projection == "mollweide"
    if round_ and not lattice.goes_round:
        raise InputError(
            "expected longitudes that go round the sphere for the projection mollweide; got a part of it; "
            "use plate-carree"
        )
    table, rows, columns = _thinned(table, lattice)
    if round_:
        columns = (columns + 180.0) % 360.0 - 180.0
    table, rows, columns = _rising(table, rows, columns)
    figure = new_figure((8.0, 4.4), name)
    axes = figure.add_subplot(projection="mollweide" if round_ else None)
    edges = [_edges(columns, 180.0 if round_ else np.inf), _edges(rows, 90.0)]
    if round_:
        edges = [np.deg2rad(edge) for edge in edges]
        edges[0][0], edges[0][-1] = -np.pi, np.pi
    options: dict[str, Any] = {"cmap": "viridis"}
    if signed:
        largest = float(np.nanmax(np.abs(table), initial=0.0)) or 1.0
        options = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
    drawn = axes.pcolormesh(*edges, table, shading="flat", rasterized=True, **options)
    figure.colorbar(drawn, ax=axes, label=label, shrink=0.8)
    if round_:
        axes.grid(alpha=0.3)
    else:
        axes.set(xlabel="longitude (degrees)", ylabel="latitude (degrees)", aspect="equal")
    if title:
        axes.set_title(title, fontsize=10)
    return figure


def _label(signal: Sphere) -> str:
    """Return what the values are, and in which unit."""
    about = signal.about
    words = about["long_name"] or about["name"]
    return f"{words} ({about['unit']})" if about["unit"] else words


def _thinned(
    table: NDArray[np.float64], lattice: Lattice
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return every k-th row and column of a table, with their degrees, so that few enough are left."""
    row, column = (-(-size // MOST_CELLS) for size in table.shape)
    return (
        table[::row, ::column],
        np.asarray(lattice.latitudes)[::row],
        np.asarray(lattice.longitudes)[::column],
    )


def _rising(
    table: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return a table with its rows and columns in rising order."""
    down, across = np.argsort(rows), np.argsort(columns)
    return table[down][:, across], rows[down], columns[across]


def _edges(centres: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Return the edges of cells around rising centres, half way between them and within ±limit."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    ends = [2 * centres[0] - middle[0]], [2 * centres[-1] - middle[-1]]
    return np.clip(np.concatenate([ends[0], middle, ends[1]]), -limit, limit)
