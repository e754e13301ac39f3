"""What a mesh must be to enclose a solid, and what is worth knowing about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError

MAX_FACES = 20_000_000
"""Triangles of the largest mesh."""

MAX_COORDINATE = 1e12
"""The largest coordinate: beyond it, float64 does not resolve a mesh of common size any more."""

FLAT = 1e-9
"""A mesh is flat when its shortest side is less than this share of its longest."""

OUTLIER = 1e3
"""A mesh has a stray vertex when its box is this many times that of all but one in a hundred vertices."""


@dataclass(frozen=True)
class Findings:
    """What `examined` finds of a mesh; corners at the same place are one vertex.

    Attributes:
        vertices: different places of vertices that faces use.
        faces: triangles.
        degenerate_faces: triangles without an area.
        open_edges: edges of one triangle only.
        crowded_edges: edges of more than two triangles, where parts touch or intersect along it.
        turned_edges: edges that two triangles pass in the same direction: one of them is turned over.
        closed: every edge is passed in both directions equally often: then every point has a whole winding
            number, and the mesh a definite inside.
        volume: that the mesh encloses, in its own units cubed; negative when it is inside out.
        stray: its box is much larger than that of nearly all its vertices.
    """

    vertices: int
    faces: int
    degenerate_faces: int
    open_edges: int
    crowded_edges: int
    turned_edges: int
    closed: bool
    volume: float
    stray: bool

    def metadata(self) -> dict[str, Any]:
        """Return the findings by name, JSON-able."""
        return asdict(self)

    def remarks(self) -> list[str]:
        """Return what a user should know before trusting the solid, one line each."""
        found = []
        if self.open_edges:
            found.append(
                f"the mesh is open: {self.open_edges} edges belong to one triangle only; near them inside "
                "and outside are a matter of definition (winding number 1/2)"
            )
        if self.turned_edges:
            found.append(
                f"triangles are turned over: {self.turned_edges} edges are passed twice in one direction; "
                "parts may come out hollow"
            )
        if not self.closed and not found:
            found.append(f"parts meet along {self.crowded_edges} edges so that the mesh is not closed")
        if self.closed and self.volume < 0:
            found.append("the mesh is inside out, which does not matter here")
        if self.stray:
            found.append("a few vertices lie far from all others and decide the scale")
        return found


def checked_mesh(vertices: Any, faces: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a mesh as float64 `[V, 3]` and int64 `[F, 3]`, only vertices that faces use.

    Raises:
        InputError: other shapes or types, no triangles, too many, indices beyond the vertices, coordinates
            that are not finite or enormous, or a mesh that is flat, or without area.
    """
    points, corners = np.asarray(vertices), np.asarray(faces)
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "iuf":
        raise InputError(f"expected vertices [V, 3] as numbers; got {points.dtype} {list(points.shape)}")
    if corners.ndim != 2 or corners.shape[1] != 3 or corners.dtype.kind not in "iu":
        raise InputError(
            f"expected triangles [F, 3] as whole numbers; got {corners.dtype} {list(corners.shape)}"
        )
    if not len(points) or not len(corners):
        raise InputError(
            f"expected a mesh with triangles; got {len(points)} vertices and {len(corners)} triangles"
        )
    if len(corners) > MAX_FACES:
        raise InputError(
            f"expected a mesh of at most {MAX_FACES} triangles; got {len(corners)}: simplify it first"
        )
    if corners.min() < 0 or corners.max() >= len(points):
        raise InputError(
            f"expected triangles of the vertices 0 to {len(points) - 1}; got numbers from {corners.min()} to "
            f"{corners.max()}: the file is damaged"
        )
    used = np.zeros(len(points), dtype=np.bool_)
    used[corners] = True
    number = np.cumsum(used) - 1
    points, corners = points[used].astype(np.float64), number[corners].astype(np.int64)
    _check_extent(points)
    return points, corners


def _check_extent(points: NDArray[np.float64]) -> None:
    """Raise `InputError` for vertices `[V, 3]` that are not finite, enormous, or in one plane of the axes."""
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points)).any(axis=1).sum())
        raise InputError(
            f"expected finite vertices; got NaN or infinity in {bad} of {len(points)}: repair them"
        )
    largest = float(np.abs(points).max())
    if largest > MAX_COORDINATE:
        raise InputError(
            f"expected coordinates up to {MAX_COORDINATE:g}; got {largest:g}: scale it down, or "
            "the file is damaged"
        )
    extent = points.max(axis=0) - points.min(axis=0)
    # Float64 has no more digits than this of a mesh that is small and far from 0.
    if extent.min() <= max(FLAT * float(extent.max()), 1e-12 * largest):
        sides = " x ".join(f"{side:g}" for side in extent)
        raise InputError(
            f"expected a mesh that spans some volume; got one of {sides}: it is flat and encloses nothing"
        )


def examined(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> Findings:
    """Return what there is to know of a mesh that `checked_mesh` returned.

    Raises `InputError` when no triangle has an area.
    """
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    degenerate = int((normals == 0).all(axis=1).sum())
    if degenerate == len(faces):
        raise InputError(f"expected triangles of some area; got {degenerate} of none: the mesh is degenerate")
    middle = vertices.mean(axis=0)
    volume = float(np.einsum("fi,fi->", corners[:, 0] - middle, normals)) / 6
    places = _merged(vertices)
    forward, backward = _passes(places[faces])
    low, high = np.quantile(vertices, [0.005, 0.995], axis=0)
    whole = vertices.max(axis=0) - vertices.min(axis=0)
    return Findings(
        vertices=int(places.max()) + 1,
        faces=len(faces),
        degenerate_faces=degenerate,
        open_edges=int((forward + backward == 1).sum()),
        crowded_edges=int((forward + backward > 2).sum()),
        turned_edges=int(((forward != backward) & (forward + backward == 2)).sum()),
        closed=bool((forward == backward).all()),
        volume=volume,
        stray=bool(len(vertices) >= 200 and whole.max() > OUTLIER * max(float((high - low).max()), 1e-300)),
    )


def _merged(vertices: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a number for each vertex, the same for those at the very same place."""
    # Adding 0 turns -0 into 0, which is the same place.
    rows = np.ascontiguousarray(vertices + 0.0).view(np.dtype((np.void, 24))).reshape(-1)
    return np.unique(rows, return_inverse=True)[1].reshape(-1)


def _passes(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how often each edge is passed from its lower to its higher vertex, and how often back.

    An edge from a vertex to itself, of a triangle that has collapsed, does not count.
    """
    start, end = corners.reshape(-1), np.roll(corners, -1, axis=1).reshape(-1)
    proper = start != end
    start, end = start[proper], end[proper]
    key = np.minimum(start, end) * (corners.max() + 1) + np.maximum(start, end)
    _, edge = np.unique(key, return_inverse=True)
    edge = edge.reshape(-1)
    forward = np.bincount(edge[start < end], minlength=int(edge.max(initial=-1)) + 1)
    backward = np.bincount(edge[start > end], minlength=len(forward))
    return forward, backward
