"""Inside or outside by counting crossings of rays (embreex): a second opinion on the winding number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIRECTIONS = np.array([[0.8017, 0.5345, 0.2673], [-0.4243, 0.5657, 0.7071], [0.3015, -0.9045, 0.3015]])
"""Along no axis and no diagonal, where meshes have edges and flat sides. The majority of three decides."""

_STEP = 1e-5
"""How far behind a crossing a ray goes on, in coordinates."""

_MOST = 1000
"""Crossings after which a ray is given up."""


def inside_by_rays(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], points: NDArray[np.float64]
) -> NDArray[np.bool_] | None:
    """Return whether rays from `points` `[B, 3]` cross the mesh an odd number of times, bool `[B]`.

    Precise to float32: not for points within 1e-5 of the surface. None where embreex is not installed.

    Args:
        vertices: `[V, 3]`, within a few units of 0.
        faces: `[F, 3]`.
        points: `[B, 3]`.
    """
    try:
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh
    except ImportError:
        return None
    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, vertices.astype(np.float32), faces.astype(np.int32))
    odd = [_crossings(scene, points, direction) % 2 == 1 for direction in _DIRECTIONS]
    return np.sum(odd, axis=0) >= 2


def _crossings(scene: Any, points: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many triangles the ray from each point along `direction` crosses."""
    counts = np.zeros(len(points), dtype=np.int64)
    origins, active = points.astype(np.float32), np.arange(len(points))
    for _ in range(_MOST):
        if not len(active):
            break
        directions = np.tile(direction.astype(np.float32), (len(active), 1))
        found = scene.run(origins, directions, query="INTERSECT", output=1)
        hit = found["primID"] >= 0
        distance = found["tfar"][hit, None] + np.float32(_STEP)
        active, origins = active[hit], origins[hit] + distance * directions[hit]
        counts[active] += 1
    return counts
