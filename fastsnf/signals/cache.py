"""The folder of files that can be made again: bit grids of meshes and arrays."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastsnf.errors import InputError


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder for files that can be made again, made if need be.

    It is `cache` if given, else ``$FASTSNF_CACHE``; else ``$XDG_CACHE_HOME/fastsnf`` or ``~/.cache/fastsnf``,
    and where those cannot be written a folder of the user's in the temporary folder.

    Raises:
        InputError: a folder that was asked for cannot be written, or no other can.
    """
    asked = os.fspath(cache) if cache is not None else os.environ.get("FASTSNF_CACHE")
    if asked:
        return _made(Path(asked))
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111, HOME may be unset
    if Path(home).is_absolute():
        try:
            return _made(Path(home) / "fastsnf")
        except InputError:
            pass
    return _own(Path(tempfile.gettempdir()) / f"fastsnf-{os.getuid()}")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except (OSError, ValueError) as cause:
        raise _not_writable(folder, getattr(cause, "strerror", None) or str(cause)) from cause
    if not writable:
        raise _not_writable(folder, "Permission denied")
    return folder


def _own(folder: Path) -> Path:
    """Return a folder in a place where everybody writes, if nobody else can write into it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise _not_writable(folder, "it belongs to somebody else")
    return folder


def _not_writable(folder: Path, reason: str) -> InputError:
    return InputError(
        f"expected a cache folder that can be written; got {str(folder)!r}: {reason}; name another with "
        "FASTSNF_CACHE or the option cache"
    )


def key_of(facts: Mapping[str, Any]) -> str:
    """Return the 32 hexadecimal digits that stand for `facts`, which are JSON-able, in a file name."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of all files of a folder with their names, in hexadecimal."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    hasher = hashlib.sha256()
    for inner in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        hasher.update(f"{inner.relative_to(path)}\0{sha256_of(inner)}\n".encode(errors="surrogateescape"))
    return hasher.hexdigest()
