"""The child process that measures distances to a mesh: libigl may abort, and must not take the fit with it.

Its request has the numbers of vertices, faces and points, which come from standard input; after each slab of
distances it says how many points are done. Imports NumPy and libigl alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.signals.mesh.worker import LEVEL
from fastsnf.signals.worker import Answer, received

AT_ONCE = 1 << 17
"""Points of a call: libigl builds its trees anew at every call, which takes 0.2 s for 100,000 triangles."""


def main(request: dict[str, Any]) -> None:
    """Serve one request."""
    answer = Answer(request)
    vertices = received((request["vertices"], 3), np.float64)
    faces = received((request["faces"], 3), np.int64)
    points = received((request["points"], 3), np.float32)
    for start in range(0, len(points), AT_ONCE):
        part = points[start : start + AT_ONCE].astype(np.float64)
        answer.part(signed_distances(vertices, faces, part))
        answer.progress(start + len(part), len(points))
    answer.result({})


def signed_distances(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the distances `[M]` of `points` `[M, 3]` to a mesh, negative inside.

    Inside is where the fast winding number (Barill et al. 2018) is at least 1/2, or at most -1/2 (a mesh that
    is inside out). libigl's own sign of that name multiplies the distance by ``1 - 2 w``, and w is not whole.
    """
    import igl

    kind = igl.SIGNED_DISTANCE_TYPE_UNSIGNED
    away = np.abs(np.asarray(igl.signed_distance(points, vertices, faces, sign_type=kind)[0])).reshape(-1)
    number = np.asarray(igl.fast_winding_number(vertices, faces, points)).reshape(-1)
    if len(away) != len(points) or not np.isfinite(away).all() or not np.isfinite(number).all():
        raise FloatingPointError("a distance that is not finite")
    found: NDArray[np.float64] = np.where(np.abs(number) >= LEVEL, -away, away)
    return found
