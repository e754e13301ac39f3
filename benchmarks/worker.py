"""Measures one case in this process: checks it, times its sides in turn, returns the record."""

from __future__ import annotations

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
    from benchmarks import gate, machine, turns
    from benchmarks.sides import Problem

    case = cases.find(job.case)
    gate.check(case)
    if job.points is not None:
        case = case.scaled(job.points)
    problem = Problem.of(case)
    taken = turns.figures(
        problem, job.sides, case.flops, rounds=job.rounds, warmup=job.warmup, variant=case.variant
    )
    return {
        **case.to_dict(),
        "allocator": job.allocator,
        **taken,
        "copy_gb_s": machine.copy_bandwidth(),
    }


if __name__ == "__main__":
    child.serve(lambda **given: run_job(Job(**given)))
