"""Fits of a grid from a file, with its bits in a cache, that other processes run."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastsnf
from fastsnf.signals.occupancy import Occupancy
from fastsnf.train.result import FitResult
from fastsnf.train.snapshot import MANIFEST

SIZE = 40
OPTIONS = {
    "steps": 60,
    "batch_size": 1000,
    "lr": 5e-3,
    "log_every": 5,
    "preview_every": 0,
    "checkpoint_every": 0.0,
}


def write_grid(path: Path, size: int = SIZE) -> None:
    """Write a ball with a hole as an array of 0 and 1."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij")
    np.save(path, ((x**2 + y**2 + z**2 < 0.6) & (x**2 + y**2 > 0.05)).astype(np.uint8))


def make_field() -> fastsnf.SNF:
    options: dict[str, Any] = {"first_omega": 5.0, "hidden_omega": 5.0}
    return fastsnf.SNF(3, 1, 16, 1, **options, generator=torch.Generator().manual_seed(0))


def fit_grid(path: Path, cache: Path, run: Path | None, **options: Any) -> FitResult:
    """Fit the grid of a file, going on with the run where one has been begun."""
    torch.set_num_threads(1)
    # It takes its time, so that a kill may find a part of the bits.
    solid = Occupancy.open(path, cache=cache, progress=lambda done, total: time.sleep(0.1))
    resume = run is not None and (run / "checkpoints" / MANIFEST).exists()
    return fastsnf.fit(make_field(), solid, run=run, resume=resume, **{**OPTIONS, **options})


def fit_process(path: Path, cache: Path, run: Path, marker: Path) -> None:
    """Fit, having said that it begins; runs in a process of its own."""
    marker.touch()
    fit_grid(path, cache, run)


def fit_in_small_files(path: Path, cache: Path, run: Path, most: int, said: Path) -> None:
    """Fit where no file may have more than `most` bytes; write the error that comes of it."""
    solid = Occupancy.open(path, cache=cache)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    torch.set_num_threads(1)
    try:
        fastsnf.fit(make_field(), solid, run=run, **OPTIONS)
        text = "no error"
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
    said.write_text(text)
