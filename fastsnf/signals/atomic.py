"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fastsnf.errors import InputError, RunError

WRONG_PLACE = frozenset(
    (
        *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG),
    )
)
"""What the system says when the request is at fault; anything else is the disk's failure."""


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` for writing, and put it in the place of `path` at the end.

    Raises:
        InputError: the folder does not exist or does not let itself be written.
        RunError: the disk is full or failed; what was at `path` before is still there.
    """
    with disk_errors(path), replacing(path) as file:
        yield file


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """As `atomic_write`, whose errors are here the system's own."""
    # Beside its destination, so that the replacement stays within one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Make a temporary folder beside `path` to be filled, and put it in the place of `path` at the end.

    A folder that was at `path` is there until the new one takes its place, and then removed.

    Raises:
        InputError, RunError: as `atomic_write`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    former = path.with_name(f".{path.name}.{os.getpid()}.old")
    with disk_errors(path):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            for file in temporary.rglob("*"):
                sync(file)
            if path.is_dir() and not path.is_symlink():
                path.rename(former)
            temporary.rename(path)
        finally:
            if former.is_dir() and not path.exists():
                former.rename(path)  # the second of two renames failed
            for left in (temporary, former):
                shutil.rmtree(left, ignore_errors=True)


def sync(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder, so that a rename in it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def disk_errors(
    path: Path, place: str = "a place that can be written", another: str = "choose another"
) -> Iterator[None]:
    """Turn the system's errors of writing at `path` into one line: those of the request, or of the disk.

    Args:
        path: what is written. place: what it should have been. another: how the user names another.
    """
    try:
        yield
    except OSError as cause:
        reason = cause.strerror or str(cause)
        if cause.errno in WRONG_PLACE:
            raise InputError(f"expected {place}; got {str(path)!r}: {reason}; {another}") from cause
        raise RunError(
            f"expected to write {str(path)!r}; got: {reason}; free some space, check the disk, or {another}"
        ) from cause
