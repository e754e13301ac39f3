"""Measure an NVIDIA GPU, or tabulate what was measured: `python -m benchmarks.gpu core|full|tables`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
CORE_MINUTES = 8.5
NEEDED = ("torch", "triton", "numpy", "safetensors", "pytest")
"""What has to be importable; scikit-image's photograph and pybind11's build are missed by one row each."""


def missing() -> list[str]:
    """Return the packages that this Python lacks."""
    return [name for name in NEEDED if find_spec(name) is None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a suite, or write the tables of the records that are there."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").strip())
    parser.add_argument("what", nargs="?", default="core", choices=("core", "full", "tables"))
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of records and tables")
    parser.add_argument("--minutes", type=float, help="no row begins later; 8.5 for core, none for full")
    options = parser.parse_args(arguments)
    if lacking := missing():
        print(
            f"expected a Python with {', '.join(NEEDED)}; {sys.executable} lacks {', '.join(lacking)}: "
            "choose another, for example make gpu PYTHON=.venv/bin/python"
        )
        return 2
    from benchmarks.gpu import runner, tables  # torch has to be there

    line = shlex.join(["python", "-m", "benchmarks.gpu", *arguments])
    if options.what == "tables":
        print(tables.write(options.out, line))
        return 0
    minutes = options.minutes or (CORE_MINUTES if options.what == "core" else None)
    return runner.run(options.what, options.out.resolve(), minutes, line)


if __name__ == "__main__":
    sys.exit(main())
