"""Signed distances to a mesh, measured by libigl in a child process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import RunError
from fastsnf.signals.child import PART, Work, answers
from fastsnf.signals.optional import require
from fastsnf.signals.progress import Progress

_WORK = Work(
    "fastsnf.signals.distance_worker",
    "measures distances",
    "take fewer samples",
    "take fewer samples, or repair or simplify the mesh",
)


def signed_distances(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    points: NDArray[np.float32],
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Return the distances `[M]` of `points` `[M, 3]` to a mesh, negative inside.

    The process uses all cores; see `fastsnf.signals.child`.

    Args:
        vertices: `[V, 3]` in the units of the points.
        faces: `[F, 3]`.
        points: where.
        progress: called after each slab.

    Raises:
        InputError: libigl is not installed.
        RunError: the process crashed, was killed, or cannot be started.
    """
    require("igl", "mesh", "signed distances")
    request = {"vertices": len(vertices), "faces": len(faces), "points": len(points)}
    kinds = ((vertices, np.float64), (faces, np.int64), (points, np.float32))
    arrays = [np.ascontiguousarray(array, dtype) for array, dtype in kinds]
    found, done = np.empty(len(points)), 0
    for tag, content in answers(_WORK, request, arrays, progress):
        if tag == PART:
            part = np.frombuffer(content)
            found[done : done + len(part)] = part
            done += len(part)
    if done != len(points):
        raise RunError(
            f"expected {len(points)} distances from the process that measures them; got {done}; repair or "
            "simplify the mesh"
        )
    return found
