"""The run folder: what a fit leaves on disk, and the only place that knows its layout.

``field.safetensors``, ``config.toml``, ``metrics.jsonl``, the reconstruction and ``checkpoints/``.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from fastsnf.errors import InputError
from fastsnf.signals.atomic import disk_errors
from fastsnf.signals.rendering import Rendering
from fastsnf.train import toml
from fastsnf.train.checkpoint import FIELD_FILE, save
from fastsnf.train.files import sweep, write_atomic
from fastsnf.train.lock import LOCK_FILE, locked
from fastsnf.train.losses import outputs_of
from fastsnf.train.result import finite_or_none
from fastsnf.train.snapshot import Snapshot, Snapshots
from fastsnf.train.state import FitState

CONFIG_FILE = "config.toml"
METRICS_FILE = "metrics.jsonl"


class RunFolder:
    """An open run folder, locked for this process; see `open_run`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.snapshots = Snapshots(path)
        self._rows: TextIO | None = None

    def begin(
        self, tables: Mapping[str, Mapping[str, Any]], snapshot: Snapshot | None
    ) -> list[dict[str, Any]]:
        """Write the configuration, go back to `snapshot` (None: the start); return the rows up to there."""
        write_atomic(self.path / CONFIG_FILE, toml.dumps(tables).encode())
        step = -1 if snapshot is None else snapshot.step
        rows = [row for row in read_rows(self.path) if row["step"] <= step]
        write_atomic(self.path / METRICS_FILE, "".join(map(_line, rows)).encode())
        if snapshot is not None:
            self.snapshots.go_back_to(snapshot)
        with disk_errors(self.path / METRICS_FILE):
            # Line by line, so that a reader sees each row and a crash loses none.
            self._rows = (self.path / METRICS_FILE).open("a", buffering=1, encoding="utf-8")
        return rows

    def log(self, row: Mapping[str, Any]) -> None:
        """Append a row of metrics."""
        assert self._rows is not None, "begin comes first"
        with disk_errors(self.path / METRICS_FILE):
            self._rows.write(_line(row))

    def reconstruct(self, rendering: Rendering) -> str | None:
        """Write the reconstruction; return why there is none, where the field's values make no such file.

        A field that is nowhere inside has no surface, and what writes the file may not be installed: after
        hours of fitting neither is a reason to fail. What an earlier preview wrote is then removed.
        """
        path = self.path / rendering.signal.default_name
        try:
            rendering.write(path)
        except InputError as error:
            with disk_errors(path):
                path.unlink(missing_ok=True)
            return str(error)
        return None

    def save_field(self, state: FitState) -> None:
        """Write the field as it is now."""
        save(state.field, self.path / FIELD_FILE, state.signal, outputs=outputs_of(state.config.loss))

    def close(self) -> None:
        """Close the files."""
        if self._rows is not None:
            # Every row was flushed; what is left is a row whose error was raised already.
            with contextlib.suppress(OSError):
                self._rows.close()


@contextlib.contextmanager
def open_run(path: str | os.PathLike[str], *, resume: bool) -> Iterator[RunFolder]:
    """Lock a run folder, made if need be, and sweep what an earlier process left unfinished.

    Raises:
        InputError: without `resume`, when it holds anything; with it, when it does not exist; when it cannot
        be
            written, is a file, or another process uses it.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"expected a run folder; got the file {str(folder)!r}")
    if resume and not folder.exists():
        raise InputError(f"expected a run folder to resume; got {str(folder)!r}, which does not exist")
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        sweep(folder)
        found = sorted(entry.name for entry in folder.iterdir() if entry.name != LOCK_FILE)
        if found and not resume:
            raise InputError(
                f"expected a new or empty run folder; got {str(folder)!r} with {found[0]}: choose another, "
                "or resume the run in it"
            )
        run = RunFolder(folder)
        run.snapshots.sweep()
        try:
            yield run
        finally:
            run.close()


def read_rows(run: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the rows of metrics of a run folder; a line that a crash cut off ends them."""
    rows: list[dict[str, Any]] = []
    try:
        text = (Path(run) / METRICS_FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return rows
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            break
        rows.append(row)
    return rows


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps({key: finite_or_none(value) for key, value in row.items()}, allow_nan=False) + "\n"
