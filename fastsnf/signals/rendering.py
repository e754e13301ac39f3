"""`Rendering`: the values of a field at a signal's points, or on another grid of it, gathered in chunks."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fastsnf.errors import InputError

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal

NOUNS = {
    "image": "picture",
    "audio": "sound",
    "occupancy": "mesh or grid",
    "sdf": "mesh or grid",
    "sphere": "map",
    "video": "video",
}
"""What the file of a rendering is called; data for other kinds of signals."""


class Rendering:
    """Values `[N, C]` of `shape` points of a signal, all of them in memory; subclasses keep less.

    Memory is taken with the first chunk, so that `bytes` can be asked before.

    Args:
        signal: whose rendering it is.
        shape: points along each of its axes.
    """

    def __init__(self, signal: Signal, shape: Sequence[int]) -> None:
        self.signal, self.shape = signal, tuple(shape)
        self.size = math.prod(self.shape)
        self._values: Tensor | None = None

    @classmethod
    def bytes_of(cls, signal: Signal, shape: Sequence[int]) -> int:
        """Return the bytes that a rendering takes, writing it included."""
        return 3 * 4 * math.prod(shape) * signal.out_features

    @property
    def bytes(self) -> int:
        """The bytes that it takes, writing it included."""
        return self.bytes_of(self.signal, self.shape)

    def needs(self, path: str | os.PathLike[str]) -> int:
        """Return the bytes that making it and writing it to `path` take."""
        return self.bytes

    @property
    def values(self) -> Tensor:
        """The values float32 `[N, C]`; raises `InputError` where none are kept, or none have come."""
        if self._values is None:
            raise InputError(f"expected a rendering that keeps values; got a {type(self).__name__} without")
        return self._values

    def check(self, path: str | os.PathLike[str]) -> None:
        """Raise `InputError`, before the work is done, for a file that could not be written after it."""
        path = Path(path)
        suffixes = self.signal.writes or (Path(self.signal.default_name).suffix,)
        if path.suffix.lower() not in suffixes:
            noun = NOUNS.get(self.signal.kind, "data")
            raise InputError(f"expected a {noun} file ending in {', '.join(suffixes)}; got {str(path)!r}")
        if not os.access(path.parent, os.W_OK):
            raise InputError(
                f"expected a folder that can be written; got {str(path.parent)!r}: "
                "create it or choose another"
            )

    def add(self, start: int, values: Tensor) -> None:
        """Take the values `[B, C]` of the points from number `start` on; chunks come in order, gapless."""
        values = values.to("cpu", torch.float32)
        if len(values) == self.size:  # all at once: no second copy in memory
            self._values = values
            return
        if self._values is None:
            self._values = torch.empty(self.size, self.signal.out_features)
        self._values[start : start + len(values)] = values

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the file of the signal's kind, once all chunks are there; raises as `Signal.write`."""
        self.signal.write(self.values, self.shape, path)
