"""The child's side of `fastsnf.signals.child`: what its workers read, and how they answer.

A worker reads its arrays from standard input and writes frames to standard output: a letter, the length as
eight octets and the content. ``B``: the next part of the answer; ``P``: what is done and the whole, as JSON;
``R``: the result as JSON, last.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


class Answer:
    """Standard output for the frames alone: what libraries print goes to standard error.

    Args:
        request: what `fastsnf.signals.child.answers` asked; the process ends when the one that asked dies,
            and leaves Ctrl-C to that.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._out: IO[bytes] = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        _die_with(request["parent"])

    def part(self, array: NDArray[Any]) -> None:
        """Send the next part of the answer."""
        self._send(b"B", array.tobytes())

    def progress(self, done: int, total: int) -> None:
        """Say how far the work is."""
        self._send(b"P", json.dumps([done, total]).encode())

    def result(self, result: Mapping[str, Any]) -> None:
        """Send what ends the answer."""
        self._send(b"R", json.dumps(result).encode())

    def _send(self, tag: bytes, content: bytes) -> None:
        self._out.write(tag + len(content).to_bytes(8, "little"))
        self._out.write(content)
        self._out.flush()


def received(shape: Sequence[int], dtype: type) -> NDArray[Any]:
    """Return the next array of standard input; raise `EOFError` where it is cut short."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    content = sys.stdin.buffer.read(size)
    if len(content) != size:
        raise EOFError("the request is cut short")
    return np.frombuffer(content, dtype).reshape(shape)


def _die_with(parent: int) -> None:
    """Have the system end this process when its parent dies; Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it died before that
        os._exit(1)
