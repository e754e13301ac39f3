"""Peak memory of one training step above inputs, targets and parameters, in a process of its own."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import child
from benchmarks.cases import MEMORY_LIMIT_MB, MEMORY_POINTS, MEMORY_WIDTH, Case
from benchmarks.sides import FASTSNF, Problem

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""What Linux takes in clear_refs to set the peak of the resident set to what it is now."""

EAGER_BYTES_PER_ACTIVATION = 10
"""Bytes that eager holds at its peak for each of points x width x layers: it takes about 10 GB here."""


def resident(key: str) -> int:
    """Return VmRSS (now) or VmHWM (peak) of this process in bytes."""
    line = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def peak_above(run: Callable[[], object]) -> int:
    """Return by how many bytes the resident set rose above its present size while `run` ran."""
    if not CLEAR_REFS.exists():  # no way to reset the peak: ru_maxrss is right while it still grows
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run()
        unit = 1 if sys.platform == "darwin" else 1024
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit
    CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def measure(side: str, points: int, width: int) -> int:
    """Return the bytes of one step on `side`, in this process.

    A step of a tiny field goes first and loads the code. The optimizer's state, the gradients and the
    engine's workspace at this width come with the measured step and count.
    """
    Problem.of(Case("train", 8, 64)).run(side)()
    run = Problem.of(Case("train", width, points)).run(side)
    return peak_above(run)


def in_child(side: str, points: int = MEMORY_POINTS, width: int = MEMORY_WIDTH) -> dict[str, Any]:
    """Return the record of one side, measured in a process of its own.

    Raises:
        RuntimeError: the child failed (eager may run out of memory).
    """
    job = {"side": side, "points": points, "width": width}
    peak = child.run("benchmarks.memory", job, child.environment(child.INSTALLED))
    bound = side == FASTSNF and (points, width) == (MEMORY_POINTS, MEMORY_WIDTH)
    return {
        "case": "memory",
        **job,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "peak_mb": peak / 1e6,
        "limit_mb": MEMORY_LIMIT_MB if bound else None,
    }


def fits_eager(points: int, width: int, layers: int, available: int | None) -> bool:
    """Return whether eager's step fits the memory, with room to spare."""
    return available is not None and points * width * layers * EAGER_BYTES_PER_ACTIVATION * 1.2 < available


if __name__ == "__main__":
    child.serve(measure)
