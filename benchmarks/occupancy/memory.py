"""The most memory that a process had, what is mapped from files told apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")
EVERY = 0.005
"""Seconds between two looks."""


@dataclass
class Peak:
    """Bytes above those at the start: the process's own (RssAnon), and pages of files (RssFile)."""

    own: int = 0
    mapped: int = 0


def resident(key: str) -> int:
    """Return RssAnon or RssFile of this process in bytes."""
    line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


@contextmanager
def watched() -> Iterator[Peak]:
    """Watch the memory of this process while the block runs."""
    peak, done = Peak(), threading.Event()
    own, mapped = resident("RssAnon"), resident("RssFile")

    def look() -> None:
        while not done.is_set():
            peak.own = max(peak.own, resident("RssAnon") - own)
            peak.mapped = max(peak.mapped, resident("RssFile") - mapped)
            time.sleep(EVERY)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
