"""The cases of the suite, and its table."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks import child
from benchmarks.occupancy.fits import BATCH, SIZES, WIDTH

ROUNDS = 5
TINY = {"batch": 512, "width": 16}

Task = tuple[str, Callable[[], dict[str, Any]]]


def tasks(quick: bool) -> Iterator[Task]:
    """Yield what is measured: a name, and a call that returns the record; a quick look at small things.

    Bit files are built where their memory is measured, and serve the fits after that.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield from _tasks(quick, folder)


def _tasks(quick: bool, folder: str) -> Iterator[Task]:
    size = TINY if quick else {"batch": BATCH, "width": WIDTH}
    sides = [16, 32] if quick else list(SIZES)
    for side in sides:
        steps = 3 if quick else 20
        name = f"memory of a fit of {side}^3"
        yield _task(name, "fits", work="memory", side=side, steps=steps, folder=folder, **size)
    rounds = 2 if quick else ROUNDS
    yield _task("fit of grids", "fits", work="rates", sides=sides, rounds=rounds, folder=folder, **size)
    yield _task(
        "decode of a grid", "decode", side=16 if quick else 256, width=size["width"], rounds=2 if quick else 3
    )
    if quick:
        yield _task(
            "voxels of meshes",
            "surfaces",
            work="voxels",
            rings=24,
            sides=12,
            resolution=24,
            open_resolution=16,
        )
    else:
        yield _task(
            "voxels of meshes",
            "surfaces",
            work="voxels",
            rings=316,
            sides=158,
            resolution=512,
            open_resolution=384,
        )
    for kind in ("clean", "noisy"):
        yield _task(
            f"surface of bits, {kind}", "surfaces", work="surface", side=32 if quick else 512, kind=kind
        )
    yield _task("two processes", "processes", steps=3 if quick else 40, rounds=1 if quick else 3, **size)


def _task(name: str, module: str, **job: Any) -> Task:
    environment = child.environment(child.KEPT if module in ("fits", "decode") else child.INSTALLED)
    if job.get("work") == "memory":
        environment = child.environment(child.INSTALLED)
    return name, partial(child.run, f"benchmarks.occupancy.{module}", job, environment)


def rows_of(records: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the table's rows: work, figure, floor, whether it holds."""
    return [
        [f"{record['work']}: {figure['what']}", shown(figure), bound(figure), held(figure)]
        for record in records
        for figure in record["figures"]
    ]


def shown(figure: dict[str, Any]) -> str:
    """Return a figure with its quartiles.

    >>> shown({"value": 0.123, "low": None, "high": None, "unit": "GB"})
    '0.12 GB'
    """
    unit = f" {figure['unit']}" if figure["unit"] else ""
    if figure["low"] is None:
        return f"{number(figure['value'])}{unit}"
    return f"{number(figure['value'])}{unit} ({number(figure['low'])}–{number(figure['high'])})"


def bound(figure: dict[str, Any]) -> str:
    """Return the floor or the ceiling of a figure, "" without one."""
    unit = f" {figure['unit']}" if figure["unit"] else ""
    if figure["least"] is not None:
        return f"≥ {figure['least']:g}{unit}"
    return "" if figure["most"] is None else f"≤ {figure['most']:g}{unit}"


def held(figure: dict[str, Any]) -> str:
    """Return whether the bound holds, "" without one."""
    return {None: "", True: "yes", False: "**NO**"}[figure["holds"]]


def number(value: float) -> str:
    """Return a number with three digits or more.

    >>> number(0.0123), number(12.34), number(1234567.0)
    ('0.012', '12.3', '1,234,567')
    """
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
