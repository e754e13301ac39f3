"""Work in a process of its own: allocator, instruction set and peak memory belong to a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
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


def environment(allocator: str, variant: str | None = None) -> dict[str, str]:
    """Return this process's environment with an allocator's settings and, if given, a forced variant."""
    names = {name for settings in ALLOCATORS.values() for name in settings}
    rest = {name: value for name, value in os.environ.items() if name not in names}
    return rest | ALLOCATORS[allocator] | ({VARIANT_VARIABLE: variant} if variant else {})


def run(module: str, job: dict[str, Any], env: dict[str, str]) -> Any:
    """Run ``python -m module``, which ends in `serve`, on a job and return its answer.

    Raises:
        RuntimeError: the process failed, with its last line.
    """
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(job),
        env=env,
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message; killed, most likely for memory").splitlines()[-1]
        raise RuntimeError(f"{module}, {job}: exit status {done.returncode}: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def serve(work: Callable[..., Any]) -> None:
    """Read a job from stdin, do it and print the answer as the last line of stdout."""
    print(json.dumps(work(**json.load(sys.stdin))))
