"""Reading arrays as tests of damage do: as a whole, and in little memory."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fastsnf.signals.arrays import read_array


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """Hold the block to 16 MiB beyond what there is, maps of files not counted."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def read(path: Path, key: str | None = None) -> np.ndarray:
    """The array in a file, as a whole."""
    with read_array(path, key) as array:
        return np.array(array.whole())
