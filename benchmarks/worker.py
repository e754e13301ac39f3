"""Measures one case in this process: checks it, times its sides in turn, returns the record."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import cases, child
from benchmarks.child import KEPT


@dataclass(frozen=True)
class Job:
    """One case under one allocator: which sides, how many rounds, on how many points (None: the case's)."""

    case: str
    sides: tuple[str, ...]
    allocator: str = KEPT
    rounds: int = 5
    warmup: int = 3
    points: int | None = None


def in_child(job: Job) -> dict[str, Any]:
    """Run a job in a process of its own, with its allocator and its case's instruction set.

    Raises:
        RuntimeError: the child failed, with its last line.
    """
    variant = cases.find(job.case).variant
    return child.run("benchmarks.worker", asdict(job), child.environment(job.allocator, variant))


def run_job(job: Job) -> dict[str, Any]:
    """Check the case, measure its sides, and return the record."""
    from benchmarks import gate, machine, summary, timer
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
    child.serve(lambda **given: run_job(Job(**given)))
