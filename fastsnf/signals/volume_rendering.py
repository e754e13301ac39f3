"""`VolumeRendering`: a volume too large for memory, gathered in a temporary file without a name."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.errors import InputError, RunError
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.write_volume import BLOCK_BYTES, write_volume

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.signals.volume import Volume


class VolumeRendering(Rendering):
    """Numbers in the source's units, float32 on disk as they come; arguments as `Rendering`."""

    signal: Volume

    def __init__(self, signal: Volume, shape: Sequence[int]) -> None:
        super().__init__(signal, shape)
        self._file: Any = None
        self._end = 0

    @classmethod
    def bytes_of(cls, signal: Signal, shape: Sequence[int]) -> int:
        """Return the bytes of memory that a rendering takes, writing it included."""
        return min(2 * BLOCK_BYTES, 3 * 4 * math.prod(shape) * signal.out_features)

    def add(self, start: int, values: Tensor) -> None:
        """Take the values `[B, C]` of the points from number `start` on; chunks come in order, gapless."""
        # An earlier start is a chunk that is taken again after memory ran out.
        if not 0 <= start <= self._end or start + len(values) > self.size:
            raise InputError(f"expected points from {self._end} on, of {self.size}; got {start}: in order")
        numbers = self.signal.to_units(values.detach().to("cpu").float()).contiguous().numpy()
        with _disk():
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115, closed when the rendering is forgotten
                weakref.finalize(self, self._file.close)
            self._file.seek(4 * start * self.signal.out_features)
            self._file.write(numbers.data)
        self._end = start + len(values)

    @property
    def numbers(self) -> NDArray[np.float32]:
        """All numbers in the source's units, a map `[X, Y, Z, C]`, once all chunks are there."""
        if self._end != self.size:
            raise InputError(f"expected all {self.size} points; got {self._end}: add the others first")
        with _disk():
            self._file.flush()
        return np.memmap(self._file, np.float32, "r", 0, (*self.shape, self.signal.out_features))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the volume, once all chunks are there; raises as `Volume.write`."""
        write_volume(self.numbers, path, spacing=self.signal.spacing_of(self.shape))


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    """Turn a failure of the temporary folder's disk into `RunError`."""
    try:
        yield
    except OSError as cause:
        raise RunError(
            f"expected room for the volume in the temporary folder {tempfile.gettempdir()!r}; got: "
            f"{cause.strerror or cause}; free some space or set TMPDIR to another disk"
        ) from cause
