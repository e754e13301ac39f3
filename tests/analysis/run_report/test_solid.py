"""The shaded picture of a solid: its outline, what is in front, where the light is, and no holes."""

import numpy as np
import pytest

from fastsnf.analysis.run_report.solid import BACKGROUND, Surface, directions, shaded, surface, thinned
from fastsnf.signals.bits import BitGrid


def ball(n=41, radius=15.0):
    places = np.indices((n, n, n)) - (n - 1) / 2
    return np.sqrt((places**2).sum(axis=0)) <= radius


def drawn(voxels, **options):
    solid = Surface.of(voxels)
    return shaded(solid, solid.box, **{"azimuth": 0.0, "elevation": 0.0, **options})


def test_the_surface_is_what_has_an_empty_neighbour():
    voxels = np.zeros((7, 7, 7), dtype=bool)
    voxels[1:6, 1:6, 1:6] = True
    found = {tuple(place) for place in surface(voxels)}
    assert len(found) == 5**3 - 3**3
    assert (3, 3, 3) not in found
    assert len(surface(np.ones((3, 3, 3), dtype=bool))) == 26  # the edge of the grid is empty beyond


@pytest.mark.parametrize(
    ("azimuth", "elevation", "up"), [(0, 0, 1), (35, 12, 1), (215, -40, 0), (100, 80, 2)]
)
def test_a_ball_is_a_disc_without_holes_from_everywhere(azimuth, elevation, up):
    solid = Surface.of(ball())
    image = shaded(solid, solid.box, azimuth=azimuth, elevation=elevation, up=up, pixels=80)
    pixels = len(image)
    inside = (image != BACKGROUND).any(axis=2)
    rows, columns = np.nonzero(inside)
    diameter = (rows.max() - rows.min() + columns.max() - columns.min()) / 2 + 1
    # The poles of a ball of voxels stick out.
    assert inside.sum() == pytest.approx(np.pi * diameter**2 / 4, rel=0.08)
    assert abs(rows.mean() - pixels / 2) < 2
    assert abs(columns.mean() - pixels / 2) < 2
    centre = inside[pixels // 2 - 15 : pixels // 2 + 15, pixels // 2 - 15 : pixels // 2 + 15]
    assert centre.all()


def test_light_comes_from_the_left_above():
    image = drawn(ball(), pixels=80).astype(float).mean(axis=2)
    assert image[30, 30] > image[30, 50] > image[50, 50]
    assert image[30, 30] > image[50, 30]


def test_what_is_in_front_hides_what_is_behind():
    voxels = np.zeros((20, 20, 20), dtype=bool)
    voxels[:, :, 3] = True  # a wall behind
    voxels[8:12, 8:12, 15:17] = True  # a block in front of it
    across, upwards, towards = directions(0.0, 0.0, 1)
    np.testing.assert_allclose((across, upwards, towards), ([1, 0, 0], [0, 1, 0], [0, 0, 1]), atol=1e-12)
    np.testing.assert_allclose(np.cross(across, upwards), towards, atol=1e-12)
    wall = voxels.copy()
    wall[8:12, 8:12, 15:17] = False
    box = Surface.of(voxels).box
    seen, without = (
        shaded(Surface.of(v), box, azimuth=0.0, elevation=30.0, pixels=100) for v in (voxels, wall)
    )
    behind, behind_without = (
        shaded(Surface.of(v), box, azimuth=180.0, elevation=0.0, pixels=100) for v in (voxels, wall)
    )
    assert (seen != without).any()
    np.testing.assert_array_equal(behind, behind_without)


def test_nothing_is_white():
    assert (drawn(np.zeros((5, 5, 5), dtype=bool)) == BACKGROUND).all()


def test_one_voxel_is_seen():
    voxels = np.zeros((5, 5, 5), dtype=bool)
    voxels[2, 2, 2] = True
    assert (drawn(voxels, pixels=30) != BACKGROUND).any()


@pytest.mark.parametrize(("most", "step"), [(7, 2), (13, 1), (4, 4)])
def test_a_bit_grid_is_thinned(most, step):
    voxels = np.random.default_rng(0).random((13, 9, 11)) < 0.5
    np.testing.assert_array_equal(thinned(BitGrid.from_bool(voxels), most), voxels[::step, ::step, ::step])
