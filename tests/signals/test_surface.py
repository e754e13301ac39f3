"""Marching cubes in blocks: the surface of one call over the whole grid, closed, without seams."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest

from fastsnf.errors import InputError, RunError
from fastsnf.signals import surface as module
from fastsnf.signals.bits import BitGrid
from fastsnf.signals.grid import Grid
from fastsnf.signals.surface import surface_of
from fastsnf.signals.surface_edges import separated
from tests.signals.surfaces import ball, edges, euler, is_closed, noise, shell, torus, triangles, volume

measure = pytest.importorskip("skimage.measure", reason="scikit-image is not installed")

SOLIDS = {
    "ball": ball(20, 20, 20),
    "ellipsoid at the border": ball(19, 8, 30, radius=1.2),
    "torus": torus(24, 24, 12),
    "shell": shell(22, 20, 18),
    "full": np.ones((9, 10, 11), dtype=bool),
    "one voxel": ball(5, 5, 5, radius=0.1),
    "noise": noise(17, 9, 13, share=0.02),
}


def made(occupied, block=64, **grid):
    return surface_of(BitGrid.from_bool(occupied), Grid(occupied.shape, **grid), block=block)


def at_once(occupied):
    """Return the surface of one call, in the coordinates of a grid over [-1, 1]."""
    padded = np.pad(occupied, 1).astype(np.float32)
    vertices, faces, _, _ = measure.marching_cubes(padded, 0.5, gradient_direction="ascent")
    return (vertices - 1) * 2 / (np.array(occupied.shape) - 1) - 1, faces


@pytest.mark.parametrize("block", [2, 7, 64])
@pytest.mark.parametrize("name", SOLIDS)
def test_blocks_make_the_surface_of_one_call(name, block):
    vertices, faces = made(SOLIDS[name], block)
    whole, its_faces = at_once(SOLIDS[name])
    assert len(vertices) == len(np.unique(vertices, axis=0)) == len(whole)
    assert len(faces) == len(its_faces)
    assert triangles(vertices, faces) == triangles(whole, its_faces)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ball", 2),
        ("ellipsoid at the border", 2),
        ("torus", 0),
        ("shell", 4),
        ("full", 2),
        ("one voxel", 2),
    ],
)
def test_a_surface_is_closed_and_faces_outward(name, number):
    vertices, faces = made(SOLIDS[name], 6)
    assert is_closed(faces)
    assert euler(vertices, faces) == number
    assert volume(vertices, faces) > 0
    assert (vertices.dtype, faces.dtype) == (np.float32, np.int32)


def test_a_reader_of_meshes_agrees():
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
    vertices, faces = made(SOLIDS["torus"], 5)
    mesh = trimesh.Trimesh(vertices, faces)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.euler_number == 0
    assert mesh.volume == pytest.approx(volume(vertices, faces), rel=1e-6)


def test_the_volume_is_that_of_the_occupied_points():
    occupied = ball(40, 40, 40)
    vertices, faces = made(occupied)
    assert volume(vertices, faces) == pytest.approx(occupied.sum() * (2 / 39) ** 3, rel=0.02)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.02])
def test_noise_has_no_edge_of_four_faces(share):
    occupied = noise(20, 19, 21, share=share)
    vertices, faces = made(occupied, 11)
    assert is_closed(faces)
    assert volume(vertices, faces) > 0 or share == 0.9
    if share == 0.5:  # one call has such edges, so that there was something to do
        assert max(edges(at_once(occupied)[1]).values()) == 2


def test_separated_edges_leave_everything_else_alone():
    padded = np.pad(noise(16, 16, 16), 1).astype(np.float32)
    vertices, faces, _, _ = measure.marching_cubes(padded, 0.5, gradient_direction="ascent")
    more, apart = separated(vertices, faces)
    doubled = sum(n == 2 for n in edges(faces).values()) // 2
    assert doubled > 20
    assert is_closed(apart)
    assert np.array_equal(more[: len(vertices)], vertices)
    assert len(more) - len(vertices) == doubled
    assert len(apart) - len(faces) == 2 * doubled
    assert abs(volume(more, apart) - volume(vertices, faces)) < doubled / 8


def test_one_voxel_has_its_six_neighbours_half_way():
    occupied = np.zeros((4, 5, 6), dtype=bool)
    occupied[1, 0, 5] = True
    vertices, faces = made(occupied, 2, bounds=((0, 3), (10, 50), (-1, 1)))
    assert len(faces) == 8
    expected = {(1 + s / 2, 10, 1) for s in (-1, 1)}
    expected |= {(1, 10 + 5 * s, 1) for s in (-1, 1)}
    expected |= {(1, 10, np.float32(1 + s / 5)) for s in (-1, 1)}
    assert {tuple(vertex) for vertex in vertices.tolist()} == {tuple(map(float, e)) for e in expected}


def test_the_order_of_coordinates_is_that_of_the_grid():
    occupied = ball(9, 12, 15, radius=0.5, at=(0.2, -0.1, 0.3))
    bounds = ((-1, 1), (0, 4), (10, 11))
    plain, faces = made(occupied, 5, bounds=bounds)
    for columns in ((1, 0, 2), (2, 0, 1), (2, 1, 0)):
        vertices, turned = made(occupied, 5, bounds=bounds, columns=columns)
        assert np.array_equal(vertices, plain[:, columns])
        assert volume(vertices, turned) == pytest.approx(volume(plain, faces), rel=1e-5)
    falling, turned = made(occupied, 5, bounds=((1, -1), (0, 4), (10, 11)))
    assert np.allclose(falling[:, 0], -plain[:, 0])
    assert volume(falling, turned) == pytest.approx(volume(plain, faces), rel=1e-5)


def test_an_axis_of_one_point_spans_its_bounds():
    vertices, faces = made(np.ones((1, 3, 3), dtype=bool), bounds=((2, 6), (-1, 1), (-1, 1)))
    assert is_closed(faces)
    assert (vertices[:, 0].min(), vertices[:, 0].max()) == (2, 6)


def test_an_empty_grid_has_no_surface():
    vertices, faces = made(np.zeros((5, 6, 7), dtype=bool), 3)
    assert vertices.shape == faces.shape == (0, 3)


def test_bits_of_a_file_that_is_only_read(tmp_path):
    occupied = torus(16, 15, 14)
    packed = np.packbits(occupied.reshape(-1), bitorder="little")
    packed.tofile(tmp_path / "bits")
    octets = np.memmap(tmp_path / "bits", dtype=np.uint8, mode="r")
    mapped = surface_of(BitGrid(occupied.shape, octets, mapped=True), Grid(occupied.shape))
    assert triangles(*mapped) == triangles(*made(occupied))


def test_memory_is_that_of_the_surface_and_not_of_the_grid():
    size = 200
    bits = BitGrid.zeros((size,) * 3)
    bits.octets[:] = np.packbits(ball(size, size, size, radius=0.3).reshape(-1), bitorder="little")
    surface_of(BitGrid.from_bool(SOLIDS["ball"]), Grid((20, 20, 20)))  # tables are made once
    tracemalloc.start()
    try:
        _, faces = surface_of(bits, Grid((size,) * 3))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(faces) > 20_000
    assert peak < size**3  # bytes: a bool a point, a quarter of what floats of the grid would take


def test_progress_counts_rows_of_blocks():
    seen: list[tuple[int, int]] = []
    occupied = ball(10, 20, 30)
    surface_of(
        BitGrid.from_bool(occupied), Grid(occupied.shape), block=8, progress=lambda *at: seen.append(at)
    )
    assert seen == [(done, 6) for done in range(1, 7)]


def test_what_cannot_be_done_is_said(monkeypatch):
    occupied = SOLIDS["ball"]
    with pytest.raises(InputError, match="grid of three axes"):
        surface_of(BitGrid.from_bool(occupied), Grid((20, 20, 21)))
    with pytest.raises(InputError, match="grid of three axes"):
        surface_of(BitGrid.from_bool(occupied[0]), Grid((20, 20)))
    monkeypatch.setattr(module, "MAX_VERTICES", 100)
    with pytest.raises(RunError, match="at most 100 vertices"):
        made(occupied)
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(InputError, match=r"fastsnf\[mesh\]"):
        made(occupied)
