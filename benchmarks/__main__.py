"""Run the benchmarks of this machine: `python -m benchmarks [SUITE]`, by default all of them.

Each row is written as soon as it is measured; tables follow on stdout and in the results folder.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import cases, iga, initializers, machine, memory, ntk, tables, time_to_psnr
from benchmarks.cases import Case
from benchmarks.child import INSTALLED, KEPT
from benchmarks.occupancy import figures as occupancy
from benchmarks.occupancy import suite as occupancy_suite
from benchmarks.record import Records
from benchmarks.sides import COMPILED, EAGER, FASTSNF
from benchmarks.time_to_psnr import Settings
from benchmarks.worker import Job, in_child

ROUNDS = 5
INSTALLED_ROUNDS = 3
QUICK_ROUNDS = 3
QUICK_POINTS = 4_096
RESULTS = Path(__file__).resolve().parent / "results"
TABLES = "tables.md"

Task = tuple[str, Callable[[], dict[str, Any]]]


def jobs(case: Case, quick: bool) -> Iterator[Job]:
    """Yield the jobs of a case: with the kept allocator, and as installed where that is reported."""
    points = QUICK_POINTS if quick else None
    forced = case.variant is not None
    sides = (FASTSNF,) if forced else (FASTSNF, EAGER, *([COMPILED] if case.against_compile else []))
    yield Job(case.name, sides, KEPT, QUICK_ROUNDS if quick else ROUNDS, points=points)
    if case.against_installed:
        yield Job(case.name, (FASTSNF, EAGER), INSTALLED, INSTALLED_ROUNDS, warmup=1, points=points)


def speed_tasks(suite: str, quick: bool) -> Iterator[Task]:
    """Yield the cases of a suite; an instruction set that this machine lacks is left out, and said."""
    for case in cases.SUITES[suite]:
        if case.variant is not None and case.variant not in machine.variants():
            say(f"{case.name}: this machine has no {case.variant}: left out")
            continue
        for job in jobs(case, quick):
            yield f"{case.name}, allocator {job.allocator}", partial(in_child, job)


def memory_tasks(quick: bool) -> Iterator[Task]:
    """Yield the peak memory of both sides, eager's where it fits."""
    points = QUICK_POINTS if quick else cases.MEMORY_POINTS
    yield f"memory, {FASTSNF}", partial(memory.in_child, FASTSNF, points)
    layers = cases.HIDDEN_LAYERS + 1
    if memory.fits_eager(points, cases.MEMORY_WIDTH, layers, machine.available_memory()):
        yield f"memory, {EAGER}", partial(memory.in_child, EAGER, points)
    else:
        say("memory: eager's step does not fit this machine's memory: left out")


def psnr_tasks(quick: bool) -> Iterator[Task]:
    """Yield the arms of the time to a PSNR on a photograph."""
    settings = Settings(size=32, width=64, limit_s=5.0) if quick else Settings()
    for side, init in time_to_psnr.ARMS:
        name = f"time to {settings.target_db:g} dB, {side}, {init}"
        yield name, partial(time_to_psnr.in_child, side, init, settings)


def tasks(suite: str, quick: bool) -> Iterator[Task]:
    """Yield what a suite measures: a name, and a call that returns the record."""
    for name in cases.SUITES:
        if suite in (name, "all"):
            yield from speed_tasks(name, quick)
    for module in (ntk, iga, initializers):
        if suite in (module.SUITE, "all"):
            yield from module.tasks(quick)
    if suite in (occupancy.SUITE, "all"):
        yield from occupancy_suite.tasks(quick)
    if suite in ("memory", "all"):
        yield from memory_tasks(quick)
    if suite in ("time-to-psnr", "all"):
        yield from psnr_tasks(quick)


def say(message: str) -> None:
    """Print a line of progress; stdout is for the result."""
    print(message, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suites asked for; exit status 1 when a case failed its gate or its process."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n")[0])
    suites = [*cases.SUITES, ntk.SUITE, iga.SUITE, initializers.SUITE, occupancy.SUITE]
    suites += ["memory", "time-to-psnr", "all"]
    parser.add_argument("suite", nargs="?", default="all", choices=suites)
    parser.add_argument("--json", action="store_true", help="print the records as JSON instead of tables")
    parser.add_argument("--quick", action="store_true", help="few points and rounds; no floor is judged")
    parser.add_argument("--out", type=Path, help="folder of records and tables; default benchmarks/results")
    options = parser.parse_args(arguments)
    folder = options.out or (RESULTS / "quick" if options.quick else RESULTS)
    records = Records(folder)
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    failures = []
    for name, measure in tasks(options.suite, options.quick):
        say(f"{name} ...")
        try:
            records.add(measure())
        except RuntimeError as error:
            say(str(error))
            failures.append(str(error))
        text = tables.document(records.rows, failures, command)
        (folder / TABLES).write_text(text, encoding="utf-8")
    print(json.dumps(records.rows) if options.json else tables.document(records.rows, failures, command))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
