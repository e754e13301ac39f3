"""How far a long piece of work is, and durations for people. Imports nothing heavy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

REDRAW = 0.1
"""Seconds between two drawings of a live line."""
PATIENCE = 1.0
"""Seconds that a piece of work may take before anything is said of it."""
PLAIN = 5.0
"""Seconds between two plain lines, where there is no terminal."""


class Counter:
    """Shows how much of a long piece of work is done: one live line on a terminal, else a line now and then.

    Args:
        console: where to.
        what: the work; nothing is shown of one that is done within `PATIENCE` seconds.
    """

    def __init__(self, console: Console, what: str) -> None:
        self._console, self._what = console, what
        self._live: Live | None = None
        self._started = time.monotonic()
        self._due = self._started + PATIENCE

    def __call__(self, done: int, total: int) -> None:
        """Take that `done` of `total` are done."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + (REDRAW if self._console.is_terminal else PLAIN)
        line = self._line(done, total, now - self._started)
        if not self._console.is_terminal:
            self._console.print(line, soft_wrap=True)
            return
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)

    def _line(self, done: int, total: int, seconds: float) -> str:
        """Return what is done as a share, with the seconds left at this pace."""
        share = done / total if total > 0 else 0.0
        left = f"  {clock(seconds / share - seconds)} left" if share > 0 else ""
        return f"{self._what}  {100 * share:.0f} %{left}"

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def clock(seconds: float) -> str:
    """Return a duration for people.

    >>> clock(9.94), clock(75), clock(3723)
    ('9.9 s', '1:15', '1:02:03')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
