"""Compile what the core's rows launch, in several processes, so that the first calls find it in the cache.

``python -m benchmarks.gpu.warm ARCHITECTURE WORKERS``; no GPU is touched.
"""

from __future__ import annotations

import sys

from benchmarks import launches
from benchmarks.gpu import cases
from benchmarks.gpu.sides import PRECISION


def main(architecture: str, workers: int) -> int:
    """Compile every build; return 1 where one does not compile."""
    from fastsnf.engines.triton.build import builds_of, compile_all

    recorded = []
    for row in cases.core():
        if row.kind not in ("speed", "quality"):
            continue
        for side in row.sides:
            if side in PRECISION:
                case, outputs = row.case, 1 if row.kind == "quality" else launches.OUT_FEATURES
                call = launches.Call(
                    case.work, case.activation.name, PRECISION[side], case.width, case.points,
                    out_features=outputs, phases=side == cases.PHASES,
                )  # fmt: skip
                recorded += launches.record(call, architecture)
    builds = builds_of(recorded, architecture)
    failed = 0
    for build, result in compile_all(builds, workers):
        if isinstance(result, str):
            failed += 1
            print(f"{build.key[:120]}: {result[:300]}")
    print(f"compiled {len(builds)} kernels for {architecture}, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
