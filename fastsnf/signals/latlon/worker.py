"""The child process that decodes a GRIB or NetCDF 4 file; it prints the table and imports no torch."""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from fastsnf.errors import InputError
from fastsnf.signals.faults import reading
from fastsnf.signals.latlon.dataset import read_dataset
from fastsnf.signals.latlon.table import Table

BYTES_A_POINT = 64
"""Memory that a point of the largest slice may take, copies of the libraries included."""
SPARE_BYTES = 1 << 30


def main(request: dict[str, Any]) -> None:
    """Write the table of ``request`` (`read_dataset`'s arguments) to stdout: a line of JSON, then float64.

    An `InputError` becomes a line of JSON with its text.
    """
    answer, sys.stdout = sys.stdout.buffer, sys.stderr  # whatever a library prints is no answer
    path, engine, kind = request["arguments"]
    _limit_resources(engine, request["options"]["max_points"], request["seconds"])
    try:
        with reading(path, kind):
            table = read_dataset(path, engine, kind, **request["options"])
    except InputError as error:
        answer.write(json.dumps({"error": str(error)}).encode() + b"\n")
    else:
        answer.write(json.dumps(_head(table)).encode() + b"\n")
        answer.write(np.ascontiguousarray(table.values).data.cast("B"))
    answer.flush()


def _head(table: Table) -> dict[str, Any]:
    """Return all of a table but its values."""
    words = ("name", "long_name", "unit", "time", "source")
    return {
        "latitudes": table.lattice.latitudes,
        "longitudes": table.lattice.longitudes,
        "words": {word: getattr(table, word) for word in words},
    }


def _limit_resources(engine: str, max_points: int, seconds: int) -> None:
    """Hold the process to `seconds` of computing, and to the memory of now and of `max_points` points."""
    for module in ("xarray", engine):
        with contextlib.suppress(ImportError):
            import_module(module)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    space = pages * resource.getpagesize() + SPARE_BYTES + BYTES_A_POINT * max_points
    spent = resource.getrusage(resource.RUSAGE_SELF)
    done = int(spent.ru_utime + spent.ru_stime)
    for limit, value in ((resource.RLIMIT_AS, space), (resource.RLIMIT_CPU, done + seconds)):
        _, most = resource.getrlimit(limit)
        resource.setrlimit(limit, (value if most < 0 else min(value, most), most))
