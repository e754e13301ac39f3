"""The description beside a bit file: what it holds, what it was made from, and a checksum of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_write, sync
from fastsnf.signals.bits import PIECE, checked_voxels
from fastsnf.signals.cache import key_of

VERSION = 1
"""Of the bit files and of how they are made; files of other versions are built again."""


def sidecar_of(path: Path) -> Path:
    """Return where the description of the bit file `path` lies."""
    return path.with_name(f"{path.name}.json")


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return what the sidecar of the bit file `path` says, once it is seen to be whole."""
    try:
        with sidecar_of(path).open("rb") as file:
            sidecar = json.loads(file.read(PIECE))
        if sidecar.pop("checksum") != key_of(sidecar):
            raise ValueError("its checksum differs")
        if sidecar["version"] != VERSION:
            raise ValueError(f"version {sidecar['version']!r} instead of {VERSION}")
        checked_voxels(sidecar["shape"])
        return sidecar
    except OSError as cause:
        raise damaged(path, cause.strerror or str(cause)) from cause
    # ValueError: no JSON, and an `InputError` of the shape
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as cause:
        raise damaged(path, f"its sidecar is damaged: {cause}") from cause


def write_sidecar(path: Path, sidecar: Mapping[str, Any]) -> None:
    """Write the description of the bit file `path`: its version is added, and a checksum of its own."""
    sidecar = {"version": VERSION, **sidecar}
    with atomic_write(sidecar_of(path)) as file:
        file.write(json.dumps({**sidecar, "checksum": key_of(sidecar)}, indent=1).encode())
    sync(path.parent)


def as_json(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return `facts` as a JSON file gives them back: tuples are lists."""
    return json.loads(json.dumps(dict(facts)))


def damaged(path: Path, reason: str) -> InputError:
    """Return the error for a bit file that cannot be used."""
    return InputError(
        f"expected a bit file with its sidecar; got {str(path)!r}: {reason}; remove it, it is made again"
    )
