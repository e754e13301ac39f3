"""Which points a mesh encloses, against solids that are known exactly, without a child process."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from fastsnf.errors import InputError
from fastsnf.signals.grid import Grid
from fastsnf.signals.mesh.check import checked_mesh, examined
from fastsnf.signals.mesh.place import LEAST, MOST, Placement
from fastsnf.signals.mesh.rays import inside_by_rays
from fastsnf.signals.mesh.worker import Winding
from tests.signals.mesh.files import Mesh, box, joined, sphere, torus

pytest.importorskip("igl")


def winding(mesh: Mesh, placement: Placement, *, closed: bool) -> Winding:
    return Winding(placement.placed(mesh[0]), mesh[1], placement.shape, placement.bounds, closed=closed)


def bits(mesh: Mesh, placement: Placement, *, closed: bool) -> np.ndarray:
    octets = np.concatenate(list(winding(mesh, placement, closed=closed).octets()))
    size = np.prod(placement.shape)
    return np.unpackbits(octets, bitorder="little")[:size].astype(bool).reshape(placement.shape)


def points(placement: Placement) -> np.ndarray:
    """The grid's points in the mesh's units, float64 [*shape, 3]."""
    x = placement.grid().points().double()
    return placement.frame.to_units(x).numpy().reshape(*placement.shape, 3)


def sphere_distance(p: np.ndarray) -> np.ndarray:
    return np.linalg.norm(p, axis=-1) - 1


def torus_distance(p: np.ndarray) -> np.ndarray:
    return np.hypot(np.hypot(p[..., 0], p[..., 1]) - 1, p[..., 2]) - 0.4


def box_distance(p: np.ndarray) -> np.ndarray:
    return (np.abs(p) - np.array([2, 1, 0.5]) / 2).max(axis=-1)


SOLIDS = {
    "sphere": (sphere(4), sphere_distance, 0.005),
    "torus": (torus(96, 64), torus_distance, 0.005),
    "box": (box(), box_distance, 1e-5),
}
"""Mesh, signed distance of the smooth solid or a bound of it, and how far the mesh is off it at most."""


@pytest.mark.parametrize("name", SOLIDS)
def test_points_are_inside_where_the_exact_solid_says_so(name: str) -> None:
    mesh, distance, off = SOLIDS[name]
    assert examined(*checked_mesh(*mesh)).closed
    placement = Placement.of(mesh[0], 61)
    by_blocks = bits(mesh, placement, closed=True)
    exact = distance(points(placement))
    sure = np.abs(exact) > off
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(by_blocks[sure], exact[sure] < 0)
    np.testing.assert_array_equal(by_blocks, bits(mesh, placement, closed=False))


def test_blocks_save_most_points_of_a_closed_mesh() -> None:
    mesh = SOLIDS["torus"][0]
    placement = Placement.of(mesh[0], 128)
    work = winding(mesh, placement, closed=True)
    assert work.planned < 0.25 * np.prod(placement.shape)
    assert sum(len(part) for part in work.octets()) == -(-np.prod(placement.shape) // 8)
    assert work.done == work.planned
    every = winding(mesh, placement, closed=False)
    assert every.planned >= np.prod(placement.shape)


def test_a_flipped_mesh_is_the_same_solid() -> None:
    vertices, faces = sphere(3)
    placement = Placement.of(vertices, 40)
    straight = bits((vertices, faces), placement, closed=True)
    np.testing.assert_array_equal(straight, bits((vertices, faces[:, ::-1].copy()), placement, closed=True))


def test_solids_that_overlap_are_their_union_and_turned_ones_within_are_holes() -> None:
    first, second = sphere(3), sphere(3, 1.0, (0.9, 0.2, 0))
    union = joined(first, second)
    placement = Placement.of(union[0], 48)
    either = bits(first, placement, closed=True) | bits(second, placement, closed=True)
    np.testing.assert_array_equal(bits(union, placement, closed=True), either)
    inner = sphere(3, 0.5)
    hollow = joined(first, (inner[0], inner[1][:, ::-1]))
    placement = Placement.of(hollow[0], 48)
    shell = bits(first, placement, closed=True) & ~bits(inner, placement, closed=True)
    np.testing.assert_array_equal(bits(hollow, placement, closed=True), shell)


def test_a_mesh_with_a_small_hole_is_the_solid_away_from_it() -> None:
    vertices, faces = sphere(4)
    open_ = vertices, faces[8:]
    placement = Placement.of(vertices, 48)
    assert not examined(*checked_mesh(*open_)).closed
    inside = bits(open_, placement, closed=False)
    place = points(placement)
    missing = vertices[faces[:8]].reshape(-1, 3).mean(axis=0)
    sure = (np.abs(sphere_distance(place)) > 0.005) & (np.linalg.norm(place - missing, axis=-1) > 0.35)
    np.testing.assert_array_equal(inside[sure], sphere_distance(place)[sure] < 0)


def test_small_and_odd_grids_are_filled_to_their_ends() -> None:
    mesh = box((1, 1, 1))
    for resolution in (LEAST, 9, 13, 17):
        placement = Placement.of(mesh[0], resolution)
        inside = bits(mesh, placement, closed=True)
        assert inside.shape == (resolution,) * 3
        within = np.abs(np.linspace(-1, 1, resolution)) < 0.95
        np.testing.assert_array_equal(inside, within[:, None, None] & within[:, None] & within)


def test_surfaces_between_blocks_are_seen_at_every_offset() -> None:
    """A cell whose blocks no triangle touches may still be crossed, in the gap between them."""
    for resolution in (12, 13, 17, 21, 26, 29):
        placement = Placement.of(box((1, 1, 1))[0], resolution)
        mesh = joined(box((1, 1, 1)), (box((0.5, 0.5, 0.5))[0], box()[1][:, ::-1]))
        by_blocks, every = (bits(mesh, placement, closed=closed) for closed in (True, False))
        np.testing.assert_array_equal(by_blocks, every)


def test_many_small_calls_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = SOLIDS["torus"][0]
    placement = Placement.of(mesh[0], 50)
    before = bits(mesh, placement, closed=True)
    monkeypatch.setattr("fastsnf.signals.mesh.worker.AT_ONCE", 9000)
    np.testing.assert_array_equal(bits(mesh, placement, closed=True), before)
    np.testing.assert_array_equal(bits(mesh, placement, closed=False), before)


def test_the_coordinates_are_those_of_the_grid() -> None:
    mesh = torus()
    placement = Placement.of(mesh[0], 37)
    work = winding(mesh, placement, closed=False)
    index = np.argwhere(np.ones(placement.shape, bool))
    np.testing.assert_array_equal(
        work._coordinates(index).astype(np.float32), placement.grid().points().numpy()
    )


def test_rays_agree_with_the_exact_solid_and_see_what_the_winding_number_does_not() -> None:
    pytest.importorskip("embreex")
    mesh, distance, _ = SOLIDS["torus"]
    rng = np.random.default_rng(0)
    place = rng.uniform(-1.5, 1.5, (3000, 3))
    sure = np.abs(distance(place)) > 0.01
    by_rays = inside_by_rays(*mesh, place)
    assert by_rays is not None
    np.testing.assert_array_equal(by_rays[sure], distance(place)[sure] < 0)
    assert winding(mesh, Placement.of(mesh[0], 40), closed=True).second_opinion() == {
        "rays_sampled": 4096,
        "rays_differ": 0,
    }
    faces = mesh[1].copy()
    faces[::3] = faces[::3, ::-1]  # every third is turned over: the winding number is a third of what it was
    doubtful = winding((mesh[0], faces), Placement.of(mesh[0], 40), closed=False).second_opinion()
    assert doubtful["rays_differ"] > 100


def test_without_embreex_there_is_no_second_opinion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embreex", None)
    mesh = box()
    assert winding(mesh, Placement.of(mesh[0], 20), closed=True).second_opinion()["rays_differ"] is None


def test_the_placement_keeps_the_aspect_and_a_margin() -> None:
    vertices = box((30.0, 7.0, 3.0))[0] + (100, -5, 2)
    placement = Placement.of(vertices, 64)
    placed = placement.placed(vertices)
    np.testing.assert_allclose(placed.max(axis=0), np.array([30, 7, 3]) / 30 * 0.95)
    np.testing.assert_allclose(placed.min(axis=0), -placed.max(axis=0))
    grid = placement.grid()
    assert grid.shape[0] == 64
    assert grid.bounds[0] == (-1.0, 1.0)
    steps = [(high - low) / (size - 1) for size, (low, high) in zip(grid.shape, grid.bounds, strict=True)]
    np.testing.assert_allclose(steps, 2 / 63)
    for (low, high), reach in zip(grid.bounds, placed.max(axis=0), strict=True):
        assert low == -high
        assert reach + 0.05 - 1e-9 <= high < reach + 0.05 + 2 / 63
    assert Placement.from_metadata(placement.metadata()) == placement
    assert grid == Grid(placement.shape, placement.bounds)


@pytest.mark.parametrize("resolution", [LEAST - 1, MOST + 1, 0, -1, 64.0, True, "64"])
def test_other_resolutions_are_refused(resolution: object) -> None:
    with pytest.raises(InputError, match="resolution"):
        Placement.of(box()[0], resolution)  # type: ignore[arg-type]
