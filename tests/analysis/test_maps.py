"""Maps: what they show where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.signals import Sphere
from fastsnf.signals.latlon.lattice import Lattice

pytest.importorskip("matplotlib", reason="needs the extra report")

import PIL.Image

from fastsnf.analysis.maps import MOST_CELLS, PROJECTIONS, draw_error_map, draw_map, map_figure

LATITUDES = np.linspace(80.0, -80.0, 9)
LONGITUDES = np.arange(0.0, 360.0, 40.0)


def world(unit: str = "K") -> Sphere:
    values = LATITUDES[:, None] + LONGITUDES[None] / 10
    return Sphere.from_array(values, LATITUDES, LONGITUDES, name="t2m", unit=unit)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_map_is_a_picture(tmp_path: Path, projection: str) -> None:
    sphere, path = world(), tmp_path / "map.png"
    draw_map(sphere, torch.rand(18 * 20, 1), (18, 20), path, projection=projection, title="a world")
    with PIL.Image.open(path) as picture:
        assert picture.size == (1200, 660)
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.png"]


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_every_value_lies_in_its_place(projection: str) -> None:
    table = np.arange(81.0).reshape(9, 9)
    lattice = Lattice(tuple(LATITUDES), tuple(LONGITUDES))
    figure = map_figure(table, lattice, "x", projection=projection, label="t (K)")
    axes, bar = figure.axes
    mesh = axes.collections[0]
    corners = mesh.get_coordinates()
    if projection == "mollweide":
        corners = np.rad2deg(corners)
    drawn = np.asarray(mesh.get_array()).reshape(9, 9)
    for row, latitude in enumerate(LATITUDES):
        for column, longitude in enumerate(LONGITUDES):
            shown = (longitude + 180) % 360 - 180 if projection == "mollweide" else longitude
            i = np.searchsorted(corners[:, 0, 1], latitude) - 1
            j = np.searchsorted(corners[0, :, 0], shown) - 1
            assert drawn[i, j] == table[row, column]
    assert corners[..., 1].min() >= -90
    assert corners[..., 1].max() <= 90
    assert bar.get_ylabel() == "t (K)"


def test_errors_are_coloured_on_both_sides_of_0(tmp_path: Path) -> None:
    values = np.array(world().to_array())
    values[4, 4] = np.nan
    sphere = Sphere.from_array(values, LATITUDES, LONGITUDES)
    draw_error_map(sphere, sphere.values + 0.01, tmp_path / "e.png", projection="mollweide")
    assert (tmp_path / "e.png").stat().st_size > 1000
    error = np.array([[1.0, -3.0], [np.nan, 2.0]])
    mesh = map_figure(error, Lattice((0.0, 1.0), (0.0, 1.0)), "x", signed=True).axes[0].collections[0]
    assert mesh.get_clim() == (-3, 3)
    assert np.isnan(np.ma.filled(mesh.get_array(), np.nan)).sum() == 1
    nothing = map_figure(error * 0, Lattice((0.0, 1.0), (0.0, 1.0)), "x", signed=True)
    assert nothing.axes[0].collections[0].get_clim() == (-1, 1)


def test_large_tables_are_thinned() -> None:
    rows, columns = 3 * MOST_CELLS - 1, 2
    lattice = Lattice(tuple(np.linspace(-90, 90, rows)), (0.0, 10.0))
    mesh = map_figure(np.random.rand(rows, columns), lattice, "x").axes[0].collections[0]
    assert np.asarray(mesh.get_array()).size == 2 * MOST_CELLS


def test_maps_of_one_row_or_column() -> None:
    figure = map_figure(np.ones((1, 1)), Lattice((10.0,), (20.0,)), "x")
    assert figure.axes[0].collections[0].get_coordinates()[..., 0].tolist() == [[19.5, 20.5]] * 2


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    sphere, path = world(), tmp_path / "x.png"
    with pytest.raises(InputError, match="projection"):
        draw_map(sphere, sphere.values, sphere.shape, path, projection="mercator")
    part = Sphere.from_array([[1.0, 2.0], [3.0, 4.0]], [0, 10], [0, 10])
    with pytest.raises(InputError, match="go round"):
        draw_map(part, part.values, part.shape, path, projection="mollweide")
    with pytest.raises(InputError, match="rendered values"):
        draw_map(sphere, sphere.values, (3, 3), path)
    assert list(tmp_path.iterdir()) == []
