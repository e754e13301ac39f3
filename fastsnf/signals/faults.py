"""What goes wrong while a file is read, as one kind of error."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from fastsnf.errors import InputError, RunError


@contextlib.contextmanager
def reading(path: str, source: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into `InputError`; its warnings are not shown.

    Args:
        path: the file.
        source: its format, for the error.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (InputError, RunError):
        raise
    # Libraries raise anything on hostile data, from struct.error to MemoryError and RecursionError.
    except Exception as cause:
        reason = " ".join(str(cause).split())[:300] or type(cause).__name__
        raise InputError(
            f"expected a whole {source} file; got {path!r}, which cannot be read ({reason}); the file is "
            "damaged, cut short or of another format"
        ) from cause
