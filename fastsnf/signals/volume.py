"""Volumes: scalars or vectors on a grid of three axes, scaled to [0, 1] by their minimum and maximum."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastsnf.errors import InputError, check_whole
from fastsnf.signals.described import described, described_numbers
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.scaled import Extent, Scaled, measured
from fastsnf.signals.signal import DIGEST_POINTS, Signal
from fastsnf.signals.volume_rendering import VolumeRendering
from fastsnf.signals.write_volume import VOLUMES, write_volume

HELD_VALUES = 1 << 24
"""Volumes of up to this many values are held as float32 (64 MiB); larger ones keep the source's type."""

MAX_CHANNELS = 16
"""Longest last axis of an array of four that is taken for the components of a vector without a word."""


class Volume(Signal):
    """A grid of `shape` (X, Y, Z) with C values in [0, 1] at each point: the axes of the array, in order.

    Coordinates are ``linspace(-1, 1)`` with both ends on each axis; one minimum and one maximum, over all
    channels, become 0 and 1 (`to_units` brings them back); points with a NaN have weight 0. Large volumes
    stay as they are, mapped from their file where it allows that, and are scaled batch by batch.
    Use `open` or `from_array`.

    Args:
        shape: (X, Y, Z).
        out_features: C.
        values: float32 `[N, C]`, or None.
        weights: float32 `[N]`, or None.
        extent: the range of the source's numbers.
        scaled: the numbers of a volume whose values are not held.
        spacing: distance of neighbours along each axis in the source's own unit, where it says so.
        dtype: the type of the source's numbers, for the metadata.
        source: the format of the source, for the metadata.
    """

    kind: ClassVar[str] = "volume"
    default_name: ClassVar[str] = "reconstruction.npz"
    unit: ClassVar[tuple[str, ...]] = ("axis 0 [voxel]", "axis 1 [voxel]", "axis 2 [voxel]")
    sized_by: ClassVar[tuple[str, ...]] = ("resolution", "scale")
    writes: ClassVar[tuple[str, ...]] = VOLUMES

    def __init__(
        self,
        shape: Sequence[int],
        out_features: int,
        values: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        extent: Extent,
        scaled: Scaled | None = None,
        spacing: Sequence[float] | None = None,
        dtype: str = "float32",
        source: str = "array",
    ) -> None:
        super().__init__(shape, out_features, values, weights)
        if self.in_features != 3:
            raise InputError(f"expected a volume of three axes; got shape {self.shape}")
        if not (math.isfinite(extent.low) and math.isfinite(extent.high) and extent.low <= extent.high):
            raise InputError(f"expected a finite range, the least number first; got {extent}")
        steps = None if spacing is None else tuple(float(step) for step in spacing)
        if steps is not None and not (len(steps) == 3 and all(0 < step < math.inf for step in steps)):
            raise InputError(f"expected the spacing of three axes, finite and above 0; got {spacing!r}")
        self.extent, self.spacing, self.dtype, self.source = extent, steps, dtype, source
        self._scaled = scaled

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, key: str | None = None, channels: int | None = None
    ) -> Self:
        """Read the volume in a file of npy, npz, MATLAB 5 or 7.3, HDF5, zarr or NRRD; see `read_array`.

        Args:
            path: the file, or the folder of a zarr store; its content decides the format.
            key: the name of the array in it, by default the only one of three axes or more.
            channels: C, where the last axis of four is the components of a vector; see `from_array`.

        Raises:
            InputError: a file that is missing, damaged or of another kind, or an array of another shape.
            RunError: no room in the temporary folder for what has to be decompressed.
        """
        from fastsnf.signals.arrays import read_array

        with read_array(path, key) as array:
            count = _channels(array.shape, channels, repr(os.fsdecode(path)))
            numbers = array.whole().reshape(*array.shape[:3], count)
            spacing = array.spacing if array.spacing is not None and len(array.spacing) == 3 else None
            return cls._of_numbers(numbers, spacing, array.source)

    @classmethod
    def from_array(
        cls,
        array: ArrayLike | Tensor,
        *,
        channels: int | None = None,
        spacing: Sequence[float] | None = None,
    ) -> Self:
        """Return the volume in an array; a large one is not copied.

        Args:
            array: `[X, Y, Z]` or `[X, Y, Z, C]` of bool, integers or floats; NaN marks holes.
            channels: C, which the last axis of four has to be; needed where that is longer than 16, or where
                the first axis could be meant as well.
            spacing: distance of neighbours along each axis, in any unit.

        Raises:
            InputError: another shape or type, infinite numbers, or nothing but NaN.
        """
        if isinstance(array, Tensor):
            array = array.detach().cpu()
            array = array.float().numpy() if array.dtype == torch.bfloat16 else array.numpy()
        numbers = np.asarray(array)
        if numbers.dtype.kind not in "biuf" or numbers.dtype.itemsize > 8:
            raise InputError(
                f"expected real numbers of up to 8 bytes; got {numbers.dtype}; convert them first"
            )
        count = _channels(numbers.shape, channels, "the array")
        return cls._of_numbers(numbers.reshape(*numbers.shape[:3], count), spacing, "array")

    @classmethod
    def _of_numbers(cls, numbers: NDArray[Any], spacing: Sequence[float] | None, source: str) -> Self:
        """Return the volume of `numbers` `[X, Y, Z, C]`."""
        shape, channels = numbers.shape[:3], numbers.shape[3]
        extent, holes = measured(numbers)
        weights = None if holes is None else torch.from_numpy(~holes.reshape(-1)).float()
        scaled = Scaled(numbers, extent)
        held = numbers.size <= HELD_VALUES
        return cls(
            shape,
            channels,
            scaled.whole() if held else None,
            weights,
            extent=extent,
            scaled=None if held else scaled,
            spacing=spacing,
            dtype=str(numbers.dtype.newbyteorder("=")),
            source=source,
        )

    @property
    def values(self) -> Tensor:
        """The values, float32 `[N, C]`, of a volume that is `held`; raises `InputError` for others."""
        if self._scaled is not None:
            raise InputError(
                f"expected a volume of at most {HELD_VALUES:,} values to be held; got {self.size:,} points "
                f"of {self.out_features}: ask `targets` for some of them"
            )
        return super().values

    def targets(self, index: Tensor | slice) -> Tensor:
        """Return the values, float32 `[B, C]`, of the points `index` (integers `[B]` or a slice)."""
        return super().targets(index) if self._scaled is None else self._scaled.at(index)

    def check(self, mask: Tensor | None = None) -> None:
        """Raise `InputError` for a volume without data; its numbers were found finite or given weight 0."""
        if self._scaled is None:
            super().check(mask)

    def digest(self) -> str:
        """Return a SHA-256 of shape, range, values and weights, of at most `DIGEST_POINTS` points."""
        every = slice(0, self.size, -(-self.size // DIGEST_POINTS))
        facts = [self.kind, list(self.shape), self.extent.low, self.extent.high, self.weights is not None]
        hasher = hashlib.sha256(json.dumps(facts).encode())
        hasher.update(self.targets(every).contiguous().numpy().tobytes())
        if self.weights is not None:
            hasher.update(self.weights[every].contiguous().numpy().tobytes())
        return hasher.hexdigest()

    def to_units(self, values: Tensor) -> Tensor:
        """Return `values` `[..., C]` of the field as numbers of the source: 0 and 1 are its extremes."""
        return self.extent.to_units(values)

    def rendering(self, shape: Sequence[int]) -> Rendering:
        """Return what gathers a rendering with `shape` points; a large one lies in a temporary file."""
        shape = self.grid_of(shape).shape
        large = math.prod(shape) * self.out_features > HELD_VALUES
        return VolumeRendering(self, shape) if large else super().rendering(shape)

    def metadata(self) -> dict[str, Any]:
        """Return a JSON-able description: what `Signal.metadata` has, range, spacing and source."""
        return {
            **super().metadata(),
            "axes": ["axis 0", "axis 1", "axis 2"],
            "range": [self.extent.low, self.extent.high],
            "spacing": None if self.spacing is None else list(self.spacing),
            "dtype": self.dtype,
            "weighted": self.weights is not None,
            "source": self.source,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the volume, without its values, that `metadata` describes."""
        low, high = described_numbers(metadata, cls.kind, "range", 2)
        spaced = metadata.get("spacing") is not None
        return cls(
            described(metadata, cls.kind, "shape", list),
            described(metadata, cls.kind, "out_features", int),
            extent=Extent(low, high),
            spacing=described_numbers(metadata, cls.kind, "spacing", 3) if spaced else None,
            dtype=described(metadata, cls.kind, "dtype", str),
            source=described(metadata, cls.kind, "source", str),
        )

    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write `values` `[N, C]` of a rendering with `shape` points, in the source's units.

        float32 ``[X, Y, Z]``, or ``[X, Y, Z, C]`` of more channels, as npz (``values``, and ``spacing`` where
        it is known), npy, zarr or NRRD, by the suffix; complete or absent, never partial.

        Raises:
            InputError: another suffix, shapes that do not agree, or a place that cannot be written.
            RunError: the disk is full or failed.
        """
        numbers = self.to_units(self._checked_rendering(values, shape)).numpy()
        write_volume(numbers, path, spacing=self.spacing_of(shape))

    def spacing_of(self, shape: Sequence[int]) -> tuple[float, ...] | None:
        """Return the spacing of a rendering with `shape` points over the same box, None if unknown."""
        if self.spacing is None:
            return None
        sides = zip(self.spacing, self.shape, shape, strict=True)
        return tuple(step * max(1, size - 1) / max(1, points - 1) for step, size, points in sides)


def _channels(shape: tuple[int, ...], channels: int | None, what: str) -> int:
    """Return C of an array of `shape`, called `what` in errors."""
    if channels is not None:
        check_whole("channels", channels, 1)
    advice = {
        1: "one axis is a sound: write it as WAV",
        2: "a plane is a picture: fastsnf.signals.Image.from_array takes it",
    }
    if 0 in shape or len(shape) not in (3, 4):
        raise InputError(
            f"expected a volume [X, Y, Z] or [X, Y, Z, C] with at least one point; got shape {list(shape)} "
            f"in {what}; {advice.get(len(shape), 'choose the part to fit and save that')}"
        )
    if len(shape) == 3:
        if channels not in (None, 1):
            raise InputError(
                f"expected four axes for {channels} channels; got shape {list(shape)} in {what}: leave it out"
            )
        return 1
    if channels is None and (shape[3] > MAX_CHANNELS or shape[0] <= MAX_CHANNELS < min(shape[1:3])):
        raise InputError(
            f"expected the channels of a volume in its last axis, {MAX_CHANNELS} at most; got shape "
            f"{list(shape)} in {what}, which may be meant otherwise: say channels={shape[3]}, or move "
            "the axis"
        )
    if channels not in (None, shape[3]):
        raise InputError(f"expected {channels} channels in the last axis; got shape {list(shape)} in {what}")
    return shape[3]
