"""Reading OBJ, PLY, STL, OFF and GLB files with trimesh; hostile and damaged files end in `InputError`.

Before trimesh sees a file, a check of its format (`obj`, `ply`, `stl`, `off`, `glb`) compares what it
promises with what it has; afterwards the triangles that trimesh found are counted. Vertices and triangles are
those of the file: nothing is merged, turned or removed. No other file is opened, whatever this one names.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError, unknown
from fastsnf.signals.faults import reading
from fastsnf.signals.mesh import glb, obj, off, ply, stl
from fastsnf.signals.mesh.check import MAX_FACES, Findings, checked_mesh, examined
from fastsnf.signals.opened import opened
from fastsnf.signals.optional import require

MAX_BYTES = 1 << 31
"""Files of more bytes are refused."""

PROMISED: dict[str, Callable[[bytes], int]] = {
    "obj": obj.promised,
    "ply": ply.promised,
    "stl": stl.promised,
    "off": off.promised,
    "glb": lambda data: glb.promised(data, MAX_FACES),
}
"""What each format promises, by suffix."""


@dataclass(frozen=True)
class Mesh:
    """A mesh of a file, checked.

    Attributes:
        vertices: float64 `[V, 3]`, finite, in the order of the file, those that faces use.
        faces: int64 `[F, 3]`.
        format: the suffix in capitals.
        findings: whether it is closed, and the like.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    format: str
    findings: Findings


def mesh_bytes(path: Path) -> bytes:
    """Return the content of a mesh file; raises as `fastsnf.signals.opened.opened`, or beyond `MAX_BYTES`."""
    with opened(path, "mesh file") as file, reading(str(path), "mesh"):
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise InputError(
                f"expected a mesh file of at most {MAX_BYTES} bytes; got {size} in {str(path)!r}: simplify "
                "the mesh"
            )
        return file.read()


def sha256_of_mesh(data: bytes) -> str:
    """Return the SHA-256 of the content of a mesh file."""
    return hashlib.sha256(data).hexdigest()


def read_mesh(path: str | os.PathLike[str], data: bytes | None = None) -> Mesh:
    """Return the mesh in a file; its suffix says the format.

    A scene of several meshes is one mesh, each placed as the scene says; points and lines are left out, and
    so are materials and textures. Skinned meshes are in their rest pose.

    Args:
        path: the file.
        data: its content where that is read already.

    Raises:
        InputError: no such file, damaged or cut short as far as its format lets that be seen, or a mesh that
            `checked_mesh` refuses.
    """
    path = Path(os.fsdecode(path))
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in PROMISED:
        raise unknown("the suffix of a mesh file", suffix, PROMISED)
    trimesh = require("trimesh", "mesh", "meshes")
    content = mesh_bytes(path) if data is None else data
    with reading(str(path), f"{suffix.upper()} mesh"), _quiet():
        promised = PROMISED[suffix](content)
        if promised > MAX_FACES:
            raise ValueError(f"{promised} triangles; at most {MAX_FACES} are read: simplify it first")
        vertices, faces = _loaded(trimesh, content, suffix)
        if len(faces) != promised:
            raise ValueError(f"{len(faces)} triangles were found where it promises {promised}")
    points, corners = checked_mesh(vertices, faces)
    findings = examined(points, corners)
    if not findings.closed and suffix != "glb" and _ends_within_a_line(content):
        raise InputError(
            f"expected a whole {suffix.upper()} file; got {str(path)!r}, which ends within a line and whose "
            "mesh is open: it is cut short; if it is not, end its last line"
        )
    return Mesh(points, corners, suffix.upper(), findings)


def _ends_within_a_line(content: bytes) -> bool:
    """Return whether a text file ends without the end of a line, as one that was cut does."""
    return b"\0" not in content[:4096] and not content.endswith((b"\n", b"\r"))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep trimesh from logging what it thinks of a file: that becomes the error, or does not matter."""
    logger = logging.getLogger("trimesh")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _loaded(trimesh: Any, content: bytes, suffix: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return vertices and triangles of all meshes of a file, as its scene places them."""
    scene = trimesh.load_scene(
        io.BytesIO(content),
        file_type=suffix,
        process=False,
        skip_materials=True,
        maintain_order=True,
        allow_remote=False,
    )
    vertices, faces, count = [np.empty((0, 3))], [np.empty((0, 3), dtype=np.int64)], 0
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        geometry = scene.geometry[name]
        if not isinstance(geometry, trimesh.Trimesh):
            continue
        corners = np.asarray(geometry.faces)
        if len(corners) and not 0 <= corners.min() <= corners.max() < len(geometry.vertices):
            raise ValueError(f"a triangle of vertex {corners.max()} of {len(geometry.vertices)}")
        # A mirror turns a mesh inside out, which glTF undoes.
        corners = corners[:, ::-1] if np.linalg.det(transform[:3, :3]) < 0 else corners
        vertices.append(np.asarray(geometry.vertices) @ transform[:3, :3].T + transform[:3, 3])
        faces.append(corners + count)
        count += len(geometry.vertices)
    return np.concatenate(vertices), np.concatenate(faces)
