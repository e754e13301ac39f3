"""Keeping what C libraries print: libtiff writes its errors to the standard error stream of the process."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def native_messages() -> Iterator[list[str]]:
    """Collect the lines written to file descriptor 2 while the block runs into the list that it yields.

    The list is filled when the block ends. If the block succeeds, the lines are passed on to standard error,
    so that nothing that another thread said meanwhile is lost; if it raises, they belong to the error.
    """
    lines: list[str] = []
    try:
        saved = os.dup(2)
    except OSError:  # a process without a standard error stream
        yield lines
        return
    with tempfile.TemporaryFile() as sink:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(sink.fileno(), 2)
        try:
            yield lines
        except BaseException:
            _restore(saved)
            sink.seek(0)
            lines += sink.read().decode(errors="replace").splitlines()
            raise
        _restore(saved)
        sink.seek(0)
        os.write(2, sink.read())


def _restore(saved: int) -> None:
    """Give descriptor 2 back its stream `saved`."""
    os.dup2(saved, 2)
    os.close(saved)
