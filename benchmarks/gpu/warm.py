"""Compile what the core's rows and the GPU tests launch, in several processes, into Triton's cache.

``python -m benchmarks.gpu.warm ARCHITECTURE WORKERS``; no GPU is touched. The rows' kernels come first, so
that only tests have to compile where the time does not suffice. One build serves every number of rows.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator

from benchmarks import launches
from benchmarks.gpu import cases
from benchmarks.gpu.sides import PRECISION
from fastsnf.engines.triton.launch import Launch, recording

TESTS = "tests.gpu.calls"


def of_rows() -> Iterator[launches.Call]:
    """Yield the calls of the core's rows."""
    for row in cases.core():
        if row.kind not in ("speed", "quality"):
            continue
        for side in row.sides:
            if side in PRECISION:
                case, outputs = row.case, 1 if row.kind == "quality" else launches.OUT_FEATURES
                yield launches.Call(
                    case.work, case.activation.name, PRECISION[side], case.width, case.points,
                    out_features=outputs, phases=side == cases.PHASES,
                )  # fmt: skip


def recorded(architecture: str) -> list[Launch]:
    """Return the launches of the core's rows, then those of the GPU tests."""
    found = []
    for row in of_rows():
        found += launches.record(row, architecture)
    return found + of_tests(architecture)


def of_tests(architecture: str) -> list[Launch]:
    """Return the launches of the GPU tests."""
    found = []
    for _name, call in importlib.import_module(TESTS).calls():
        with recording(architecture) as noted:
            call()
        found += noted
    return found


def main(architecture: str, workers: int) -> int:
    """Compile every build; return 1 where one does not compile."""
    from fastsnf.engines.triton.build import builds_of, compile_all

    builds = builds_of(recorded(architecture), architecture)
    failed = 0
    for build, result in compile_all(builds, workers):
        if isinstance(result, str):
            failed += 1
            print(f"{build.key[:120]}: {result[:300]}", flush=True)
    print(f"compiled {len(builds)} kernels for {architecture}, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
