"""Compile what calls of the engine launch, in a process where Triton does not interpret.

``python -m tests.engines.triton.compile_worker CALLS ARCHITECTURE WORKERS [sass]`` takes CALLS as
``module:function``, which yields (name, call); a call runs the engine on meta tensors. One JSON object a line
comes back: ``{"error", "calls"}`` for what has no configuration or does not compile, ``{"report", "calls"}``
for what does, and last ``{"launched"}``, the number of launches.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

Call = tuple[str, Callable[[], object]]


def launches_of(calls: Iterable[Call], architecture: str) -> tuple[list[Any], list[tuple[str, str]]]:
    """Return (call's name, launch) of every launch, and (name, error) of calls without a configuration."""
    from fastsnf.engines.triton.launch import recording

    found: list[Any] = []
    failed: list[tuple[str, str]] = []
    for name, call in calls:
        with recording(architecture) as launches:
            try:
                call()
            except LookupError as error:
                failed.append((name, str(error)))
        found += [(name, launch) for launch in launches]
    return found, failed


def builds_of(found: Iterable[Any], architecture: str) -> dict[str, tuple[Any, list[str]]]:
    """Return the different builds of launches by key, each with the names of its calls."""
    from fastsnf.engines.triton.build import build_of

    builds: dict[str, tuple[Any, list[str]]] = {}
    for name, launch in found:
        build = build_of(launch, architecture)
        builds.setdefault(build.key, (build, []))[1].append(name)
    return builds


def main(calls: str, architecture: str, workers: int, machine_code: bool) -> None:
    """Print a line for every error and for every build; `machine_code`: with its instructions counted."""
    from fastsnf.engines.triton.build import compile_all

    module, function = calls.split(":")
    found, failed = launches_of(getattr(importlib.import_module(module), function)(), architecture)
    for name, error in failed:
        say(error=error, calls=[name])
    builds = builds_of(found, architecture)
    wanted = [build for build, _ in builds.values()]
    for build, result in compile_all(wanted, workers, machine_code=machine_code):
        names = builds[build.key][1]
        if isinstance(result, str):
            say(error=result, calls=names)
        else:
            say(report=result.to_dict(), calls=names)
    say(launched=len(found))


def say(**line: Any) -> None:
    """Print a JSON line."""
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        import triton

        triton.knobs.cache.dir = folder
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:] == ["sass"])
