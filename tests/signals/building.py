"""A bit file that a process of its own builds, for tests that kill or doubt it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fastsnf.signals import bit_file

SHAPE = (64, 48, 40)
FACTS = {"source": "a test", "options": [1, 2.5, None]}


def voxels() -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE) < 0.2


def slabs(pause: float = 0.0, log: Path | None = None) -> Iterator[np.ndarray]:
    """The voxels in parts that are no whole octets, at some length."""
    if log is not None:
        with log.open("a") as file:
            file.write("begun\n")
    flat = voxels().reshape(-1)
    for start in range(0, flat.size, 4999):
        time.sleep(pause)
        yield flat[start : start + 4999]


def build_process(path: Path, marker: Path, pause: float, log: Path | None = None) -> None:
    marker.touch()
    bit_file.build(path, SHAPE, lambda: slabs(pause, log), FACTS)
