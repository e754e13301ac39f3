"""Measures one case in this process: a job as JSON on stdin, a record as JSON on the last line of stdout.

The process is the unit because three settings are the process's: glibc's allocator, the instruction set and
the number of threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

KEPT = "kept"
INSTALLED = "installed"

ALLOCATORS: dict[str, dict[str, str]] = {
    KEPT: {"MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_MMAP_THRESHOLD_": str(2**40)},
    INSTALLED: {},
}
"""Environments: glibc told to keep freed memory, so that temporaries fault no pages; glibc as it comes."""

VARIANT_VARIABLE = "FASTSNF_CPU"
"""The environment variable that forces an instruction set of the native engine."""


@dataclass(frozen=True)
class Job:
    """One case under one allocator: which sides, how many rounds, on how many points (None: the case's)."""

    case: str
    sides: tuple[str, ...]
    allocator: str = KEPT
    rounds: int = 5
    warmup: int = 3
    points: int | None = None


def environment(job: Job, variant: str | None) -> dict[str, str]:
    """Return this process's environment with the job's allocator and instruction set."""
    names = {name for settings in ALLOCATORS.values() for name in settings}
    kept = {name: value for name, value in os.environ.items() if name not in names}
    forced = {VARIANT_VARIABLE: variant} if variant else {}
    return kept | ALLOCATORS[job.allocator] | forced


def in_child(job: Job, variant: str | None = None) -> dict[str, Any]:
    """Run a job in a process of its own and return its record; its messages go to stderr.

    Raises:
        RuntimeError: the child failed, with its last line.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker"],
        input=json.dumps(asdict(job)),
        env=environment(job, variant),
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise RuntimeError(f"{job.case} ({job.allocator}): exit status {done.returncode}: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def run_job(job: Job) -> dict[str, Any]:
    """Check the case, measure its sides in turn, and return the record."""
    from benchmarks import cases, gate, machine, summary, timer
    from benchmarks.sides import Problem

    case = cases.find(job.case)
    gate.check(case)
    if job.points is not None:
        case = case.scaled(job.points)
    problem = Problem.of(case)
    runs = {side: problem.run(side) for side in job.sides}
    started = time.time()
    rounds = timer.measure(
        runs, peak=lambda: machine.fma_peak(case.variant), rounds=job.rounds, warmup=job.warmup
    )
    return {
        **case.to_dict(),
        "allocator": job.allocator,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "engine": problem.engine(),
        "copy_gb_s": machine.copy_bandwidth(),
        **summary.of_rounds(rounds, job.sides, case.flops),
        "machine": machine.describe(),
    }


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(json.dumps(run_job(Job(**{**given, "sides": tuple(given["sides"])}))))
