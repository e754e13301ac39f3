"""The folder's side of files that are complete or absent: flushing and sweeping.

`fastsnf.signals.atomic.atomic_write` writes the files themselves.
"""

from __future__ import annotations

from pathlib import Path

from fastsnf.signals.atomic import atomic_write, disk_errors, sync

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


def sweep(folder: Path) -> None:
    """Remove the unfinished files that a process left in `folder` when it died."""
    for stray in folder.glob(STRAYS):
        with disk_errors(stray):
            stray.unlink(missing_ok=True)
