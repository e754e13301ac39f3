"""Run the compile worker, and judge what it reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastsnf.engines.triton.build import Report
from tests.engines.triton.spills import Spill

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Outcome:
    """What the worker said: a report a build with the calls that launch it, errors, and counts."""

    reports: list[tuple[Report, list[str]]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    launched: int = 0


def compiled(calls: str, architecture: str, workers: int = 1, *, machine_code: bool = False) -> Outcome:
    """Compile the calls of ``module:function`` for `architecture` and return the outcome.

    Raises:
        RuntimeError: the worker itself failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.engines.triton.compile_worker", calls, architecture, str(workers)]
        + ["sass"] * machine_code,
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "0", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"the compile worker failed: {done.stderr[-2000:]}")
    outcome = Outcome()
    for line in map(json.loads, done.stdout.splitlines()):
        if "report" in line:
            outcome.reports.append((Report(**line["report"]), line["calls"]))
        elif "error" in line:
            outcome.errors.append(f"{line['calls'][0]}: {line['error']}")
        else:
            outcome.launched = line["launched"]
    return outcome


def judge(outcome: Outcome, allowed: Sequence[Spill]) -> list[str]:
    """Return everything wrong with an outcome: errors, faults, and spills that `allowed` does not name."""
    wrong = list(outcome.errors)
    for report, calls in outcome.reports:
        where = f"{describe(report)} ({calls[0]} and {len(calls) - 1} more)"
        wrong += [f"{where}: {fault}" for fault in report.faults()]
        if report.spills() and not any(entry.allows(report) for entry in allowed):
            wrong.append(f"{where}: {', '.join(report.spills())}")
    return wrong


def stale(outcome: Outcome, allowed: Sequence[Spill]) -> list[str]:
    """Return the entries of `allowed` for the architectures of an outcome that no build needs."""
    spilled = [report for report, _ in outcome.reports if report.spills()]
    built = {report.architecture for report, _ in outcome.reports}
    return [
        f"{entry} is not needed"
        for entry in allowed
        if entry.architecture in built and entry.here and not any(map(entry.allows, spilled))
    ]


def describe(report: Report) -> str:
    """Return a build in one line: the kernel, its constants, warps and stages."""
    constants = ", ".join(f"{name}={value}" for name, value in report.constants.items() if value is not None)
    return (
        f"{report.kernel}[{report.architecture}, {constants}, {report.warps} warps, {report.stages} stages]"
    )


def kernels(outcome: Outcome) -> set[str]:
    """Return the names of the kernels that were built."""
    return {report.kernel for report, _ in outcome.reports}


def products(outcome: Outcome, names: Iterable[str]) -> list[str]:
    """Return the builds of kernels called one of `names` that hold no matrix product."""
    wanted = set(names)
    return [describe(report) for report, _ in outcome.reports if report.kernel in wanted and not report.dots]
