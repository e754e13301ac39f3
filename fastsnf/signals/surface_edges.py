"""Edges that four faces of a marching-cubes surface share, which readers of meshes take for a defect."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS = 16
"""Passes at most: one is enough unless a face has two such edges."""


def separated(
    positions: NDArray[np.float32], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return a closed surface in which every edge belongs to two faces.

    Where the corners of a cell's side are occupied crosswise, a diagonal of the cell's own triangles may lie
    in that side, on the line that both cells have there: four faces around one edge. Two of them, of one
    cell, become four around a new vertex inside that cell; the surface stays where it was but for less
    than half a step.

    Args:
        positions: `[V, 3]` in steps of the grid, whole numbers at its points.
        faces: `[F, 3]`, every edge as often in one direction as in the other.
    """
    for _ in range(ROUNDS):
        doubled = _doubled_edges(faces, len(positions))
        before = len(faces)
        if len(doubled):
            positions, faces = _with_vertices(positions, faces, doubled)
        if len(faces) == before:
            break
    return positions, faces


def _doubled_edges(faces: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Return ``low count + high`` of the edges (low, high) that occur more than once in that direction."""
    keys = np.concatenate(
        [
            faces[rising, a].astype(np.int64) * count + faces[rising, b]
            for a, b in ((0, 1), (1, 2), (2, 0))
            for rising in [faces[:, a] < faces[:, b]]
        ]
    )
    keys.sort()
    return np.unique(keys[1:][keys[1:] == keys[:-1]])


def _with_vertices(
    positions: NDArray[np.float32], faces: NDArray[np.int32], doubled: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the surface with a vertex amid one pair of faces at each doubled edge, if they are free."""
    face, corner, edge, rising = _around(faces, doubled, len(positions))
    middle = positions[faces[face]].mean(axis=1)
    # Vertices on a side belong to the cells at both of it, the middle of a face to one alone.
    cell = np.floor(middle).astype(np.int64)
    order = np.lexsort((face, cell[:, 2], cell[:, 1], cell[:, 0], edge))
    face, corner, edge, rising, cell = (part[order] for part in (face, corner, edge, rising, cell))
    third = faces[face, (corner + 2) % 3]
    found = []
    for apart in (1, 2, 3):
        one, other = slice(None, -apart), slice(apart, None)
        fits = (edge[one] == edge[other]) & (cell[one] == cell[other]).all(axis=1)
        fits &= (rising[one] != rising[other]) & (third[one] != third[other])
        first = np.flatnonzero(fits)
        found.append(np.stack([first, first + apart], axis=1))
    pairs = np.concatenate(found)
    pairs = pairs[np.unique(edge[pairs[:, 0]], return_index=True)[1]]  # one pair an edge
    one, other = _disjoint(pairs, face).T
    return _split(positions, faces, (face[one], corner[one]), (face[other], corner[other]))


def _around(faces: NDArray[np.int32], doubled: NDArray[np.int64], count: int) -> tuple[NDArray[Any], ...]:
    """Return (face, corner where it starts, edge, whether it rises) of every use of the doubled edges."""
    found: list[tuple[NDArray[Any], ...]] = []
    for corner in range(3):
        a, b = faces[:, corner].astype(np.int64), faces[:, (corner + 1) % 3].astype(np.int64)
        keys = np.minimum(a, b) * count + np.maximum(a, b)
        place = np.minimum(np.searchsorted(doubled, keys), len(doubled) - 1)
        here = np.flatnonzero(doubled[place] == keys)
        found.append((here, np.full(len(here), corner), place[here], a[here] < b[here]))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _disjoint(pairs: NDArray[np.intp], face: NDArray[Any]) -> NDArray[np.intp]:
    """Return those pairs `[P, 2]` of entries both whose faces no earlier pair has."""
    flat = face[pairs].reshape(-1)
    earliest = np.zeros(len(flat), dtype=np.bool_)
    earliest[np.unique(flat, return_index=True)[1]] = True
    return pairs[earliest.reshape(-1, 2).all(axis=1)]


def _split(
    positions: NDArray[np.float32],
    faces: NDArray[np.int32],
    one: tuple[NDArray[Any], NDArray[Any]],
    other: tuple[NDArray[Any], NDArray[Any]],
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the surface with faces (a, b, c) and (b, a, d) as four around the middle of a, b, c and d."""
    a, b, c = (faces[one[0], (one[1] + turn) % 3] for turn in range(3))
    d = faces[other[0], (other[1] + 2) % 3]
    middle = (len(positions) + np.arange(len(a))).astype(np.int32)
    added = positions[np.stack([a, b, c, d], axis=1)].mean(axis=1)
    kept = np.ones(len(faces), dtype=np.bool_)
    kept[one[0]] = kept[other[0]] = False
    corners = [(a, middle, c), (middle, b, c), (b, middle, d), (middle, a, d)]
    return (
        np.concatenate([positions, added.astype(np.float32)]),
        np.concatenate([faces[kept], *(np.stack(corner, axis=1) for corner in corners)]),
    )
