"""Opening input files: regular ones that hold something, and one error for whatever else is there."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fastsnf.errors import InputError


def checked_path(path: str | os.PathLike[str], what: str) -> Path:
    """Return the path of a regular file that is not empty, for libraries that open it themselves.

    Args:
        path: the file.
        what: what is expected there, such as ``"sound file"``.

    Raises:
        InputError: no such file, a folder, a pipe or device, or an empty file.
    """
    name = os.fsdecode(path)
    try:
        status = Path(name).stat()
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise InputError(f"expected a readable {what}; got {name!r}: {reason}; check the path") from cause
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
        other = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise InputError(f"expected a {what}; got {name!r}, {other}; give the file itself")
    if not status.st_size:
        raise InputError(f"expected a {what}; got {name!r}, which is empty; check how it was copied")
    return Path(name)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], what: str) -> Iterator[BinaryIO]:
    """Open a regular file that is not empty for reading; raises as `checked_path`, or when that is denied."""
    found = checked_path(path, what)
    try:
        file = found.open("rb")
    except OSError as cause:
        reason = cause.strerror or str(cause)
        raise InputError(
            f"expected a readable {what}; got {str(found)!r}: {reason}; check its permissions"
        ) from cause
    with file:
        yield file
