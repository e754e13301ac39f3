"""`ImageRendering`: a picture that is decoded at any size, kept as the samples that a file will hold."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.signals.rendering import Rendering
from fastsnf.signals.write_image import write_picture

if TYPE_CHECKING:
    from fastsnf.signals.image import Image
    from fastsnf.signals.signal import Signal

BYTES_PER_VALUE = 8
"""Peak for each value of a picture: samples of up to 2 bytes, their joined copy, Pillow's copy of that."""


class ImageRendering(Rendering):
    """The quantised samples of a picture, never the values of all of it; arguments as `Rendering`."""

    signal: Image

    def __init__(self, signal: Image, shape: Sequence[int]) -> None:
        super().__init__(signal, shape)
        self._strips: list[NDArray[np.integer[Any]]] = []

    @classmethod
    def bytes_of(cls, signal: Signal, shape: Sequence[int]) -> int:
        """Return the bytes that a rendering takes, writing it included."""
        return math.prod(shape) * signal.out_features * BYTES_PER_VALUE

    def add(self, start: int, values: Tensor) -> None:
        """Take the values `[B, C]` of the points from number `start` on; chunks come in order, gapless."""
        if start == 0:
            self._strips = []
        self._strips.append(self.signal.to_array(values, (1, len(values))))

    @property
    def samples(self) -> NDArray[np.integer[Any]]:
        """The picture as `Image.to_array` has it, `[H, W]` or `[H, W, 3]`."""
        samples = np.concatenate(self._strips, axis=1)
        return samples.reshape(*self.shape, *samples.shape[2:])

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the picture, once all chunks are there; raises as `Image.write`."""
        write_picture(self.samples, path)
