"""The child process that measures distances to a mesh: libigl may abort, and must not take the fit with it.

Its argument is the request as JSON: sizes, and the file descriptor for the results. Vertices, faces and
points come from standard input; after each slab of results a line ``done N`` goes to standard output. Imports
NumPy and libigl alone.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.5
"""The winding number of the surface, as for occupancy (`fastsnf.signals.mesh.worker`)."""

AT_ONCE = 1 << 17
"""Points of a call: libigl builds its trees anew at every call, which takes 0.2 s for 100,000 triangles."""


def main() -> None:
    """Serve one request."""
    request = json.loads(sys.argv[1])
    vertices = _received(request["vertices"], 3, np.float64)
    faces = _received(request["faces"], 3, np.int64)
    points = _received(request["points"], 3, np.float32)
    with os.fdopen(request["results"], "wb") as results:
        for start in range(0, len(points), AT_ONCE):
            part = points[start : start + AT_ONCE].astype(np.float64)
            results.write(signed_distances(vertices, faces, part).tobytes())
            results.flush()
            print(f"done {start + len(part)}", flush=True)


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


def _received(rows: int, columns: int, dtype: type) -> NDArray[Any]:
    size = rows * columns * np.dtype(dtype).itemsize
    content = sys.stdin.buffer.read(size)
    if len(content) != size:
        raise EOFError("the request is cut short")
    return np.frombuffer(content, dtype).reshape(rows, columns)
