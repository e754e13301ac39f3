"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fastsnf.errors import InputError, RunError

WRONG_PLACE = frozenset(
    (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG)
)
"""What the system says when the request is at fault; anything else is the disk's failure."""


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` for writing, and put it in the place of `path` at the end.

    Raises:
        InputError: the folder does not exist or does not let itself be written.
        RunError: the disk is full or failed; what was at `path` before is still there.
    """
    # Beside its destination, so that the replacement stays within one file system.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as cause:
        reason = cause.strerror or str(cause)
        if cause.errno in WRONG_PLACE:
            raise InputError(
                f"expected a place that can be written; got {str(path)!r}: {reason}; choose another"
            ) from cause
        raise RunError(
            f"expected to write {str(path)!r}; got: {reason}; free some space or choose another disk"
        ) from cause
