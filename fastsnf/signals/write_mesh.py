"""Writing meshes: PLY, OBJ, STL and GLB, put in place in one step."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_write
from fastsnf.signals.optional import require

MESHES = (".ply", ".obj", ".stl", ".glb")
"""Suffixes of meshes: PLY, STL and GLB in binary and float32, OBJ as text."""

PART = 1 << 16
"""Faces or vertices that are written at once where a format goes face by face: 3 MB of STL."""

STL_HEADER = 80
"""Bytes before the number of faces, uint32, in a binary STL file; 50 bytes a face follow."""


def write_mesh(vertices: NDArray[Any], faces: NDArray[Any], path: str | os.PathLike[str]) -> None:
    """Write triangles in the format of the suffix; the file appears whole or not at all.

    PLY, STL and GLB are written by trimesh; an STL file, which repeats each vertex for every face that has
    it, in parts. Lines of OBJ are made here, with the digits that tell any two float32 apart.

    Args:
        vertices: real `[V, 3]`, finite.
        faces: integers `[F, 3]`.
        path: a file ending in one of `MESHES`.

    Raises:
        InputError: another suffix, no faces, trimesh is missing, or a place that cannot be written.
        RunError: the disk is full or failed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MESHES:
        raise InputError(f"expected a mesh file ending in {', '.join(MESHES)}; got {str(path)!r}; name it so")
    if not len(faces):
        raise InputError(f"expected a surface with at least one face; got none for {str(path)!r}")
    trimesh = require("trimesh", "mesh", "mesh files")
    with atomic_write(path) as file:
        if suffix == ".obj":
            _write_obj(file, vertices, faces)
        elif suffix == ".stl":
            _write_stl(file, vertices, faces, trimesh.Trimesh)
        else:
            file.write(_mesh(trimesh.Trimesh, vertices, faces).export(file_type=suffix[1:]))


def _mesh(make: Callable[..., Any], vertices: NDArray[Any], faces: NDArray[Any]) -> Any:
    # As they are: processing would merge what is close, and look at every face.
    return make(vertices, faces, process=False, validate=False)


def _write_obj(file: BinaryIO, vertices: NDArray[Any], faces: NDArray[Any]) -> None:
    for line, rows, offset in (("v %.9g %.9g %.9g\n", vertices, 0), ("f %d %d %d\n", faces, 1)):
        for start in range(0, len(rows), PART):
            part = rows[start : start + PART] + offset  # vertices count from 1
            file.write((line * len(part) % tuple(part.reshape(-1).tolist())).encode())


def _write_stl(file: BinaryIO, vertices: NDArray[Any], faces: NDArray[Any], make: Callable[..., Any]) -> None:
    for start in range(0, len(faces), PART):
        corners = vertices[faces[start : start + PART]].reshape(-1, 3)
        content = _mesh(make, corners, np.arange(len(corners)).reshape(-1, 3)).export(file_type="stl")
        if start == 0:
            file.write(content[:STL_HEADER] + np.uint32(len(faces)).tobytes())
        file.write(content[STL_HEADER + 4 :])
