"""Super-resolution: a field whose averages over k x k places are the pixels of a small picture.

As in NFSL (Saratchandran et al., CVPR 2024, Sec. 5.2), the problem is ``y = A x``: A averages blocks of k x k
pixels, y is the small picture, and x, the large one, is the output of the field.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fastsnf.errors import InputError, check_whole
from fastsnf.signals.described import described
from fastsnf.signals.grid import Grid
from fastsnf.signals.image import Image
from fastsnf.signals.read_image import MAX_PIXELS
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.signal import Signal
from fastsnf.signals.write_image import ENCODERS

MAX_FACTOR = 64
"""The largest k: a value is then the mean of 4,096 outputs."""


class LargePicture(Image):
    """The picture that a super-resolution is measured on."""

    metrics: ClassVar[tuple[str, ...]] = ("ssim",)


class SuperResolution(Signal):
    """Pixels (h, w) of a small picture, each the mean of k x k pixels of a large one of (k h, k w).

    `batch` gives the coordinates `[B, k k, 2]` of the large picture's pixels and the values `[B, C]` of the
    small one's; `reduce` averages. With the large picture at hand, a fit is measured on it (`evaluation`:
    PSNR, SSIM). Use `open` or `from_image`.

    Args:
        image: the large picture, whose values are None where only the small one is known, or neither.
        factor: k.
        values: the small picture, float32 `[h w, C]`; None when only described.
    """

    kind: ClassVar[str] = "super-resolution"
    default_name: ClassVar[str] = "reconstruction.png"
    sized_by: ClassVar[tuple[str, ...]] = ("size", "scale")
    writes: ClassVar[tuple[str, ...]] = tuple(ENCODERS)
    unit: ClassVar[tuple[str, ...]] = ("row [pixel]", "column [pixel]")

    def __init__(self, image: Image, factor: int, values: Tensor | None = None) -> None:
        check_whole("the factor", factor, 2, MAX_FACTOR)
        height, width = image.shape
        if height % factor or width % factor:
            raise InputError(
                f"expected a picture of a multiple of {factor} pixels each way; got {width}x{height}"
            )
        super().__init__((height // factor, width // factor), image.out_features, values)
        self.image, self.factor, self.samples = image, factor, factor * factor

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        factor: int = 4,
        small: bool = False,
        size: str | tuple[int, int] | None = None,
        squeeze: bool = False,
        mode: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Self:
        """Read a PNG, JPEG or TIFF file and average blocks of its pixels.

        Args:
            path: the large picture; its last rows and columns beyond a multiple of `factor` are left out.
            factor: k: the small picture has 1/k of the pixels each way.
            small: the file is the small picture, and there is no large one to measure on.
            size, squeeze, mode, max_pixels: of the picture in the file; see `Image.open`.

        Raises:
            InputError: as `Image.open`; a picture with transparency, or smaller than a block.
        """
        image = Image.open(path, size=size, squeeze=squeeze, mode=mode, max_pixels=max_pixels)
        return cls.from_small(image, factor) if small else cls.from_image(image, factor)

    @classmethod
    def from_image(cls, image: Image, factor: int = 4) -> Self:
        """Return the super-resolution of which `image` is the large picture; see `open`."""
        check_whole("the factor", factor, 2, MAX_FACTOR)
        _check_opaque(image)
        height, width = (side // factor for side in image.shape)
        if not height or not width:
            raise InputError(
                f"expected a picture of at least {factor} pixels each way; got {image.shape[1]}x"
                f"{image.shape[0]}: lower the factor"
            )
        channels = image.out_features
        pixels = image.values.reshape(*image.shape, channels)[: height * factor, : width * factor]
        large = LargePicture(
            tuple(pixels.shape[:2]),
            channels,
            pixels.reshape(-1, channels).contiguous(),
            bits=image.bits,
            source=image.source,
            first_of_many=image.first_of_many,
        )
        blocks = pixels.double().reshape(height, factor, width, factor, channels)
        return cls(large, factor, blocks.mean(dim=(1, 3)).float().reshape(-1, channels))

    @classmethod
    def from_small(cls, image: Image, factor: int = 4) -> Self:
        """Return the super-resolution of which `image` is the small picture: nothing to measure it on."""
        check_whole("the factor", factor, 2, MAX_FACTOR)
        _check_opaque(image)
        shape = tuple(side * factor for side in image.shape)
        large = LargePicture(
            shape,
            image.out_features,
            bits=image.bits,
            source=image.source,
            first_of_many=image.first_of_many,
        )
        return cls(large, factor, image.values)

    @property
    def evaluation(self) -> Signal:
        """The large picture; while it is not known, the small one that there is."""
        return self if self.held and not self.image.held else self.image

    @cached_property
    def coords(self) -> Tensor:
        """The middles of the blocks, float32 `[N, 2]`."""
        return Grid(self.shape, self._bounds()).points()

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return (x `[B, k k, 2]`, y `[B, C]`, None) of the small picture's pixels `index`."""
        numbers = torch.arange(*index.indices(self.size)) if isinstance(index, slice) else index
        rows, columns = torch.unravel_index(numbers, self.shape)
        within = torch.arange(self.factor)
        row_axis, column_axis = Grid(self.image.shape).axes()
        y = row_axis[rows[:, None] * self.factor + within][:, :, None]
        x = column_axis[columns[:, None] * self.factor + within][:, None, :]
        places = torch.stack(torch.broadcast_tensors(y, x), dim=-1)
        return places.reshape(-1, self.samples, 2), self.targets(index), None

    def reduce(self, out: Tensor) -> Tensor:
        """Return the means `[B, C]` of a field's outputs `[B, k k, C]`."""
        return out.mean(dim=-2)

    def grid_of(self, shape: Sequence[int]) -> Grid:
        """Return the grid of a picture with `shape` (H, W)."""
        return self.image.grid_of(shape)

    def rendering(self, shape: Sequence[int]) -> Rendering:
        """Return what gathers a picture with `shape` (H, W)."""
        return Rendering(self, self.grid_of(shape).shape)

    def to_coordinates(self, points: ArrayLike | Tensor) -> Tensor:
        """Return the coordinates of `points` `[..., 2]`: rows and columns of the large picture's pixels."""
        return self.image.to_coordinates(points)

    def metadata(self) -> dict[str, Any]:
        """Return a JSON-able description: what `Signal.metadata` has, the factor and the large picture's."""
        return {**super().metadata(), "factor": self.factor, "image": self.image.metadata()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the super-resolution, without its values, that `metadata` describes."""
        image = LargePicture.from_metadata(described(metadata, cls.kind, "image", dict))
        signal = cls(image, described(metadata, cls.kind, "factor", int))
        stated = described(metadata, cls.kind, "shape", list), metadata.get("out_features")
        if stated != (list(signal.shape), signal.out_features):
            raise InputError(
                f"expected the metadata of {cls.kind} to be of one picture; got {stated} beside "
                f"{image.shape} with {image.out_features}; the file is damaged"
            )
        return signal

    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write the picture of `values` `[H W, C]` with `shape` (H, W); see `Image.write`."""
        self.image.write(values, shape, path)

    def _bounds(self) -> tuple[tuple[float, float], ...]:
        """Return the middles of the first and the last block of each axis."""
        ends = []
        for side in self.image.shape:
            middle = (self.factor - 1) / max(1, side - 1)
            ends.append((-1.0 + middle, 1.0 - middle))
        return tuple(ends)


def _check_opaque(image: Image) -> None:
    """Raise unless every pixel of a picture counts alike: an average of holes is none of the picture."""
    if image.weights is not None:
        raise InputError(
            "expected a picture without transparency for super-resolution; got one with: paint it on a ground"
        )
