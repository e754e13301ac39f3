"""`FrameRendering`: a video as bytes, a quarter of the memory of its values."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.signals.rendering import Rendering
from fastsnf.signals.write_image import quantised

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.signals.video import Video


class FrameRendering(Rendering):
    """Frames `[T, H, W, C]` as bytes; arguments as `Rendering`."""

    signal: Video

    def __init__(self, signal: Video, shape: Sequence[int]) -> None:
        super().__init__(signal, shape)
        self._frames: NDArray[np.uint8] | None = None

    @classmethod
    def bytes_of(cls, signal: Signal, shape: Sequence[int]) -> int:
        """Return the bytes that a rendering takes, writing it included."""
        return 2 * math.prod(shape) * signal.out_features

    @property
    def frames(self) -> NDArray[np.uint8]:
        """The frames; black after the last chunk."""
        if self._frames is None:
            self._frames = np.zeros((*self.shape, self.signal.out_features), dtype=np.uint8)
        return self._frames

    def add(self, start: int, values: Tensor) -> None:
        """Take the values `[B, C]` of the pixels from number `start` on."""
        rows = self.frames.reshape(self.size, -1)
        rows[start : start + len(values)] = quantised(values.detach().to("cpu", torch.float32).numpy(), 8)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the video; raises as `Video.write_frames`."""
        self.signal.write_frames(self.frames, path)
