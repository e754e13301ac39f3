"""The folder's side of files that are complete or absent: flushing, sweeping, and errors of one line.

`fastsnf.signals.atomic.atomic_write` writes the files themselves.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from fastsnf.errors import InputError, RunError
from fastsnf.signals.atomic import atomic_write, sync

STRAYS = ".*.tmp"
"""Names of the files that `atomic_write` has not finished; a process that dies leaves them behind."""


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a crash at any moment leaves the old file or the new one.

    Raises:
        InputError: when the folder is missing or may not be written.
        RunError: when the disk fails or is full; the old file is intact.
    """
    with atomic_write(path) as file:
        file.write(data)
    with disk_errors(path):
        sync(path.parent)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's errors into one line that names `path` and says what to do."""
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST):
            raise InputError(
                f"expected a place that can be written; got {str(path)!r}: {what}; choose another"
            ) from error
        raise RunError(
            f"expected to write {str(path)!r}; got: {what}; free some space or check the disk"
        ) from error


def sweep(folder: Path) -> None:
    """Remove the unfinished files that a process left in `folder` when it died."""
    for stray in folder.glob(STRAYS):
        with disk_errors(stray):
            stray.unlink(missing_ok=True)
