"""GRIB files, decoded in a child process: damaged ones make ecCodes abort the process that it is in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fastsnf.errors import InputError, RunError
from fastsnf.signals.latlon.lattice import Lattice
from fastsnf.signals.latlon.table import Table
from fastsnf.signals.optional import require

_START = """
import json, sys
request = json.loads(sys.argv[1])
sys.path[:] = request.pop("modules")
from fastsnf.signals.latlon import grib_worker
grib_worker.main(request)
"""


def read_grib(
    path: str | os.PathLike[str], *, key: str | None, time: int | None, level: int | None, max_points: int
) -> Table:
    """Return a slice of a GRIB file; the arguments are those of `read_dataset`, which the child calls.

    Raises:
        InputError: what `read_dataset` raises, or a file so damaged that the process crashed.
        RunError: the process cannot be started, or was killed.
    """
    require("xarray", "grib", "GRIB files")
    request = {
        "modules": [folder or str(Path.cwd()) for folder in sys.path],
        "path": os.fspath(path),
        "options": {"key": key, "time": time, "level": level, "max_points": max_points},
    }
    with tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", _START, json.dumps(request)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                check=False,
            )
        except OSError as cause:
            raise RunError(
                f"expected to start a process that reads GRIB; got: {cause.strerror}; free some memory"
            ) from cause
        errors.seek(0)
        printed = errors.read().decode(errors="replace").split("\n")
    if done.returncode:
        raise _died(os.fsdecode(path), done.returncode, printed)
    head, _, body = done.stdout.partition(b"\n")
    return _table(json.loads(head), body)


def _table(head: dict[str, Any], body: bytes) -> Table:
    """Return the table that the child process sent, or raise the `InputError` that it met."""
    if "error" in head:
        raise InputError(head["error"])
    lattice = Lattice(tuple(head["latitudes"]), tuple(head["longitudes"]))
    values = np.frombuffer(body, dtype=np.float64).reshape(lattice.shape)
    return Table(values, lattice, **head["words"])


def _died(path: str, status: int, printed: list[str]) -> InputError | RunError:
    """Return the error for a child process that ended before its work."""
    if status == -signal.SIGKILL:
        return RunError(
            f"expected the process that reads GRIB to go on; it was killed while it read {path!r}: "
            "free some memory"
        )
    last = next((line.strip() for line in reversed(printed) if line.strip()), f"status {status}")
    return InputError(
        f"expected a whole GRIB file; got {path!r}, which makes its library crash ({last[:200]}); the file "
        "is damaged"
    )
