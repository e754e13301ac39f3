"""The files of signals that a study is given: which, what stands for them, how they are opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastsnf.errors import InputError
from fastsnf.signals import Signal
from fastsnf.signals import open as open_signal
from fastsnf.signals.atomic import disk_errors
from fastsnf.signals.cache import sha256_of
from fastsnf.signals.kinds import ARRAYS, FILE_KINDS, MESHES

NO_DATA = "no data: give --data PATH, a file of that kind or a folder of them"
MORE = {"sphere": (".npz",), "sdf": MESHES}
"""Suffixes that mean another kind as a rule, and this one where it is asked for."""


def files_of(data: str | None, kind: str, most: int) -> list[Path]:
    """Return the files to fit: the one named, or the first `most` of a folder; none without data.

    Raises:
        InputError: for a path that does not exist, or a folder without such a file.
    """
    if data is None:
        return []
    path = Path(data)
    if path.is_file() or (path.is_dir() and path.suffix.lower() == ".zarr"):
        return [path]
    if not path.is_dir():
        raise InputError(f"expected --data to be a file or a folder; got {data!r}: check the path")
    suffixes = (*FILE_KINDS.get(kind, ()), *MORE.get(kind, ()))
    found = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in suffixes)
    if not found:
        raise InputError(
            f"expected files of kind {kind} ({' '.join(suffixes)}) in {data!r}; got none: choose another"
        )
    return found[:most]


def file_called(paths: Sequence[Path], name: str) -> Path:
    """Return the file of that name; a row without data does not run, so it is there."""
    return next(path for path in paths if path.name == name)


def digest_of_file(path: Path | None) -> str | None:
    """Return sixteen digits that stand for the contents of a file, None without one or for a folder."""
    if path is None or path.is_dir():
        return None
    with disk_errors(path):
        return sha256_of(path)[:16]


def solid(path: Path, size: int) -> Signal:
    """Return an occupancy grid as the published loops have it, from a grid or a mesh.

    A grid is cropped to its solid, and its coordinates are in WIRE's order; a mesh gets `size` voxels along
    its longest side.
    """
    if path.suffix.lower() in ARRAYS:
        return open_signal(path, "occupancy", crop="wire", axes="xy")
    return open_signal(path, "occupancy", resolution=size)
