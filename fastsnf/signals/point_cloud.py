"""Points as signals: places of any dimension, each with values, on no grid."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_write
from fastsnf.signals.cloud_box import MAX_AXES, frame_of
from fastsnf.signals.described import Bounds, described, described_bounds
from fastsnf.signals.frame import Frame
from fastsnf.signals.grid import Grid, checked_shape
from fastsnf.signals.read_points import read_points
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.signal import DIGEST_POINTS, Signal


class PointCloud(Signal):
    """N points of D coordinates with C values each, of any range.

    The field's coordinates are those of SIREN's point clouds: the mean is taken off, and one scale for all
    axes brings the least and the greatest number to -1 and 1. A rendering is a grid over the box of the
    points. Use `open` or `from_arrays`.

    Args:
        shape: (N,).
        out_features: C.
        frame: the user's points and the coordinates.
        bounds: (low, high) of the coordinates along each axis.
        coordinates: float32 `[N, D]`; None when only described.
        values: float32 `[N, C]`; None when only described.
        weights: float32 `[N]`, or None.
        source: where they come from, for the metadata.
    """

    kind: ClassVar[str] = "points"
    default_name: ClassVar[str] = "reconstruction.npz"
    sized_by: ClassVar[tuple[str, ...]] = ("resolution",)

    def __init__(
        self,
        shape: Sequence[int],
        out_features: int,
        *,
        frame: Frame,
        bounds: Bounds,
        coordinates: Tensor | None = None,
        values: Tensor | None = None,
        weights: Tensor | None = None,
        source: str = "array",
    ) -> None:
        if len(checked_shape(shape)) != 1:
            raise InputError(f"expected the shape (N,) for points; got {tuple(shape)}")
        super().__init__(shape, out_features, values, weights)
        axes = len(frame.scale)
        if not 1 <= axes <= MAX_AXES or len(bounds) != axes or not all(low <= high for low, high in bounds):
            raise InputError(
                f"expected the bounds of 1 to {MAX_AXES} axes; got {bounds!r} for a frame of {axes}"
            )
        if coordinates is not None and coordinates.shape != (self.size, axes):
            raise InputError(
                f"expected coordinates of shape {[self.size, axes]}; got {list(coordinates.shape)}"
            )
        self.frame, self.bounds, self.source = frame, bounds, source
        self._coordinates = coordinates

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, values: str | None = None) -> Self:
        """Read an ``.npz`` or ``.ply`` file; see `fastsnf.signals.read_points.read_points`.

        Raises:
            InputError: the file is missing, damaged or of another kind, or has no such values; points that
                are not finite, or all the same.
        """
        cloud = read_points(path, values)
        return cls._from_arrays(cloud.points, cloud.values, None, cloud.source)

    @classmethod
    def from_arrays(
        cls,
        points: ArrayLike | Tensor,
        values: ArrayLike | Tensor,
        weights: ArrayLike | Tensor | None = None,
    ) -> Self:
        """Return the signal of `points` `[N, D]`, `values` `[N, C]` or `[N]`, and `weights` `[N]` or None.

        Raises:
            InputError: other shapes, or points that are not finite, or all the same.
        """
        places, found = (_as_double(array, what) for array, what in ((points, "points"), (values, "values")))
        weighed = None if weights is None else torch.as_tensor(_as_double(weights, "weights")).float()
        return cls._from_arrays(places, found[:, None] if found.ndim == 1 else found, weighed, "array")

    @classmethod
    def _from_arrays(
        cls, points: np.ndarray[Any, Any], values: np.ndarray[Any, Any], weights: Tensor | None, source: str
    ) -> Self:
        if points.ndim != 2 or values.ndim != 2 or len(points) != len(values) or 0 in points.shape:
            raise InputError(
                f"expected points [N, D] and values [N, C]; got {list(points.shape)} and {list(values.shape)}"
            )
        frame = frame_of(points)
        coordinates = frame.to_coordinates(torch.from_numpy(np.require(points, requirements="W"))).float()
        ends = zip(coordinates.amin(dim=0).tolist(), coordinates.amax(dim=0).tolist(), strict=True)
        with np.errstate(over="ignore"):  # what float32 does not hold becomes infinite, which `check` refuses
            found = torch.from_numpy(values.astype(np.float32))
        return cls(
            (len(points),),
            values.shape[1],
            frame=frame,
            bounds=tuple(ends),
            coordinates=coordinates,
            values=found,
            weights=weights,
            source=source,
        )

    @property
    def in_features(self) -> int:
        """The number of coordinates of a point, D."""
        return len(self.frame.scale)

    @property
    def coords(self) -> Tensor:  # type: ignore[override]  # a cached property of the base
        """The coordinates, float32 `[N, D]`; raises `InputError` for points that are only described."""
        if self._coordinates is None:
            raise InputError(
                f"expected {self.kind} with their data; got some that were described by a checkpoint; open "
                "the file"
            )
        return self._coordinates

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return (x `[B, D]`, y `[B, C]`, w `[B]` or None) of the points `index`."""
        w = self.weights
        if isinstance(index, slice):
            return self.coords[index], self.targets(index), None if w is None else w[index]
        x = torch.index_select(self.coords, 0, index)
        return x, self.targets(index), None if w is None else torch.index_select(w, 0, index)

    def digest(self) -> str:
        """Return a SHA-256 of coordinates, values and weights, of at most `DIGEST_POINTS` points."""
        hasher = hashlib.sha256(json.dumps([super().digest(), self.kind]).encode())
        hasher.update(self.coords[:: -(-self.size // DIGEST_POINTS)].contiguous().numpy().tobytes())
        return hasher.hexdigest()

    def grid_of(self, shape: Sequence[int]) -> Grid:
        """Return the grid with `shape` points over the box of the points."""
        if len(checked_shape(shape)) != self.in_features:
            raise InputError(
                f"expected a shape of {self.in_features} axes for a grid of {self.kind}; got {tuple(shape)}; "
                "choose a resolution"
            )
        return Grid(tuple(shape), self.bounds)

    def shape_of(self, resolution: int) -> tuple[int, ...]:
        """Return the shape of a grid with `resolution` points along the longest side of the box."""
        sides = [high - low for low, high in self.bounds]
        return tuple(max(1, round(resolution * side / (max(sides) or 1.0))) for side in sides)

    def coordinates_of(self, shape: Sequence[int], index: Tensor | slice) -> Tensor:
        """Return the coordinates of points `index` of a rendering: those of the cloud, or of a grid."""
        return self.coords[index] if self._is_cloud(shape) else super().coordinates_of(shape, index)

    def rendering(self, shape: Sequence[int]) -> Rendering:
        """Return what gathers the values at the points themselves, for `shape` (N,), or on a grid."""
        return Rendering(self, self.shape if self._is_cloud(shape) else self.grid_of(shape).shape)

    def to_coordinates(self, points: ArrayLike | Tensor) -> Tensor:
        """Return the coordinates of `points` `[..., D]` in the user's units."""
        return self.frame.to_coordinates(self._checked_points(points)).float()

    def metadata(self) -> dict[str, Any]:
        """Return a JSON-able description: what `Signal.metadata` has, the frame and the box."""
        return {
            **super().metadata(),
            "coordinates": "(point - centre) * scale",
            "axes": self.in_features,
            "frame": self.frame.metadata(),
            "bounds": [list(ends) for ends in self.bounds],
            "weighted": self.weights is not None,
            "source": self.source,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the signal, without its points, that `metadata` describes."""
        return cls(**cls._described(metadata))

    @classmethod
    def _described(cls, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the constructor in `metadata`."""
        axes = described(metadata, cls.kind, "axes", int)
        if not 1 <= axes <= MAX_AXES:
            raise InputError(f"expected 1 to {MAX_AXES} axes in the metadata of {cls.kind}; got {axes}")
        return {
            "shape": described(metadata, cls.kind, "shape", list),
            "out_features": described(metadata, cls.kind, "out_features", int),
            "frame": Frame.from_metadata(metadata.get("frame"), axes),
            "bounds": described_bounds(metadata, cls.kind, axes),
            "source": described(metadata, cls.kind, "source", str),
        }

    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write an ``.npz``: ``points`` and ``values`` of the cloud, or ``values`` `[*shape, C]` of a grid.

        Points are in the user's units; those along each axis of a grid are ``axis0``, ``axis1``, ...

        Raises:
            InputError: another suffix, shapes that do not agree, or a place that cannot be written.
            RunError: the disk is full or failed.
        """
        path = Path(path)
        if path.suffix.lower() != ".npz":
            raise InputError(f"expected a file ending in .npz for points; got {str(path)!r}; name it so")
        if self._is_cloud(shape):
            if values.shape != (self.size, self.out_features):
                expected = [self.size, self.out_features]
                raise InputError(f"expected rendered values of shape {expected}; got {list(values.shape)}")
            arrays = {"points": self.frame.to_units(self.coords.double()), "values": values.detach().cpu()}
        else:
            arrays = {f"axis{axis}": ends for axis, ends in enumerate(self._axes_in_units(shape))}
            arrays["values"] = self._checked_rendering(values, shape)
        with atomic_write(path) as file:
            np.savez(file, **{name: array.numpy() for name, array in arrays.items()})  # type: ignore[arg-type]

    def _is_cloud(self, shape: Sequence[int]) -> bool:
        return self._coordinates is not None and tuple(shape) == self.shape

    def _axes_in_units(self, shape: Sequence[int]) -> list[Tensor]:
        """Return the user's places along each axis of a grid, float64."""
        scales = zip(self.grid_of(shape).axes(), self.frame.scale, self.frame.centre, strict=True)
        return [centre + axis.double() / scale for axis, scale, centre in scales]


def _as_double(array: ArrayLike | Tensor, what: str) -> np.ndarray[Any, Any]:
    """Return an array of real numbers in float64."""
    try:
        found = array.detach().cpu().double().numpy() if isinstance(array, Tensor) else np.asarray(array)
        if found.dtype.kind not in "biuf":
            raise TypeError(f"{found.dtype}")
    except (TypeError, ValueError, RuntimeError) as cause:
        raise InputError(f"expected {what} as an array of real numbers; got {cause}") from cause
    return found.astype(np.float64)
