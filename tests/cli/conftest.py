"""Running the real command: in this process for speed, in another where the process is what is tested."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Outcome:
    """What a run of the command left behind."""

    status: int
    out: str
    err: str

    def line(self) -> str:
        """The one line of stderr of a run that failed: no traceback, nothing before or after it."""
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("fastsnf: ")
        return lines[0]


@pytest.fixture
def command(capsys, tmp_path, monkeypatch) -> Callable[..., Outcome]:
    """Return a function that runs ``fastsnf ARGS`` in this process, in an empty folder."""
    from fastsnf.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> Outcome:
        capsys.readouterr()
        status = main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """Leave the drawing of curves, most of the time of a small fit, to the tests that start a process."""
    from fastsnf.analysis import plots
    from fastsnf.analysis.run_report import report
    from fastsnf.cli import fit_pictures
    from fastsnf.errors import InputError

    def undrawn(*args: object) -> None:
        raise InputError("not drawn in this test")

    monkeypatch.setattr(plots, "curve", lambda rows, path, title: Path(path).touch())
    monkeypatch.setattr(report, "curve_picture", undrawn)
    monkeypatch.setattr(report, "spectrum_picture", undrawn)
    monkeypatch.setattr(fit_pictures, "DRAWERS", {})


def picture(path: Path, height: int, width: int) -> Path:
    """Write a picture with some structure and return where it is."""
    rows, columns = np.mgrid[:height, :width]
    channels = [rows * (255 // height), columns * (255 // width), rows * columns]
    Image.fromarray(np.stack(channels, axis=2).astype(np.uint8)).save(path)
    return path


def environment(**changes: str | None) -> dict[str, str]:
    """Return the environment of a subprocess: this one's with one thread and `changes`; None removes."""
    values = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **changes}
    return {name: value for name, value in values.items() if value is not None}


def spawn(*args: object, cwd: Path, **changes: str | None) -> subprocess.Popen[str]:
    """Start ``python -m fastsnf ARGS`` with pipes for stdout and stderr."""
    return subprocess.Popen(
        [sys.executable, "-m", "fastsnf", *map(str, args)],
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def finish(process: subprocess.Popen[str], timeout: float = 120) -> Outcome:
    """Wait for a spawned command and return its outcome."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Outcome(process.returncode, out, err)
