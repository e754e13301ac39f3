"""Processes that tests start, kill and signal; forked from a server that has torch already, for speed."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

DEADLINE = 120.0
"""Seconds after which a process that shows no sign of life fails the test."""


def start(target: Callable[..., None], *args: Any) -> ForkServerProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.samples"])
    process = context.Process(target=target, args=args, daemon=True)
    process.start()
    return process


def wait_for(marker: Path, process: ForkServerProcess) -> None:
    """Wait until `marker` exists; fail when the process ends or hangs before."""
    end = time.monotonic() + DEADLINE
    while not marker.exists():
        assert process.is_alive(), f"the process ended with {process.exitcode}"
        assert time.monotonic() < end, "the process does not start"
        time.sleep(0.002)


def join(process: ForkServerProcess) -> int | None:
    """Wait for the end of a process and return its exit status."""
    process.join(DEADLINE)
    assert not process.is_alive(), "the process does not end"
    return process.exitcode
