"""Occupancy: which points of a box lie in a solid; from meshes, grids and functions, at one bit a voxel."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fastsnf.errors import InputError, unknown
from fastsnf.signals.bit_rendering import WRITES, BitRendering
from fastsnf.signals.bits import BitGrid, checked_voxels
from fastsnf.signals.described import described, described_bounds, is_number
from fastsnf.signals.frame import Frame
from fastsnf.signals.grid import Grid
from fastsnf.signals.kinds import MESHES
from fastsnf.signals.progress import Progress
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.signal import Signal
from fastsnf.signals.solid import asked, open_grid, take_grid

AXES = {"ij": (0, 1, 2), "xy": (1, 0, 2)}
"""The axis of each coordinate: in order, or as NumPy's meshgrid has them by default, and WIRE's code."""

SHOWN = 1 << 24
"""Up to this many values are given out at once by `Occupancy.values` (64 MiB)."""


class Occupancy(Signal):
    """A grid of voxels that are occupied (1) or empty (0), held at one bit each, as a rule in a mapped file.

    Nothing else of the size of the grid is held: `targets` and `batch` make values and coordinates of the
    points that they are asked for. Use `open`, `from_mesh`, `from_grid` or `from_function`.

    Args:
        bits: the voxels; None when only described.
        grid: their places.
        frame: the user's units: those of the mesh, or voxels counted from 0, the default.
        source: where the voxels came from, for the metadata.
        threshold: the value above which a voxel of the source was occupied; None where it had two values.
        facts: what else is known of the source, JSON-able, for the metadata: of a mesh whether it is closed.
    """

    kind: ClassVar[str] = "occupancy"
    default_name: ClassVar[str] = "reconstruction.ply"
    metrics: ClassVar[tuple[str, ...]] = ("iou",)
    unit: ClassVar[tuple[str, ...]] = ("x", "y", "z")
    sized_by: ClassVar[tuple[str, ...]] = ("resolution", "scale")
    writes: ClassVar[tuple[str, ...]] = WRITES

    def __init__(
        self,
        bits: BitGrid | None,
        grid: Grid,
        *,
        frame: Frame | None = None,
        source: str = "grid",
        threshold: float | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(grid.shape, 1, grid=grid)
        if self.in_features != 3 or (bits is not None and bits.shape != self.shape):
            got = grid.shape if bits is None else bits.shape
            raise InputError(
                f"expected a grid of three axes and bits of its shape; got {grid.shape} and {got}"
            )
        checked_voxels(self.shape)
        self.bits, self.source, self.threshold = bits, source, threshold
        self.frame = Frame.of_voxels(grid) if frame is None else frame
        self.facts = dict(facts or {})
        if len(self.frame.scale) != 3:
            raise InputError(f"expected a frame of three axes; got {self.frame}")

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        resolution: int | None = None,
        key: str | None = None,
        threshold: float | None = None,
        crop: str | None = None,
        axes: str = "ij",
        cache: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Read the solid in a mesh (OBJ, PLY, STL, OFF, GLB) or the grid in a file of an array.

        The bits are built once, into a file of the cache folder that is mapped, here and whenever the same
        file is opened with the same options again.

        Args:
            path: the file; the suffix says whether it is a mesh.
            resolution: of a mesh: voxels along its longest axis, by default 256; see `from_mesh`.
            key: of an array: its name in the file, where that holds several.
            threshold: of an array: see `from_grid`.
            crop: of an array: see `from_grid`.
            axes: see `from_grid`.
            cache: the folder for the bits; by default `fastsnf.signals.cache.cache_folder`.
            progress: called with (voxels done, all of them) while the bits are built.

        Raises:
            InputError: a file that is missing, damaged, or no solid; or an option that does not fit it.
            RunError: a full disk, or the process that computes winding numbers died.
        """
        path, columns = Path(os.fsdecode(path)), _columns(axes)
        if path.suffix.lower() in MESHES:
            for name, value in (("key", key), ("threshold", threshold), ("crop", crop)):
                if value is not None:
                    raise InputError(
                        f"expected {name} only for a grid; got {value!r} for a mesh: leave it out"
                    )
            from fastsnf.signals.mesh.open import open_mesh

            bits, placed, notes = open_mesh(path, 256 if resolution is None else resolution, cache, progress)
            return cls._of_mesh(bits, placed.grid(columns), placed.frame, notes)
        if resolution is not None:
            raise InputError(
                f"expected a resolution only for a mesh; got {resolution!r} for the grid {str(path)!r}, "
                "which is fitted as it is: leave it out"
            )
        opened = open_grid(path, key, threshold, crop, cache, progress)
        return cls._cropped(opened.bits, opened.facts, axes, opened.source, threshold)

    @classmethod
    def from_mesh(
        cls,
        vertices: ArrayLike,
        faces: ArrayLike,
        *,
        resolution: int = 256,
        axes: str = "ij",
        progress: Progress | None = None,
    ) -> Self:
        """Return the solid inside a mesh: where its winding number is 1/2 or more, or -1/2 or less.

        The mesh keeps its aspect: one scale for all axes makes its longest side span [-0.95, 0.95], its box
        centred at 0. The grid has `resolution` points along that axis from -1 to 1, both ends included, and
        along the others as many, at the same distance, as leave the same margin. A point of the grid is a
        sample, not a cell.

        Args:
            vertices: `[V, 3]`, finite.
            faces: the numbers of their vertices, `[F, 3]`.
            resolution: points along the longest axis, 8 or more.
            axes: see `from_grid`.
            progress: called with (voxels done, all of them).

        Raises:
            InputError: no mesh, or one that encloses nothing (flat, of no area), or no library to read it.
            RunError: the process that computes winding numbers died.
        """
        from fastsnf.signals.mesh.open import voxelised

        columns = _columns(axes)
        bits, placed, notes = voxelised(vertices, faces, resolution, progress)
        return cls._of_mesh(bits, placed.grid(columns), placed.frame, notes)

    @classmethod
    def _of_mesh(cls, bits: BitGrid, grid: Grid, frame: Frame, notes: Mapping[str, Any]) -> Self:
        source = f"{notes.get('format', '')} mesh".strip()
        return cls(bits, grid, frame=frame, source=source, facts=dict(notes))

    @classmethod
    def from_grid(
        cls,
        array: ArrayLike | Tensor | BitGrid,
        *,
        threshold: float | None = None,
        crop: str | None = None,
        axes: str = "ij",
    ) -> Self:
        """Return the solid in an array of three axes; its user counts voxels from 0 along each.

        Args:
            array: `[I, J, K]` of two values, of which the larger is occupied, or of any with a `threshold`.
            threshold: voxels strictly above it are occupied; needed for more than two values.
            crop: ``"tight"`` keeps the box of the occupied voxels, ``"wire"`` that of WIRE's code, which
                loses the last slice along each axis. The box is stretched to [-1, 1] along each axis; the
                user still counts voxels of the whole array.
            axes: ``"ij"`` for coordinates in the order of the axes, ``"xy"`` for WIRE's, the first two
                swapped.

        Raises:
            InputError: another shape or type, NaN, values that are no occupancy, or nothing that is left.
        """
        if isinstance(array, BitGrid):
            if threshold is not None or crop is not None:
                raise InputError("expected no threshold and no crop of bits; got some: leave them out")
            return cls(array, Grid(array.shape, columns=_columns(axes)), source="grid")
        if isinstance(array, Tensor):
            array = array.detach().cpu().float() if array.dtype == torch.bfloat16 else array.detach().cpu()
        taken = take_grid(np.asarray(array), threshold, crop)
        return cls._cropped(taken.bits, taken.facts, axes, taken.source, threshold)

    @classmethod
    def _cropped(
        cls, bits: BitGrid, facts: Mapping[str, Any], axes: str, source: str, threshold: float | None
    ) -> Self:
        grid = Grid(bits.shape, columns=_columns(axes))
        frame = Frame.of_voxels(grid, facts["origin"])
        return cls(bits, grid, frame=frame, source=source, threshold=threshold, facts=facts)

    @classmethod
    def from_function(
        cls,
        function: Callable[[Tensor], Tensor],
        shape: Sequence[int],
        bounds: Sequence[tuple[float, float]] | None = None,
        *,
        axes: str = "ij",
        path: str | os.PathLike[str] | None = None,
        cache: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Return the solid that a function describes, on a grid; its user's units are the coordinates.

        Args:
            function: takes coordinates, float32 `[B, 3]` in the order of the columns of the grid, and returns
                whether each lies in the solid, bool or anything but 0, `[B]` or `[B, 1]`. It is called for
                about 500,000 points at once, in order.
            shape: points along each axis.
            bounds: (low, high) of each axis, both ends included; by default [-1, 1].
            axes: see `from_grid`.
            path: a bit file to keep the voxels in, or to take them from if it is of this shape and bounds:
                the caller answers for its being of the same function. By default they are kept in memory up
                to 2^27 voxels, and else in a file without a name.
            cache: the folder of the file without a name.
            progress: called with (voxels done, all of them).

        Raises:
            InputError: another shape, or a function that returns something else.
            RunError: the disk is full.
        """
        grid = Grid(checked_voxels(shape), tuple(bounds or ()), _columns(axes))

        bits = asked(function, grid, path, cache, progress)
        return cls(bits, grid, frame=Frame.identity(3), source="function")

    @property
    def remarks(self) -> list[str]:
        """What to know before trusting the solid of a mesh, one line each: open edges, parts turned over."""
        return list(self.facts.get("remarks", []))

    @property
    def voxels(self) -> BitGrid:
        """The bits; raises `InputError` for a signal without data."""
        if self.bits is None:
            raise InputError(
                "expected a signal with its data; got an occupancy that was described by a checkpoint; open "
                "the file"
            )
        return self.bits

    @property
    def values(self) -> Tensor:
        """0 or 1 at all points, float32 `[N, 1]`, made anew; only of grids of up to 2^24 voxels."""
        if self.size > SHOWN:
            raise InputError(
                f"expected a grid of at most {SHOWN} voxels to be unpacked as a whole; got {self.shape}: "
                "read it in parts, with targets(index)"
            )
        return self.targets(slice(None))

    @property
    def held(self) -> bool:
        """False: the values do not lie in memory."""
        return False

    def packed(self) -> Tensor | None:
        """Return the voxels as bits, uint8 `[ceil(N / 8)]`, mapped as they are; None without data."""
        return None if self.bits is None else self.bits.tensor()

    def targets(self, index: Tensor | slice) -> Tensor:
        """Return 0 or 1, float32 `[B, 1]`, of the points `index` (integers `[B]` or a slice)."""
        return self.voxels.at(index)

    def check(self, mask: Tensor | None = None) -> None:
        """Raise `InputError` unless there are voxels, some of them occupied; `mask` does not matter."""
        if not self.voxels.count():
            raise InputError(
                "expected a grid with occupied voxels; got an empty one: there is nothing to fit"
            )

    def digest(self) -> str:
        """Return a SHA-256 of the grid and of all its bits."""
        grid = [list(self.shape), [list(ends) for ends in self._grid.bounds], list(self._grid.columns)]
        return hashlib.sha256(json.dumps([self.kind, grid, self.voxels.sha256()]).encode()).hexdigest()

    def to_coordinates(self, points: ArrayLike | Tensor) -> Tensor:
        """Return the coordinates, float32 `[..., 3]`, of `points` `[..., 3]` in the units of the source.

        Those are the mesh's own, voxels of the whole array counted from 0 for a grid (fractions allowed), and
        the coordinates themselves for a function; always in the order of the axes.
        """
        places = self.frame.to_coordinates(self._checked_points(points))
        return places[..., list(self._grid.columns)].float()

    def rendering(self, shape: Sequence[int]) -> Rendering:
        """Return what gathers the bits of a rendering and writes them, or their surface."""
        return BitRendering(self, self.grid_of(shape).shape)

    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write `values` `[prod(shape), 1]`, occupied where 1/2 or more, as `rendering` does."""
        flat = self._checked_rendering(values, shape).reshape(-1, 1)
        rendering = self.rendering(shape)
        rendering.add(0, flat)
        rendering.write(path)

    def metadata(self) -> dict[str, Any]:
        """Return a JSON-able description: what `Signal.metadata` has, bounds, axes, frame and source."""
        return {
            **super().metadata(),
            "coordinates": "linspace over the bounds with both ends on each axis, last axis fastest",
            "bounds": [list(ends) for ends in self._grid.bounds],
            "columns": list(self._grid.columns),
            "frame": self.frame.metadata(),
            "threshold": self.threshold,
            "source": self.source,
            "facts": self.facts,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the signal, without its bits, that `metadata` describes."""
        kind = cls.kind
        shape = described(metadata, kind, "shape", list)
        columns = described(metadata, kind, "columns", list)
        threshold = metadata.get("threshold")
        if not all(type(column) is int for column in columns) or not (
            threshold is None or is_number(threshold)
        ):
            raise InputError(
                f"expected whole numbers as columns and a number as threshold of {kind}; got {columns!r} and "
                f"{threshold!r}; the file is damaged"
            )
        return cls(
            None,
            Grid(checked_voxels(shape), described_bounds(metadata, kind, 3), tuple(columns)),
            frame=Frame.from_metadata(metadata.get("frame"), 3),
            source=described(metadata, kind, "source", str),
            threshold=threshold,
            facts=described(metadata, kind, "facts", dict),
        )


def _columns(axes: str) -> tuple[int, ...]:
    if axes not in AXES:
        raise unknown("the order of the axes", axes, AXES)
    return AXES[axes]
