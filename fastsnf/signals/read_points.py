"""Reading points with values: npz files of two arrays, and the vertices of PLY files by trimesh."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.faults import reading
from fastsnf.signals.opened import opened
from fastsnf.signals.optional import require

SUFFIXES = (".npz", ".ply")
"""What is read. Text without a count of its rows is not: one that was cut short would not show it."""

MAX_BYTES = 1 << 32
"""A PLY file of more is refused: it is read as a whole."""

SETS: dict[str, tuple[str, ...]] = {
    "normals": ("nx", "ny", "nz"),
    "colors": ("red", "green", "blue"),
}
"""Names of sets of vertex properties, in the order in which they are looked for."""


@dataclass(frozen=True)
class Cloud:
    """Points `[N, D]` and values `[N, C]` as a file has them, float64.

    Attributes:
        points, values: the arrays.
        source: the format and what the values are, for the metadata.
    """

    points: NDArray[np.float64]
    values: NDArray[np.float64]
    source: str


def read_points(path: str | os.PathLike[str], values: str | None = None) -> Cloud:
    """Return the points and values of a file.

    Args:
        path: an ``.npz`` of the arrays ``points`` `[N, D]` and ``values`` `[N, C]` or `[N]`, or a ``.ply``
            whose vertices have more properties than x, y and z.
        values: of an npz the name of the array of values; of a PLY ``"normals"``, ``"colors"`` (integers are
            divided by their largest) or names of vertex properties with commas between; by default normals,
            else colors.

    Raises:
        InputError: another suffix; no such file or values; a file that is damaged or cut short; a library is
            missing.
    """
    suffix = Path(os.fsdecode(path)).suffix.lower()
    if suffix == ".npz":
        return _npz(path, values or "values")
    if suffix == ".ply":
        return _ply(path, values)
    raise InputError(
        f"expected points in a file ending in {' or '.join(SUFFIXES)}; got {os.fsdecode(path)!r}"
    )


def _npz(path: str | os.PathLike[str], name: str) -> Cloud:
    from fastsnf.signals.arrays import read_array

    with read_array(path, "points") as points, read_array(path, name) as values:
        places = np.asarray(points.whole(), dtype=np.float64)
        found = np.asarray(values.whole(), dtype=np.float64)
    return Cloud(places, found[:, None] if found.ndim == 1 else found, f"npz {name}")


def _ply(path: str | os.PathLike[str], wanted: str | None) -> Cloud:
    name = os.fsdecode(path)
    trimesh = require("trimesh", "mesh", "PLY files")
    with opened(path, "PLY file") as file, reading(name, "PLY"), np.errstate(all="ignore"):
        _check_end(file)
        cloud = trimesh.load(file, file_type="ply", process=False)
        return _of_vertices(cloud.metadata["_ply_raw"]["vertex"], wanted, name)


def _check_end(file: BinaryIO) -> None:
    """Raise `ValueError` for a file that is too large, or text whose last number may have been cut."""
    size = file.seek(0, 2)
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes, where at most {MAX_BYTES} are read")
    file.seek(0)
    head = file.read(4096)
    if b"format ascii" in head:
        file.seek(max(0, size - 1))
        if file.read(1) not in b"\r\n":
            raise ValueError("the last line has no end")
    file.seek(0)


def _of_vertices(element: Mapping[str, Any], wanted: str | None, name: str) -> Cloud:
    """Return the points and values in the vertices of a PLY file as trimesh holds them."""
    data, stated = element["data"], int(element["length"])
    known = list(data.dtype.names) if isinstance(data, np.ndarray) else list(data)
    points = np.stack([_column(data, axis, stated) for axis in ("x", "y", "z")], axis=-1)
    names = _names(wanted, known, name)
    values = np.stack([_column(data, one, stated) for one in names], axis=-1)
    if names == SETS["colors"]:
        kind = element["properties"]["red"].lstrip("<>=|")
        dtype = np.dtype(kind)
        values = values / (np.iinfo(dtype).max if dtype.kind in "ui" else 1.0)
    return Cloud(points, values, f"ply {','.join(names)}")


def _names(wanted: str | None, known: list[str], name: str) -> tuple[str, ...]:
    """Return the vertex properties that are the values."""
    if wanted is None:
        found = next((names for names in SETS.values() if set(names) <= set(known)), None)
    else:
        found = SETS.get(wanted, tuple(part.strip() for part in wanted.split(",")))
    if found is None or not set(found) <= set(known):
        raise InputError(
            f"expected vertices with {wanted or 'normals or colors'} as values; got {name!r} with "
            f"{', '.join(known)}; name the properties that are the values"
        )
    return found


def _column(data: Any, name: str, stated: int) -> NDArray[np.float64]:
    """Return a property of all vertices; raise `ValueError` unless there are as many as the header says."""
    column = np.asarray(data[name], dtype=np.float64)
    if column.shape not in ((stated,), (stated, 1)) or not stated:
        raise ValueError(f"{len(column)} vertices, where the header promises {stated}")
    return column.reshape(-1)
