"""The parent's side of the child process that evaluates winding numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.signals.child import PART, Work, answers
from fastsnf.signals.mesh.place import Placement
from fastsnf.signals.optional import require
from fastsnf.signals.progress import Progress

_WORK = Work(
    "fastsnf.signals.mesh.worker",
    "evaluates winding numbers",
    "choose a lower resolution",
    "choose another resolution, or repair or simplify the mesh",
)


class WindingProcess:
    """A child process that says which points of a grid a mesh encloses.

    It uses all cores; see `fastsnf.signals.child`.

    Args:
        vertices: `[V, 3]` in the mesh's units.
        faces: `[F, 3]`.
        placement: where the mesh lies.
        closed: see `fastsnf.signals.mesh.worker.Winding`.

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
        with closing(answers(_WORK, self._request, self._arrays, progress)) as frames:
            for tag, content in frames:
                if tag == PART:
                    yield np.frombuffer(content, dtype=np.uint8)
                else:
                    self.result = json.loads(content)
