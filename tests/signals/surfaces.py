"""Solids on grids, and what their surfaces are compared by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Places = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def places(*shape: int) -> Places:
    """Return the coordinates of a grid over [-1, 1] along each axis, `[*shape]` each."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    return x, y, z


def ball(*shape: int, radius: float = 0.7, at: tuple[float, float, float] = (0, 0, 0)) -> NDArray[np.bool_]:
    """Return a ball, or an ellipsoid on a grid that is no cube."""
    return sum((place - centre) ** 2 for place, centre in zip(places(*shape), at, strict=True)) < radius**2


def torus(*shape: int) -> NDArray[np.bool_]:
    """Return a torus around the last axis."""
    x, y, z = places(*shape)
    return (np.hypot(x, y) - 0.6) ** 2 + z**2 < 0.25**2


def shell(*shape: int) -> NDArray[np.bool_]:
    """Return a hollow ball: two surfaces."""
    return ball(*shape, radius=0.8) & ~ball(*shape, radius=0.4)


def noise(*shape: int, share: float = 0.5) -> NDArray[np.bool_]:
    """Return points that are each occupied with a probability."""
    return np.random.default_rng(0).random(shape) < share


def blob(shape: tuple[int, int, int] = (21, 13, 17), seed: int = 0) -> np.ndarray:
    """Bools with empty slices around some occupied voxels."""
    array = np.random.default_rng(seed).random(shape) < 0.3
    array[:3] = array[-2:] = array[:, :1] = array[:, -4:] = array[:, :, :2] = array[:, :, -1:] = False
    return array


def triangles(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> set[tuple[float, ...]]:
    """Return the corners of each face, starting at the first in order, so that direction counts alone."""
    corners = np.round(vertices[faces].astype(np.float64), 5)
    first = [min(range(3), key=lambda place: tuple(corner[place])) for corner in corners]
    turned = [np.roll(corner, -start, axis=0) for corner, start in zip(corners, first, strict=True)]
    return {tuple(corner.reshape(-1)) for corner in turned}


def edges(faces: NDArray[np.integer]) -> dict[tuple[int, int], int]:
    """Return how often each edge (from, to) occurs."""
    pairs = np.concatenate([faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return {(int(a), int(b)): int(n) for (a, b), n in zip(found, counts, strict=True)}


def is_closed(faces: NDArray[np.integer]) -> bool:
    """Return whether every edge belongs to two faces that pass it in opposite directions."""
    found = edges(faces)
    return all(n == 1 and found.get((b, a)) == 1 for (a, b), n in found.items())


def volume(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> float:
    """Return the volume inside a closed surface, positive when its faces turn counter-clockwise outside."""
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def euler(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> int:
    """Return V - E + F."""
    return len(vertices) - len(edges(faces)) // 2 + len(faces)
