"""Wall time of a fit, and how often it is spent on anything but steps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

LOG_SECONDS = 0.05
LOG_SHARE = 2000
"""Rows of metrics are `LOG_SECONDS` apart, or 1 / `LOG_SHARE` of the time so far: a long run has few."""

FIRST_PREVIEW = 2.0
MIN_PREVIEW = 5.0
PREVIEW_SHARE = 0.03
"""Seconds before the first preview, and between two; and the share of the time that they may cost."""


class Clock:
    """Seconds of a fit, from its first step; those spent in `aside` are not seconds of steps.

    Args:
        seconds, seconds_steps: what a resumed run has spent before.
    """

    def __init__(self, seconds: float = 0.0, seconds_steps: float = 0.0) -> None:
        self._start = time.perf_counter() - seconds
        self._aside = seconds - seconds_steps

    @property
    def seconds(self) -> float:
        """Wall time since the first step."""
        return time.perf_counter() - self._start

    def steps_of(self, seconds: float) -> float:
        """Return how many of so many seconds since the first step went into steps."""
        return seconds - self._aside

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Count the block as time outside steps."""
        before = time.perf_counter()
        try:
            yield
        finally:
            self._aside += time.perf_counter() - before


class LookPace:
    """When the loop looks at the loss: at every step on the CPU, seldom on a GPU, where it has to wait.

    Args:
        every: steps between two looks, where nothing else needs one.
        exact: numbers of which every multiple needs a look: steps at which something is due.
    """

    def __init__(self, every: int, exact: Sequence[int] = ()) -> None:
        self._every = every
        self._exact = tuple(exact)
        self._first = True

    def due(self, step: int) -> bool:
        """Return whether the loss of step number `step` is looked at; the first one asked for always is."""
        first, self._first = self._first, False
        return first or step % self._every == 0 or any(step % number == 0 for number in self._exact)


class LogPace:
    """When a row of metrics is due.

    Args:
        every: steps between rows, or None for the pace of this module.
    """

    def __init__(self, every: int | None) -> None:
        self._every = every
        self._last = -LOG_SECONDS

    def due(self, step: int, seconds: float) -> bool:
        """Return whether a row is due after `step` updates, and if so count it as written."""
        if self._every is not None:
            return step % self._every == 0
        if seconds - self._last < max(LOG_SECONDS, seconds / LOG_SHARE):
            return False
        self._last = seconds
        return True


class PreviewPace:
    """When a preview is due: early at first, then as often as it costs little.

    Args:
        every: seconds between previews; None for the pace of this module; 0 for none.
        seconds: when the fit starts, or goes on.
    """

    def __init__(self, every: float | None, seconds: float) -> None:
        self._every = every
        self._start = seconds
        self._next: float | None = None

    def due(self, seconds: float, estimate: float) -> bool:
        """Return whether a preview is due, if it is estimated to cost `estimate` seconds."""
        if self._every == 0:
            return False
        if self._next is not None:
            return seconds >= self._next
        first = max(FIRST_PREVIEW, estimate) if self._every is None else min(FIRST_PREVIEW, self._every)
        return seconds - self._start >= first

    def done(self, seconds: float, cost: float) -> None:
        """Note that a preview ended now and cost so many seconds."""
        self._next = seconds + (
            max(MIN_PREVIEW, cost / PREVIEW_SHARE) if self._every is None else self._every
        )
