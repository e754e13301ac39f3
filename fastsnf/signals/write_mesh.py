"""Writing meshes: PLY, OBJ, STL and GLB by trimesh, put in place in one step."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_write
from fastsnf.signals.optional import require

MESHES = (".ply", ".obj", ".stl", ".glb")
"""Suffixes of meshes: PLY, STL and GLB in binary and float32, OBJ as text."""

OBJ_DIGITS = 9
"""Digits that tell any two float32 apart."""


def write_mesh(vertices: NDArray[Any], faces: NDArray[Any], path: str | os.PathLike[str]) -> None:
    """Write triangles in the format of the suffix; the file appears whole or not at all.

    Args:
        vertices: real `[V, 3]`, finite.
        faces: integers `[F, 3]`.
        path: a file ending in one of `MESHES`. An STL file repeats each vertex for every face that has it.

    Raises:
        InputError: another suffix, no faces, trimesh is missing, or a place that cannot be written.
        RunError: the disk is full or failed.
    """
    path = Path(path)
    if path.suffix.lower() not in MESHES:
        raise InputError(f"expected a mesh file ending in {', '.join(MESHES)}; got {str(path)!r}; name it so")
    if not len(faces):
        raise InputError(f"expected a surface with at least one face; got none for {str(path)!r}")
    kind = path.suffix.lower().removeprefix(".")
    # As they are: processing would merge what is close, and look at every face.
    mesh = require("trimesh", "mesh", "mesh files").Trimesh(vertices, faces, process=False, validate=False)
    options = {"include_normals": False, "digits": _decimals(vertices)} if kind == "obj" else {}
    content = mesh.export(file_type=kind, **options)
    del mesh
    with atomic_write(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def _decimals(vertices: NDArray[Any]) -> int:
    """Return the decimals of text that tell apart what float32 does, whatever the unit."""
    largest = float(np.abs(vertices).max())
    return OBJ_DIGITS if not largest else max(0, OBJ_DIGITS - 1 - math.floor(math.log10(largest)))
