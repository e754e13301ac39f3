"""Videos as signals: (time, row, column) in [-1, 1]^3 -> gray or RGB values in [0, 1]."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_write
from fastsnf.signals.described import described
from fastsnf.signals.frame_range import FrameRange
from fastsnf.signals.frame_rendering import FrameRendering
from fastsnf.signals.image import Image
from fastsnf.signals.read_video import MAX_PIXELS, Film, read_video
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.signal import DIGEST_POINTS, Signal
from fastsnf.signals.size import parse_size
from fastsnf.signals.write_image import quantised
from fastsnf.signals.write_video import ENCODERS, write_video

HELD_POINTS = 1 << 22
"""Pixels of all frames up to which the values lie in memory as floats beside their bytes: 48 MiB of RGB."""

MAX_RATE = 1_000_000
"""Frames a second, and the parts of the fraction that says how many, beyond which a rate is no rate."""


class Video(Signal):
    """A video of `shape` (T, H, W) with C = 1 (gray) or 3 (RGB) values in [0, 1] at each pixel.

    Coordinates are (time, row, column), ``linspace(-1, 1)`` with both ends on each axis: first and last frame
    are at -1 and 1. Frames are held as bytes; the values of a large video are made batch by batch. Use `open`
    or `from_array`.

    Args:
        shape: (T, H, W).
        out_features: C.
        frames: uint8 `[T, H, W, C]`; None when only described.
        rate: frames a second of the file, all of them counted.
        picked: which of them the T frames are.
        source: container and codec of the source, for the metadata.
    """

    kind: ClassVar[str] = "video"
    default_name: ClassVar[str] = "reconstruction.mp4"
    sized_by: ClassVar[tuple[str, ...]] = ("size", "scale")
    writes: ClassVar[tuple[str, ...]] = (*ENCODERS, ".npz")
    unit: ClassVar[tuple[str, ...]] = ("time [s]", "row [pixel]", "column [pixel]")

    def __init__(
        self,
        shape: Sequence[int],
        out_features: int,
        frames: NDArray[np.uint8] | None = None,
        *,
        rate: Fraction = Fraction(25),
        picked: FrameRange | None = None,
        source: str = "array",
    ) -> None:
        super().__init__(shape, out_features)
        if self.in_features != 3 or out_features not in (1, 3):
            raise InputError(
                f"expected a video of shape (T, H, W) with 1 or 3 channels; "
                f"got {self.shape} with {out_features}"
            )
        if not 0 < rate <= MAX_RATE or max(rate.numerator, rate.denominator) > 1000 * MAX_RATE:
            raise InputError(f"expected a rate above 0 and up to {MAX_RATE} frames a second; got {rate}")
        self.rate, self.picked, self.source = rate, picked or FrameRange(), source
        self._rows = None
        if frames is not None:
            if frames.dtype != np.uint8 or frames.shape != (*self.shape, out_features):
                expected = [*self.shape, out_features]
                raise InputError(
                    f"expected frames of uint8 {expected}; got {frames.dtype} {list(frames.shape)}"
                )
            self._rows = np.ascontiguousarray(frames).reshape(self.size, out_features)
            if self.size <= HELD_POINTS:
                self._values = self.targets(slice(0, self.size))

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        frames: str | FrameRange | None = None,
        size: str | tuple[int, int] | None = None,
        mode: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Self:
        """Read an MP4, MOV, Matroska, WebM or AVI file; see `fastsnf.signals.read_video.read_video`.

        Args:
            path: the file; its content decides the format.
            frames: ``"first:last"`` or ``"first:last:step"``, counted from 0, `last` left out as in Python's
                slices; by default all.
            size: (width, height) or ``"WxH"``: each frame is cropped to that aspect around the centre, then
                resized with an antialiased Lanczos filter.
            mode: ``"gray"`` or ``"rgb"``; by default as the file has it.
            max_pixels: videos of more pixels in all frames together are refused.

        Raises:
            InputError: PyAV is missing (extra ``video``); the file is missing, damaged, too large or of
                another kind; an option is wrong.
        """
        picked = FrameRange.parse(frames) if isinstance(frames, str) else frames
        sides = None if size is None else parse_size(size)
        film = read_video(path, picked=picked, size=sides, mode=mode, max_pixels=max_pixels)
        return cls._from_film(film)

    @classmethod
    def from_array(cls, array: ArrayLike | Tensor, *, rate: float | Fraction = 25) -> Self:
        """Return the video in an array.

        Args:
            array: `[T, H, W]` or `[T, H, W, C]` with C = 1 or 3, uint8, or float in [0, 1], which is rounded
                to 255 steps as frames are held.
            rate: frames a second.

        Raises:
            InputError: another shape, dtype or range.
        """
        samples = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
        if samples.ndim == 3:
            samples = samples[..., None]
        if samples.ndim != 4 or samples.shape[3] not in (1, 3) or 0 in samples.shape:
            raise InputError(
                f"expected frames [T, H, W] or [T, H, W, C] with C = 1 or 3; got {list(samples.shape)}"
            )
        if samples.dtype.kind == "f":
            if not ((samples >= 0) & (samples <= 1)).all():
                raise InputError("expected float frames within [0, 1]; got values outside, or NaN: rescale")
            samples = quantised(samples, 8)
        if samples.dtype != np.uint8:
            raise InputError(f"expected frames of uint8 or float; got {samples.dtype}; convert them first")
        return cls._from_film(Film(samples, _fraction(rate), FrameRange(), "array"))

    @classmethod
    def _from_film(cls, film: Film) -> Self:
        *shape, channels = film.samples.shape
        return cls(shape, channels, film.samples, rate=film.rate, picked=film.picked, source=film.source)

    @property
    def frames(self) -> NDArray[np.uint8]:
        """The frames, uint8 `[T, H, W, C]`; raises `InputError` for a video without data."""
        if self._rows is None:
            raise InputError(
                "expected a video with its frames; got one that was described by a checkpoint; open the file"
            )
        return self._rows.reshape(*self.shape, self.out_features)

    def targets(self, index: Tensor | slice) -> Tensor:
        """Return the values, float32 `[B, C]`, of the pixels `index` (integers `[B]` or a slice)."""
        if self._values is not None:
            return super().targets(index)
        rows = self.frames.reshape(self.size, self.out_features)
        picked = rows[index] if isinstance(index, slice) else rows[index.numpy()]
        return torch.from_numpy(picked.astype(np.float32) / np.float32(255))

    def check(self, mask: Tensor | None = None) -> None:
        """Raise `InputError` for a video without data; bytes are always finite."""
        _ = self.frames

    def digest(self) -> str:
        """Return a SHA-256 of shape and frames, of at most `DIGEST_POINTS` pixels."""
        hasher = hashlib.sha256(json.dumps([list(self.shape), self.kind]).encode())
        rows = self.frames.reshape(self.size, self.out_features)
        hasher.update(rows[:: -(-self.size // DIGEST_POINTS)].tobytes())
        return hasher.hexdigest()

    def to_coordinates(self, points: ArrayLike | Tensor) -> Tensor:
        """Return the coordinates of `points` `[..., 3]`: seconds from the file's start, row and column.

        Rows and columns are pixels of the video as it was fitted, counted from 0; fractions are allowed.
        """
        places = self._checked_points(points).clone()
        places[..., 0] = (places[..., 0] * float(self.rate) - self.picked.first) / self.picked.step
        return self._grid.located(places)

    def metadata(self) -> dict[str, Any]:
        """Return a JSON-able description: what `Signal.metadata` has, the rate and which frames these are."""
        return {
            **super().metadata(),
            "axes": ["time", "row", "column"],
            "mode": "gray" if self.out_features == 1 else "rgb",
            "range": [0.0, 1.0],
            "divided_by": 255.0,
            "rate": [self.rate.numerator, self.rate.denominator],
            "fps": float(self.rate),
            "first": self.picked.first,
            "step": self.picked.step,
            "source": self.source,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the video, without its frames, that `metadata` describes."""
        rate = described(metadata, cls.kind, "rate", list)
        if len(rate) != 2 or not all(type(part) is int and part >= 1 for part in rate):
            raise InputError(
                f"expected a rate of two whole numbers in the metadata of video; got {rate!r}; "
                "the file is damaged"
            )
        first, step = (described(metadata, cls.kind, key, int) for key in ("first", "step"))
        return cls(
            described(metadata, cls.kind, "shape", list),
            described(metadata, cls.kind, "out_features", int),
            rate=Fraction(*rate),
            picked=FrameRange(first, None, step),
            source=described(metadata, cls.kind, "source", str),
        )

    def rendering(self, shape: Sequence[int]) -> Rendering:
        """Return what gathers a rendering with `shape` points: as bytes, unless the video is held."""
        shape = self.grid_of(shape).shape
        return Rendering(self, shape) if self.held else FrameRendering(self, shape)

    def to_array(self, values: Tensor | None = None, shape: Sequence[int] | None = None) -> NDArray[np.uint8]:
        """Return the frames of `values` `[T H W, C]` (by default the video's own) with `shape` (T, H, W).

        Returns:
            uint8 `[T, H, W, C]`. Values are clipped to [0, 1]; NaN becomes 0.
        """
        if values is None:
            return self.frames
        return quantised(self._checked_rendering(values, self.shape if shape is None else shape).numpy(), 8)

    def frame(self, number: int) -> Image:
        """Return frame `number` of the video, counted from 0, as a picture."""
        if type(number) is not int or not 0 <= number < self.shape[0]:
            raise InputError(f"expected the number of one of {self.shape[0]} frames, from 0; got {number!r}")
        return Image.from_array(self.frames[number])

    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write the video of `values` `[T H W, C]` with `shape` (T, H, W), as `write_frames` does."""
        self.write_frames(self.to_array(values, shape), path)

    def write_frames(self, frames: NDArray[np.uint8], path: str | os.PathLike[str]) -> None:
        """Write `frames`, uint8 `[T, H, W, C]`, as a video file by the suffix, or as ``.npz``.

        A rendering of another number of frames than the signal's lasts as long. ``.npz`` holds ``frames``
        and ``rate``. The file is complete or absent.

        Raises:
            InputError: another suffix, PyAV is missing, or a place that cannot be written.
            RunError: the disk is full or failed.
        """
        rate = self.rate / self.picked.step * Fraction(frames.shape[0], self.shape[0])
        rate = rate.limit_denominator(MAX_RATE)
        path = Path(path)
        if path.suffix.lower() != ".npz":
            write_video(frames, rate, path)
            return
        with atomic_write(path) as file:
            np.savez_compressed(file, frames=frames, rate=np.float64(rate))


def _fraction(rate: float | Fraction) -> Fraction:
    """Return `rate` as a fraction of small parts, 23.976 as 2997/125."""
    if not isinstance(rate, int | float | Fraction) or not 0 < rate <= MAX_RATE:
        raise InputError(f"expected a rate above 0 and up to {MAX_RATE} frames a second; got {rate!r}")
    return Fraction(rate).limit_denominator(1001)
