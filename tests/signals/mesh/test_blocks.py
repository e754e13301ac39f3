"""The blocks that a triangle touches, against looking at every pair of a block and a triangle."""

from __future__ import annotations

import numpy as np
import pytest

from fastsnf.signals.mesh import blocks
from fastsnf.signals.mesh.blocks import block_counts, touched_blocks
from tests.signals.mesh.files import box, sphere, torus

SIDE = 4
SHAPE = (37, 50, 29)
BOUNDS = ((-1.0, 1.0), (-1.2, 1.2), (-0.7, 0.7))


def crossed(triangles: np.ndarray) -> np.ndarray:
    """Blocks with a point of a triangle in them, of many points on each: a lower bound of the touched."""
    rng = np.random.default_rng(0)
    seen = np.zeros(block_counts(SHAPE, SIDE), bool)
    weights = rng.dirichlet([0.6] * 3, 400)
    points = np.einsum("wk,fkd->fwd", weights, triangles).reshape(-1, 3)
    low, high = np.array(BOUNDS).T
    place = (points - low) / (high - low) * (np.array(SHAPE) - 1)
    number = np.floor(place / SIDE).astype(int)
    within = (place - number * SIDE <= SIDE - 1).all(axis=1) & (number >= 0).all(axis=1)
    within &= (number < block_counts(SHAPE, SIDE)).all(axis=1)
    seen[tuple(number[within].T)] = True
    return seen


def boxed(triangles: np.ndarray) -> np.ndarray:
    """Blocks that the box of a whole triangle meets: an upper bound."""
    low, high = np.array(BOUNDS).T
    place = (triangles - low) / (high - low) * (np.array(SHAPE) - 1)
    seen = np.zeros(block_counts(SHAPE, SIDE), bool)
    first = np.stack(np.meshgrid(*map(np.arange, seen.shape), indexing="ij"), -1) * SIDE
    for least, most in zip(place.min(axis=1) - 1e-3, place.max(axis=1) + 1e-3, strict=True):
        seen |= ((first <= most) & (first + SIDE - 1 >= least)).all(axis=-1)
    return seen


TRIANGLES = {
    "sphere": sphere(2, 0.6),
    "torus": torus(20, 10, 0.5, 0.15),
    "box": box((1.8, 1.9, 1.2)),
    "needle": (np.array([[-0.9, -1.1, -0.6], [0.9, 1.1, 0.6], [0.9, 1.1, 0.61]]), np.array([[0, 1, 2]])),
}


@pytest.mark.parametrize("name", TRIANGLES)
def test_touched_blocks_are_those_that_triangles_cross(name: str) -> None:
    vertices, faces = TRIANGLES[name]
    triangles = vertices[faces]
    touched = touched_blocks(triangles, SHAPE, BOUNDS, SIDE)
    assert not (crossed(triangles) & ~touched).any()
    assert not (touched & ~boxed(triangles)).any()
    assert touched.any()
    assert not touched.all()


def test_a_large_triangle_touches_few_blocks() -> None:
    """It is cut in pieces: its own box is the whole grid."""
    shape, bounds = (256, 256, 256), ((-1.0, 1.0),) * 3
    triangles = np.array([[[-0.9, -0.9, -0.9], [0.9, 0.9, 0.9], [0.9, 0.9, 0.89]]])
    assert touched_blocks(triangles, shape, bounds, SIDE).mean() < 0.02


def test_points_on_the_face_of_a_block_touch_it() -> None:
    step = 2 / (SHAPE[0] - 1)
    for place in (SIDE, SIDE - 1):  # the first point of a block, the last of another
        x = -1 + place * step
        triangle = np.array([[[x, -0.1, -0.1], [x, 0.1, 0.1], [x, 0.1, -0.1]]])
        touched = touched_blocks(triangle, SHAPE, BOUNDS, SIDE)
        assert touched[place // SIDE].any()
        assert not touched[place // SIDE + 1].any()


def test_triangles_between_two_blocks_touch_none() -> None:
    x = -1 + (SIDE - 0.5) * 2 / (SHAPE[0] - 1)
    triangle = np.array([[[x, -0.1, -0.1], [x, 0.1, 0.1], [x, 0.1, -0.1]]])
    assert not touched_blocks(triangle, SHAPE, BOUNDS, SIDE).any()


def test_when_most_blocks_are_touched_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_AT_ONCE", 16)
    monkeypatch.setattr(blocks, "_LOOK", 4)
    rng = np.random.default_rng(0)
    triangles = rng.uniform(-0.9, 0.9, (2000, 3, 3))
    assert touched_blocks(triangles, SHAPE, BOUNDS, SIDE).all()
