"""Child processes for libraries that may abort, or never end, on what they are given.

A child serves one request: it calls ``main(request)`` of its worker, a module of ours. It imports neither
torch nor the caller's main module, and finds its modules where this process does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from fastsnf.errors import RunError
from fastsnf.signals.progress import Progress

PART, PROGRESS, RESULT = b"B", b"P", b"R"
"""Tags of the frames that `fastsnf.signals.worker.Answer` writes."""

GRACE = 2.0
"""Seconds that a process may take to end once its standard output has."""

SAID = 1 << 16
"""Bytes at the end of what it printed in which its last line is looked for."""

_START = """
import json, sys
from importlib import import_module
sys.path[:], worker, request = json.loads(sys.argv[1])
import_module(worker).main(request)
"""


@dataclass(frozen=True)
class Work:
    """What a child process does, in the words of its errors.

    Attributes:
        worker: the module.
        does: completes "the process that ...".
        lighter: what needs less memory.
        advice: what else may help.
    """

    worker: str
    does: str
    lighter: str
    advice: str


@contextlib.contextmanager
def child(
    worker: str, request: Mapping[str, Any], does: str, *, stdin: int, errors: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that serves a request; it is ended with the block, whatever it does then.

    Args:
        worker: the module.
        request: JSON-able.
        does: as in `Work`.
        stdin: of `subprocess`; standard output is a pipe.
        errors: an open file for its standard error.

    Raises:
        RunError: it cannot be started.
    """
    folders = [folder or str(Path.cwd()) for folder in sys.path]
    command = [sys.executable, "-P", "-c", _START, json.dumps([folders, worker, request])]
    try:
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=errors)
    except OSError as cause:
        raise RunError(
            f"expected to start a process that {does}; got: {cause.strerror}; free some memory"
        ) from cause
    with process:
        try:
            yield process
        except (EOFError, BrokenPipeError):  # it is ending by itself: how is what to tell
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
            raise
        finally:
            process.kill()  # whoever stops reading has no more use for it


def answers(
    work: Work, request: Mapping[str, Any], arrays: Sequence[NDArray[Any]], progress: Progress | None
) -> Generator[tuple[bytes, bytes], None, None]:
    """Yield the (tag, content) of the frames of a worker, `PART`s in order and its `RESULT` last.

    The process ends with this one, however that ends.

    Args:
        work: what is to be done.
        request: JSON-able; the worker finds the id of this process in it, as ``parent``.
        arrays: contiguous; the worker reads them from its standard input.
        progress: called for each `PROGRESS`, which is not yielded.

    Raises:
        RunError: the process crashed, was killed, or cannot be started.
    """
    asked = {**request, "parent": os.getpid()}
    with tempfile.TemporaryFile() as errors:
        try:
            with child(work.worker, asked, work.does, stdin=subprocess.PIPE, errors=errors) as process:
                yield from _frames(process, arrays, progress)
                process.wait()
                if process.returncode:
                    raise EOFError
        except (EOFError, BrokenPipeError) as cause:
            raise _died(work, process.returncode, errors) from cause


def last_words(errors: IO[bytes]) -> str:
    """Return the last line that a process printed to its standard error, "" if it printed none."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - SAID))
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""


def _frames(
    process: subprocess.Popen[bytes], arrays: Sequence[NDArray[Any]], progress: Progress | None
) -> Iterator[tuple[bytes, bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    for array in arrays:
        process.stdin.write(array.data.cast("B"))
    process.stdin.close()
    tag = b""
    while tag != RESULT:
        tag, content = _frame(process.stdout)
        if tag != PROGRESS:
            yield tag, content
        elif progress is not None:
            progress(*json.loads(content))


def _frame(stream: IO[bytes]) -> tuple[bytes, bytes]:
    """Return the next frame, or raise `EOFError`."""
    head = stream.read(9)
    length = int.from_bytes(head[1:], "little")
    content = stream.read(length) if len(head) == 9 else b""
    if len(head) < 9 or len(content) < length:
        raise EOFError
    return head[:1], content


def _died(work: Work, status: int, errors: IO[bytes]) -> RunError:
    """Return the error for a process that ended before its work, with the last line it printed."""
    how = (
        f"it was ended by {signal.Signals(-status).name}" if status < 0 else f"it ended with status {status}"
    )
    killed = status == -signal.SIGKILL
    advice = f"the machine may be out of memory: {work.lighter}" if killed else work.advice
    said = last_words(errors)
    last = f" ({said[:300]})" if said else ""
    return RunError(f"expected the process that {work.does} to finish; got: {how}{last}; {advice}")
