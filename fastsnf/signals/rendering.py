"""`Rendering`: the values of a field at a signal's points, or on another grid of it, gathered in chunks."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal


class Rendering:
    """Values `[N, C]` of `shape` points of a signal, all of them in memory; signals too large keep less.

    Args:
        signal: whose rendering it is.
        shape: points along each of its axes.
    """

    def __init__(self, signal: Signal, shape: Sequence[int]) -> None:
        self.signal, self.shape = signal, tuple(shape)
        self.values = torch.empty(math.prod(self.shape), signal.out_features)

    @staticmethod
    def bytes_of(signal: Signal, shape: Sequence[int]) -> int:
        """Return the bytes that a rendering takes, writing it included."""
        return 3 * 4 * math.prod(shape) * signal.out_features

    def add(self, start: int, values: Tensor) -> None:
        """Take the values `[B, C]` of the points from number `start` on; chunks come in order, gapless."""
        values = values.to("cpu", torch.float32)
        if len(values) == len(self.values):  # all at once: no second copy in memory
            self.values = values
        else:
            self.values[start : start + len(values)] = values

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the file of the signal's kind, once all chunks are there; raises as `Signal.write`."""
        self.signal.write(self.values, self.shape, path)
