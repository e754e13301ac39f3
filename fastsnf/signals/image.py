"""Pictures as signals: (row, column) in [-1, 1]^2 -> gray or RGB values in [0, 1]."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.described import described
from fastsnf.signals.image_rendering import ImageRendering
from fastsnf.signals.picture import Picture, in_mode, picture_from_samples, resized, with_weights
from fastsnf.signals.read_image import MAX_PIXELS, read_picture
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.signal import Signal
from fastsnf.signals.size import parse_size
from fastsnf.signals.write_image import ENCODERS, quantised, write_picture


class Image(Signal):
    """A picture of `shape` (H, W) with C = 1 (gray) or 3 (RGB) values in [0, 1] at each pixel.

    Coordinates are (row, column), ``linspace(-1, 1)`` with both ends on each axis whatever the aspect ratio.
    Transparent, masked and NaN pixels carry a weight below 1 (`weights`), colours are kept as stored.
    Use `open` or `from_array`.

    Args:
        shape: (H, W).
        out_features: C.
        values: float32 `[H W, C]`, rows first; None when only described.
        weights: float32 `[H W]`, or None.
        bits: bits of a sample at the source, 8, 16 or 32 (float); decides how `write` quantises.
        source: format and mode at the source, for the metadata.
        first_of_many: further frames or pages of the file were left alone.
    """

    kind: ClassVar[str] = "image"
    default_name: ClassVar[str] = "reconstruction.png"
    sized_by: ClassVar[tuple[str, ...]] = ("size", "scale")
    writes: ClassVar[tuple[str, ...]] = tuple(ENCODERS)
    unit: ClassVar[tuple[str, ...]] = ("row [pixel]", "column [pixel]")

    def __init__(
        self,
        shape: Sequence[int],
        out_features: int,
        values: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        bits: int = 8,
        source: str = "array",
        first_of_many: bool = False,
    ) -> None:
        super().__init__(shape, out_features, values, weights)
        if self.in_features != 2 or out_features not in (1, 3):
            raise InputError(
                f"expected an image of shape (H, W) with 1 or 3 channels; "
                f"got {self.shape} with {out_features}"
            )
        if bits not in (8, 16, 32):
            raise InputError(f"expected 8, 16 or 32 bits a sample; got {bits!r}")
        self.bits, self.source, self.first_of_many = bits, source, first_of_many

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        size: str | tuple[int, int] | None = None,
        squeeze: bool = False,
        mode: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Self:
        """Read a PNG, JPEG or TIFF file of 1, 8, 16 or 32 (float) bits a sample; see `read_picture`.

        Args:
            path: the file; its content decides the format.
            size: (width, height) or ``"WxH"``: crop to that aspect around the centre, then resize with an
                antialiased Lanczos filter.
            squeeze: resize to `size` without the crop.
            mode: ``"gray"`` (Pillow's L) or ``"rgb"``; by default as the file has it. Applied before `size`.
            max_pixels: pictures of more pixels, read or asked for, are refused.

        Raises:
            InputError: the file is missing, damaged, too large or of another kind, or an option is wrong.
        """
        return cls._from_picture(read_picture(path, max_pixels), size, squeeze, mode, max_pixels)

    @classmethod
    def from_array(
        cls,
        array: ArrayLike | Tensor,
        mask: ArrayLike | Tensor | None = None,
        *,
        size: str | tuple[int, int] | None = None,
        squeeze: bool = False,
        mode: str | None = None,
    ) -> Self:
        """Return the image in an array.

        Args:
            array: `[H, W]` or `[H, W, C]` of uint8 (divided by 255), uint16 (by 65535), bool, or float in
                [0, 1] where NaN marks holes. C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
            mask: `[H, W]`, bool or in [0, 1], the weight of each pixel: False or 0 = not there.
            size: see `open`.
            squeeze: see `open`.
            mode: see `open`.

        Raises:
            InputError: another shape, dtype or range, or no pixel left to fit.
        """
        picture = picture_from_samples(_as_numpy(array))
        if mask is not None:
            picture = with_weights(picture, _as_numpy(mask))
        return cls._from_picture(picture, size, squeeze, mode, MAX_PIXELS)

    @classmethod
    def _from_picture(
        cls,
        picture: Picture,
        size: str | tuple[int, int] | None,
        squeeze: bool,
        mode: str | None,
        max_pixels: int,
    ) -> Self:
        picture = in_mode(picture, mode)
        if size is not None:
            width, height = parse_size(size)
            if width * height > max_pixels:
                raise InputError(
                    f"expected a size of at most {max_pixels} pixels; got {width}x{height}; "
                    "choose a smaller one"
                )
            picture = resized(picture, (width, height), squeeze)
        height, width, channels = picture.samples.shape
        values = torch.from_numpy(picture.unit_values().reshape(-1, channels))
        weights = None if picture.weights is None else torch.from_numpy(picture.weights.reshape(-1))
        return cls(
            (height, width),
            channels,
            values,
            weights,
            bits=8 * picture.samples.dtype.itemsize,
            source=picture.source,
            first_of_many=picture.first_of_many,
        )

    def metadata(self) -> dict[str, Any]:
        """Return a JSON-able description: what `Signal.metadata` has, the mode, the depth and the ranges."""
        return {
            **super().metadata(),
            "axes": ["row", "column"],
            "mode": "gray" if self.out_features == 1 else "rgb",
            "bits": self.bits,
            "range": [0.0, 1.0],
            "divided_by": 1.0 if self.bits == 32 else float(2**self.bits - 1),
            "weighted": self.weights is not None,
            "source": self.source,
            "first_of_many": self.first_of_many,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the image, without its values, that `metadata` describes."""
        return cls(
            described(metadata, cls.kind, "shape", list),
            described(metadata, cls.kind, "out_features", int),
            bits=described(metadata, cls.kind, "bits", int),
            source=described(metadata, cls.kind, "source", str),
            first_of_many=described(metadata, cls.kind, "first_of_many", bool),
        )

    def to_array(self, values: Tensor | None = None, shape: Sequence[int] | None = None) -> NDArray[Any]:
        """Return the picture of `values` `[H W, C]` (by default the image's own) with `shape` (H, W).

        Returns:
            uint8 `[H, W]` or `[H, W, 3]`; uint16 `[H, W]` for gray sources of more than 8 bits. Values are
            clipped to [0, 1]; NaN becomes 0. Colour has 8 bits whatever the source, as Pillow's PNG writer.
        """
        values = self.values if values is None else values
        picture = self._checked_rendering(values, self.shape if shape is None else shape).numpy()
        if self.out_features == 3:
            return quantised(picture, 8)
        return quantised(picture[:, :, 0], 8 if self.bits == 8 else 16)

    def rendering(self, shape: Sequence[int]) -> Rendering:
        """Return what gathers a rendering of `shape` (H, W): its samples alone, for an image without data."""
        if self.held:
            return super().rendering(shape)
        return ImageRendering(self, self.grid_of(shape).shape)

    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write the picture of `values` `[H W, C]` with `shape` (H, W) as PNG, JPEG or TIFF, by the suffix.

        Samples are those of `to_array`; the file is complete or absent, never partial.

        Raises:
            InputError: another suffix, shapes that do not agree, or a place that cannot be written.
            RunError: the disk is full or failed.
        """
        write_picture(self.to_array(values, shape), path)


def _as_numpy(array: ArrayLike | Tensor) -> NDArray[Any]:
    """Return `array` as a NumPy array on the CPU."""
    if isinstance(array, Tensor):
        array = array.detach().cpu()
        return array.float().numpy() if array.dtype == torch.bfloat16 else array.numpy()
    return np.asarray(array)
