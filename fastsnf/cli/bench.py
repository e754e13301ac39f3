"""``fastsnf bench``: run the benchmarks of a checkout, or search tiles for this machine's GPU.

They are part of the repository and not of the package: they need the other side of the comparison, a quiet
machine and a results folder.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

import fastsnf
from fastsnf.cli.options import choice, default, number
from fastsnf.cli.parse import parse
from fastsnf.errors import InputError

SUITES = ("train", "infer", "ntk", "iga", "all")


@dataclass(frozen=True)
class BenchOptions:
    """Measure this machine, side by side with eager PyTorch. Needs a checkout of the repository."""

    suite: Annotated[str, tyro.conf.Positional, choice(SUITES)] = "all"
    """What to measure: training, inference, the empirical NTK, gradient adjustment, or everything."""
    json: Annotated[bool, default("")] = False
    """Print the records as JSON instead of tables."""
    tune: Annotated[bool, default("")] = False
    """Search the Triton engine's tiles on this machine's GPU instead, and write them into the checkout."""
    time_limit: Annotated[float | None, number("S", above=0), default("")] = None
    """With --tune: stop after S seconds; the next search goes on there."""


def main(argv: Sequence[str]) -> int:
    """Run ``fastsnf bench`` and return the exit status of the runner."""
    options = parse(BenchOptions, argv, prog="fastsnf bench")
    return subprocess.run([sys.executable, "-m", *module(options)], cwd=checkout(), check=False).returncode


def module(options: BenchOptions) -> list[str]:
    """Return the module of the checkout that does what was asked, with its arguments.

    Raises:
        InputError: for options that do not go together.
    """
    if not options.tune:
        if options.time_limit is not None:
            raise InputError("expected --tune beside --time-limit; got --time-limit alone; add --tune")
        return ["benchmarks", options.suite, *(["--json"] if options.json else [])]
    if options.json or options.suite != "all":
        given = "--json" if options.json else options.suite
        raise InputError(f"expected --tune alone or with --time-limit; got {given}; leave it out")
    limit = [] if options.time_limit is None else ["--time-limit", str(options.time_limit)]
    return ["benchmarks.tune", *limit]


def checkout() -> Path:
    """Return the folder of the checkout that holds ``benchmarks/``: this package's, or the current one.

    Raises:
        InputError: when neither holds it.
    """
    for folder in (Path(fastsnf.__file__).resolve().parents[1], Path.cwd()):
        if (folder / "benchmarks" / "__main__.py").is_file():
            return folder
    raise InputError(
        "expected a checkout of fastsnf with its benchmarks/ folder; the installed package has none: "
        "clone the repository and run 'fastsnf bench' inside it, or 'make bench'"
    )
