"""Signed distances to a mesh, measured by libigl in a child process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import RunError
from fastsnf.signals.optional import require

Progress = Callable[[int, int], None]
"""Called with (points done, all of them)."""

_START = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
from fastsnf.signals import distance_worker
distance_worker.main()
"""


def signed_distances(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    points: NDArray[np.float32],
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Return the distances `[M]` of `points` `[M, 3]` to a mesh, negative inside.

    The process uses all cores, imports neither torch nor the caller's main module, and ends at its next
    report when its parent is gone.

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
    with tempfile.TemporaryFile() as request, tempfile.TemporaryFile() as results:
        for array, dtype in ((vertices, np.float64), (faces, np.int64), (points, np.float32)):
            request.write(np.ascontiguousarray(array, dtype).data.cast("B"))
        request.seek(0)
        sizes = {"vertices": len(vertices), "faces": len(faces), "points": len(points)}
        _run(request, json.dumps({**sizes, "results": results.fileno()}), results.fileno(), progress)
        results.seek(0)
        found = np.frombuffer(results.read(), np.float64)
    if len(found) != len(points):
        raise RunError(
            f"expected {len(points)} distances from the process that measures them; got {len(found)}; "
            "free some memory or disk and repeat"
        )
    return found


def _run(request: IO[bytes], options: str, kept: int, progress: Progress | None) -> None:
    """Run the process to its end, its file descriptor `kept` open; raise `RunError` when it fails."""
    path = json.dumps([folder or str(Path.cwd()) for folder in sys.path])
    points = json.loads(options)["points"]
    with tempfile.TemporaryFile() as errors:
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, path, options],
                stdin=request,
                stdout=subprocess.PIPE,
                stderr=errors,
                pass_fds=(kept,),
            )
        except OSError as cause:
            raise RunError(
                f"expected to start a process for distances; got: {cause.strerror}; free some memory"
            ) from cause
        with child:
            try:
                assert child.stdout is not None, "it is a pipe"
                for line in child.stdout:
                    words = line.split()
                    if progress is not None and len(words) == 2 and words[0] == b"done":
                        progress(int(words[1]), points)
                child.wait()
            finally:
                child.kill()  # whoever stops waiting has no more use for it
        if child.returncode:
            raise _died(child.returncode, errors)


def _died(code: int, errors: IO[bytes]) -> RunError:
    """Return the error for a process that ended before its work, with the last line it printed."""
    errors.seek(0)
    said = errors.read(1 << 16).decode(errors="replace").strip().splitlines()
    how = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with status {code}"
    last = f" ({said[-1][:300]})" if said else ""
    return RunError(
        f"expected the process that measures distances to finish; got: {how}{last}; take fewer samples, or "
        "repair or simplify the mesh"
    )
