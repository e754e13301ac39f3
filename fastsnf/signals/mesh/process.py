"""The parent's side of the child process that evaluates winding numbers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import RunError
from fastsnf.signals.bit_file import Progress
from fastsnf.signals.mesh.place import Placement
from fastsnf.signals.optional import require

_START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from fastsnf.signals.mesh import worker
worker.main()
"""


class WindingProcess:
    """A child process that says which points of a grid a mesh encloses; use it in a ``with``.

    It imports neither torch nor the caller's main module, uses all cores, and ends with its parent, however
    that ends.

    Args:
        vertices: `[V, 3]` in the mesh's units.
        faces: `[F, 3]`.
        placement: where the mesh lies.
        closed: see `worker.Winding`.

    Attributes:
        result: what the process found beside the points, once `octets` has ended.

    Raises:
        InputError: libigl is not installed.
    """

    def __init__(
        self,
        vertices: NDArray[np.float64],
        faces: NDArray[np.int64],
        placement: Placement,
        *,
        closed: bool,
    ) -> None:
        require("igl", "mesh", "solids in meshes")
        self.result: dict[str, Any] = {}
        self._arrays = [
            np.ascontiguousarray(placement.placed(vertices)),
            np.ascontiguousarray(faces, np.int64),
        ]
        self._request = {
            "parent": os.getpid(),
            "vertices": list(vertices.shape),
            "faces": list(faces.shape),
            "shape": placement.shape,
            "bounds": placement.bounds,
            "closed": closed,
        }

    def octets(self, progress: Progress | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yield the packed points of the grid in order; `progress` gets the points to evaluate, in blocks.

        Raises:
            RunError: the process crashed, was killed, or cannot be started.
        """
        with tempfile.TemporaryFile() as errors:
            child = _started(errors)
            try:
                with child:
                    try:
                        yield from self._frames(child, progress)
                        child.wait()
                        if child.returncode or not self.result:
                            raise EOFError
                    finally:
                        child.kill()  # whoever stops reading has no more use for it
            except (EOFError, BrokenPipeError) as cause:
                raise _died(child, errors) from cause

    def _frames(
        self, child: subprocess.Popen[bytes], progress: Progress | None
    ) -> Iterator[NDArray[np.uint8]]:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(self._request).encode() + b"\n")
        for array in self._arrays:
            child.stdin.write(array.data.cast("B"))
        child.stdin.close()
        while not self.result:
            tag, content = _frame(child.stdout)
            if tag == b"B":
                yield np.frombuffer(content, dtype=np.uint8)
            elif tag == b"P" and progress is not None:
                progress(*json.loads(content))
            elif tag == b"R":
                self.result = json.loads(content)


def _started(errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the child process, which finds its modules where this one does."""
    path = json.dumps([folder or str(Path.cwd()) for folder in sys.path])
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _START, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    except OSError as cause:
        raise RunError(
            f"expected to start a process for winding numbers; got: {cause.strerror}; free some memory"
        ) from cause


def _frame(stream: IO[bytes]) -> tuple[bytes, bytes]:
    """Return the next frame, or raise `EOFError`."""
    head = stream.read(9)
    length = int.from_bytes(head[1:], "little")
    content = stream.read(length) if len(head) == 9 else b""
    if len(head) < 9 or len(content) < length:
        raise EOFError
    return head[:1], content


def _died(child: subprocess.Popen[bytes], errors: IO[bytes]) -> RunError:
    """Return the error for a process that ended before its work, with the last line it printed."""
    child.wait()
    errors.seek(0)
    said = errors.read(1 << 16).decode(errors="replace").strip().splitlines()
    code = child.returncode
    how = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with status {code}"
    advice = (
        "the machine may be out of memory: choose a lower resolution"
        if code == -signal.SIGKILL
        else "choose another resolution, or repair or simplify the mesh"
    )
    last = f" ({said[-1][:300]})" if said else ""
    return RunError(
        f"expected the process that evaluates winding numbers to finish; got: {how}{last}; {advice}"
    )
