"""Run the benchmarks of this machine: `python -m benchmarks [train|infer|memory|time-to-psnr|all]`.

Each row is written as soon as it is measured; tables follow on stdout and in the results folder.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import cases, memory, tables
from benchmarks.cases import Case
from benchmarks.record import Records
from benchmarks.sides import COMPILED, EAGER, FASTSNF
from benchmarks.worker import INSTALLED, KEPT, Job, in_child

ROUNDS = 5
INSTALLED_ROUNDS = 3
QUICK_ROUNDS = 3
QUICK_POINTS = 4_096
RESULTS = Path(__file__).resolve().parent / "results"
TABLES = "tables.md"


def jobs(case: Case, quick: bool) -> Iterator[Job]:
    """Yield the jobs of a case: with the kept allocator, and as installed where that is reported."""
    points = QUICK_POINTS if quick else None
    forced = case.variant is not None
    sides = (FASTSNF,) if forced else (FASTSNF, EAGER, *([COMPILED] if case.against_compile else []))
    yield Job(case.name, sides, KEPT, QUICK_ROUNDS if quick else ROUNDS, points=points)
    if case.against_installed:
        yield Job(case.name, (FASTSNF, EAGER), INSTALLED, INSTALLED_ROUNDS, warmup=1, points=points)


def speed_records(suite: str, quick: bool) -> Iterator[dict[str, Any]]:
    """Measure the cases of a suite; a forced instruction set that this machine lacks is left out and said."""
    from benchmarks import machine

    for case in cases.SUITES[suite]:
        if case.variant is not None and case.variant not in machine.variants():
            say(f"{case.name}: this machine has no {case.variant}: left out")
            continue
        for job in jobs(case, quick):
            say(f"{case.name}, allocator {job.allocator} ...")
            yield in_child(job, case.variant)


def memory_records(quick: bool) -> Iterator[dict[str, Any]]:
    """Measure the peak memory of both sides, eager's where it fits."""
    from benchmarks import machine

    points = QUICK_POINTS if quick else cases.MEMORY_POINTS
    say("memory ...")
    yield memory.in_child(FASTSNF, points)
    layers = cases.HIDDEN_LAYERS + 1
    if memory.fits_eager(points, cases.MEMORY_WIDTH, layers, machine.available_memory()):
        yield memory.in_child(EAGER, points)
    else:
        say("memory: eager's step does not fit this machine's memory: left out")


def psnr_records(quick: bool) -> Iterator[dict[str, Any]]:
    """Measure the time to a PSNR on a photograph."""
    from benchmarks import time_to_psnr
    from benchmarks.time_to_psnr import Settings

    settings = Settings(size=32, width=64, limit_s=5.0) if quick else Settings()
    for side, init in time_to_psnr.ARMS:
        say(f"time to {settings.target_db:g} dB, {side}, {init} ...")
        yield time_to_psnr.measure(side, init, settings)


def measure(suite: str, quick: bool) -> Iterator[dict[str, Any]]:
    """Yield every record of a suite."""
    for name in cases.SUITES:
        if suite in (name, "all"):
            yield from speed_records(name, quick)
    if suite in ("memory", "all"):
        yield from memory_records(quick)
    if suite in ("time-to-psnr", "all"):
        yield from psnr_records(quick)


def say(message: str) -> None:
    """Print a line of progress; stdout is for the result."""
    print(message, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suites asked for; exit status 1 when a case fails its gate or its process."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n")[0])
    suites = [*cases.SUITES, "memory", "time-to-psnr", "all"]
    parser.add_argument("suite", nargs="?", default="all", choices=suites)
    parser.add_argument("--json", action="store_true", help="print the records as JSON instead of tables")
    parser.add_argument("--quick", action="store_true", help="few points and rounds; no floor is judged")
    parser.add_argument("--out", type=Path, help="folder of records and tables; default benchmarks/results")
    options = parser.parse_args(arguments)
    folder = options.out or (RESULTS / "quick" if options.quick else RESULTS)
    records = Records(folder)
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    failure = None
    try:
        for record in measure(options.suite, options.quick):
            records.add(record)
            (folder / TABLES).write_text(tables.document(records.rows, command), encoding="utf-8")
    except RuntimeError as error:
        failure = str(error)
    print(json.dumps(records.rows) if options.json else tables.document(records.rows, command))
    if failure:
        say(f"benchmarks stopped: {failure}")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
