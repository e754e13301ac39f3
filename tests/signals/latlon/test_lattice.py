"""Latitudes and longitudes: points of the sphere, areas, resampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.signals.latlon.lattice import Lattice
from fastsnf.signals.latlon.vectors import UnitVectors, unit_vectors

WORLD = Lattice((90.0, 45.0, 0.0, -45.0, -90.0), (0.0, 90.0, 180.0, 270.0))


def test_points_are_unit_vectors_longitude_fastest() -> None:
    points = UnitVectors(WORLD).at(slice(0, 20)).reshape(5, 4, 3)
    assert torch.allclose(points.norm(dim=-1), torch.ones(5, 4))
    half = math.sqrt(0.5)
    expected = torch.tensor([[half, 0, half], [0, half, half], [-half, 0, half], [0, -half, half]])
    assert torch.allclose(points[1], expected, atol=1e-7)
    assert torch.allclose(points[0], torch.tensor([0.0, 0.0, 1.0]).expand(4, 3), atol=1e-7)


def test_an_index_a_slice_and_degrees_give_the_same_bits() -> None:
    lattice = Lattice(tuple(np.linspace(-80, 70, 13)), tuple(np.linspace(-170, 185, 17)))
    everything = UnitVectors(lattice).at(slice(0, 221))
    index = torch.tensor([220, 0, 17, 16, 3])
    assert torch.equal(UnitVectors(lattice).at(index), everything[index])
    assert torch.equal(UnitVectors(lattice).at(slice(5, 221, 7)), everything[5::7])
    degrees = torch.cartesian_prod(
        torch.tensor(lattice.latitudes, dtype=torch.float64),
        torch.tensor(lattice.longitudes, dtype=torch.float64),
    )
    assert torch.equal(unit_vectors(degrees), everything)


def test_areas_are_cosines_whose_mean_is_1() -> None:
    lattice = Lattice(tuple(np.linspace(90, -90, 19)), tuple(np.arange(0.0, 360, 10)))
    areas = UnitVectors(lattice).areas(slice(0, 684))
    assert areas.double().mean().item() == pytest.approx(1)
    rows = areas.reshape(19, 36)
    assert torch.equal(rows[:, :1].expand(19, 36), rows)
    assert (rows[6, 0] / rows[9, 0]).item() == pytest.approx(math.cos(math.radians(30)))
    assert (rows >= 0).all()
    assert torch.equal(UnitVectors(lattice).areas(slice(30, 50)), areas[30:50])


def test_longitudes_that_go_round_divide_the_turn_anew() -> None:
    for longitudes in (range(0, 360, 30), range(-180, 180, 30), range(330, -1, -30)):
        lattice = Lattice((10.0, 0.0), tuple(map(float, longitudes)))
        assert lattice.goes_round
        finer = lattice.resampled((2, 24)).longitudes
        assert finer[::2] == pytest.approx(list(map(float, longitudes)))
        assert np.ptp(np.diff(finer)) < 1e-9
        assert abs(finer[1] - finer[0]) == pytest.approx(15)
    for longitudes in ((0.0, 120.0, 241.0), (0.0, 10.0, 20.0), (5.0,), tuple(np.linspace(0, 360, 13))):
        assert not Lattice((10.0, 0.0), longitudes).goes_round


def test_other_longitudes_and_latitudes_keep_their_ends_and_their_spacing() -> None:
    lattice = Lattice((90.0, 80.0, 0.0), (10.0, 20.0, 40.0))
    finer = lattice.resampled((5, 3))
    assert finer.latitudes == (90.0, 85.0, 80.0, 40.0, 0.0)
    assert finer.longitudes == lattice.longitudes
    assert lattice.resampled((3, 3)) is lattice
    one = lattice.resampled((1, 1))
    assert (one.latitudes, one.longitudes) == ((80.0,), (20.0,))


@pytest.mark.parametrize(
    ("latitudes", "longitudes", "message"),
    [
        ((), (0.0,), "latitudes in degrees that rise or fall; got none"),
        ((0.0, 0.0), (0.0,), "latitudes"),
        ((0.0, 10.0, 5.0), (0.0,), "latitudes"),
        ((math.nan,), (0.0,), "latitudes"),
        ((0.0, math.inf), (0.0,), "latitudes"),
        ((91.0,), (0.0,), "within 90 degrees"),
        ((0.0,), (0.0, 180.0, 90.0), "longitudes"),
        ((0.0,), (0.0, 361.0), "one turn"),
        ((0.0,), (800.0,), "one turn"),
    ],
)
def test_what_is_no_lattice_is_refused(
    latitudes: tuple[float, ...], longitudes: tuple[float, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Lattice(latitudes, longitudes)
