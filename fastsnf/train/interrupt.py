"""Ctrl-C and SIGTERM while fitting: the handler sets a flag, the loop saves at the next step and stops."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A fit was stopped by a signal, with its checkpoint saved.

    Attributes:
        signum: the signal.
        exit_status: what a process that ends for it returns, 130 for SIGINT and 143 for SIGTERM.
        told_elsewhere: whether another process tells the user.
    """

    told_elsewhere = False

    def __init__(self, signum: int, saved: str) -> None:
        name = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name
        super().__init__(f"stopped by {name}; {saved}")
        self.signum = signum
        self.exit_status = 128 + signum


class Interrupt:
    """Listens for `SIGNALS` inside a ``with`` block; `signum` is the one that came, or None.

    A second signal finds the handlers of before, so that it acts at once. Outside the main thread, where
    Python allows no handlers, nothing is listened for.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._restore()

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            # None: a handler that was not installed from Python; it cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
