"""GRIB and NetCDF 4 files, decoded in a child process: of damaged ones ecCodes aborts and HDF5 never ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fastsnf.errors import InputError, RunError
from fastsnf.signals.child import child, last_words
from fastsnf.signals.latlon.dataset import EXTRAS
from fastsnf.signals.latlon.lattice import Lattice
from fastsnf.signals.latlon.table import Table
from fastsnf.signals.optional import require

SECONDS = 60
BYTES_A_SECOND = 10_000_000
"""Seconds of computing that a file may take, and how much faster a large one is read at least."""

_WORKER = "fastsnf.signals.latlon.worker"


def read_in_child(path: str | os.PathLike[str], engine: str, kind: str, **options: Any) -> Table:
    """Return what `read_dataset` returns for these arguments, called in a process that may crash or hang.

    Raises:
        InputError: what `read_dataset` raises, or a file so damaged that the process crashed or did not end.
        RunError: the process cannot be started, or was killed.
    """
    for module in ("xarray", engine):
        require(module, EXTRAS[engine], f"{kind} files")
    request = {
        "arguments": [os.fsdecode(path), engine, kind],
        "options": options,
        "seconds": SECONDS + Path(path).stat().st_size // BYTES_A_SECOND,
    }
    with tempfile.TemporaryFile() as errors:
        with child(_WORKER, request, f"reads {kind}", stdin=subprocess.DEVNULL, errors=errors) as process:
            answer, _ = process.communicate()
        if process.returncode:
            raise _died(os.fsdecode(path), kind, process.returncode, last_words(errors))
    head, _, body = answer.partition(b"\n")
    return _table(json.loads(head), body)


def _table(head: dict[str, Any], body: bytes) -> Table:
    """Return the table that the child process sent, or raise the `InputError` that it met."""
    if "error" in head:
        raise InputError(head["error"])
    lattice = Lattice(tuple(head["latitudes"]), tuple(head["longitudes"]))
    values = np.frombuffer(body, dtype=np.float64).reshape(lattice.shape)
    return Table(values, lattice, **head["words"])


def _died(path: str, kind: str, status: int, said: str) -> InputError | RunError:
    """Return the error for a child process that ended before its work."""
    if status == -signal.SIGKILL:
        return RunError(
            f"expected the process that reads {kind} to go on; it was killed while it read {path!r}: "
            "free some memory"
        )
    last = "it does not come to an end" if status == -signal.SIGXCPU else said or f"status {status}"
    return InputError(
        f"expected a whole {kind} file; got {path!r}, which makes its library crash ({last[:200]}); the file "
        "is damaged"
    )
