"""Where a long decode stands: one line on stderr, drawn anew on a terminal."""

from __future__ import annotations

import sys
import time

from fastsnf.cli.counter import PLAIN, clock

QUIET = 2.0
"""Seconds before anything is said: short decodes are done by then."""
REDRAW = 0.2
"""Seconds between two drawings of the line on a terminal."""


class DecodeProgress:
    """Called with the points that are done and all of them; says the share, the rate and the time left."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._start = time.monotonic()
        self._due = self._start + (QUIET if self._terminal else PLAIN)
        self._drawn = False

    def __call__(self, done: int, total: int) -> None:
        """Draw the line when it is due."""
        now = time.monotonic()
        if now < self._due or not total:
            return
        self._due = now + (REDRAW if self._terminal else PLAIN)
        self._drawn = self._terminal
        line = progress_line(done, total, now - self._start)
        print(
            f"\r{line}\x1b[K" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr
        )
        sys.stderr.flush()

    def close(self) -> None:
        """Take the line off the terminal."""
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def progress_line(done: int, total: int, seconds: float) -> str:
    """Return the share of the points that is done, their rate and the time left.

    >>> progress_line(25_000_000, 100_000_000, 10.0)
    'decoded 25 %  2.50 M points/s  30.0 s left'
    """
    rate = done / max(seconds, 1e-9)
    left = (total - done) / max(rate, 1e-9)
    return f"decoded {100 * done // total} %  {rate / 1e6:.2f} M points/s  {clock(left)} left"
