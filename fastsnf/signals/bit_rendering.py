"""`BitRendering`: which points of a grid a field holds for inside, at one bit each."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.bit_file import unnamed
from fastsnf.signals.bits import BitGrid, octets_of
from fastsnf.signals.cache import cache_folder
from fastsnf.signals.frame import Frame
from fastsnf.signals.grid import Grid
from fastsnf.signals.optional import require
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.signal import Signal
from fastsnf.signals.surface import Crossing, surface_of
from fastsnf.signals.write_grid import GRIDS, write_grid
from fastsnf.signals.write_mesh import MESHES, write_mesh

WRITES = (*MESHES, *GRIDS)
"""Suffixes of what a grid of bits is written to."""

IN_MEMORY = 1 << 30
"""Points up to which the bits of a rendering lie in memory (128 MiB), and not in a mapped file."""

SURFACE_BYTES = {".ply": 200, ".glb": 250, ".stl": 200, ".obj": 200}
"""Bytes a face while a surface is made and written, by the suffix."""
SURFACE_FACES = 6
"""Faces for each point of a side of a cube, (points of the grid)^(2/3): more than most solids have."""

ROWS_BYTES = 1 << 28
"""Bytes at most while a grid is written, on top of its bits."""


@dataclass(frozen=True)
class Skipped:
    """The points that a coarse-to-fine evaluation filled in without the field.

    Attributes:
        points: how many of the grid.
        looked_at: how many of them the field was asked for afterwards, chosen at random from a fixed seed.
        missed: on how many of those it disagreed.
    """

    points: int
    looked_at: int
    missed: int

    @property
    def miss_rate(self) -> float:
        """The share of the points looked at that were wrong; 0 where there were none to look at."""
        return self.missed / max(1, self.looked_at)


class BitRendering(Rendering):
    """The points of a grid of three axes where a field's one value says inside, one bit each.

    Args:
        signal: whose rendering it is; one with a `fastsnf.signals.frame.Frame` as ``frame`` has its meshes in
            the user's units.
        shape: points along each of its axes.
        threshold: inside are the points whose value is at least that.
        below: inside are those whose value is at most that, as with signed distances.

    Attributes:
        threshold, below: as given.
        crossing: where the surface lies between two points, as `surface_of` asks for it; half-way where it is
            None.
        skipped: what a coarse-to-fine evaluation left out; None where the field was asked everywhere.
    """

    def __init__(
        self, signal: Signal, shape: Sequence[int], threshold: float = 0.5, *, below: bool = False
    ) -> None:
        super().__init__(signal, shape)
        if len(self.shape) != 3 or signal.out_features != 1:
            raise InputError(
                f"expected one value at the points of a grid of three axes; got {signal.out_features} at "
                f"{self.shape}"
            )
        self.threshold, self.below = threshold, below
        self.skipped: Skipped | None = None
        self.crossing: Crossing | None = None
        self._bits: BitGrid | None = None
        self._end = 0

    @classmethod
    def bytes_of(cls, signal: Signal, shape: Sequence[int]) -> int:
        """Return the bytes that a rendering takes, the making of a mesh of usual size included."""
        points = math.prod(shape)
        return octets_of(points) + int(SURFACE_BYTES[".ply"] * SURFACE_FACES * points ** (2 / 3))

    def needs(self, path: str | os.PathLike[str]) -> int:
        """Return the bytes that making it and writing it to `path` take: a mesh more than the bits."""
        face = SURFACE_BYTES.get(Path(path).suffix.lower())
        more = ROWS_BYTES if face is None else int(face * SURFACE_FACES * self.size ** (2 / 3))
        return octets_of(self.size) + more

    def check(self, path: str | os.PathLike[str]) -> None:
        """Raise `InputError`, before the work is done, for a file that could not be written after it."""
        super().check(path)
        suffix = Path(path).suffix.lower()
        if suffix in MESHES:
            require("skimage.measure", "mesh", "surfaces of solids")
            require("trimesh", "mesh", "mesh files")
        elif suffix == ".zarr":
            require("zarr", "arrays", "zarr files")

    @property
    def bits(self) -> BitGrid:
        """The points inside; all points after the last chunk are outside.

        More than `IN_MEMORY` of them lie in a file of the cache folder that has no name.
        """
        if self._bits is None:
            held = self.size <= IN_MEMORY
            self._bits = BitGrid.zeros(self.shape) if held else unnamed(cache_folder(), self.shape)
        return self._bits

    def add(self, start: int, values: Tensor) -> None:
        """Take the values `[B, 1]` of the points from number `start` on; chunks come in order, gapless."""
        self.add_bools(start, self.inside(values))

    def inside(self, values: Tensor) -> NDArray[np.bool_]:
        """Return whether the points of values `[B, 1]` are inside, `[B]`; those of NaN are not."""
        inside = values <= self.threshold if self.below else values >= self.threshold
        found: NDArray[np.bool_] = inside.reshape(-1).cpu().numpy()
        return found

    def add_bools(self, start: int, inside: NDArray[np.bool_]) -> None:
        """Take whether the points from number `start` on are inside, `[B]`, as `add`."""
        self._check(start, start + len(inside))
        left = start % 8  # bits of the last octet that are there already
        if left:
            octet = np.unpackbits(self.bits.octets[start // 8 : start // 8 + 1], bitorder="little")
            inside = np.concatenate([octet[:left].view(np.bool_), inside])
        octets = np.packbits(inside, bitorder="little")
        self.bits.octets[start // 8 : start // 8 + len(octets)] = octets

    def add_bits(self, start: int, octets: Tensor | NDArray[np.uint8]) -> None:
        """Take the points from number `start`, a multiple of 8, on as bits, uint8 `[ceil(B / 8)]`, as `add`.

        The first point is in the lowest bit. Bits after the last point of the grid do not matter.
        """
        if start % 8 or start + 8 * len(octets) >= self.size + 8:
            raise InputError(
                f"expected bits of the {self.size} points from a multiple of 8 on; got {len(octets)} octets "
                f"from {start} on"
            )
        stop = min(start + 8 * len(octets), self.size)
        self._check(start, stop)
        packed = octets.cpu().numpy() if isinstance(octets, Tensor) else octets
        self.bits.octets[start // 8 : start // 8 + len(packed)] = packed
        if stop == self.size and self.size % 8:
            self.bits.octets[-1] &= (1 << (self.size % 8)) - 1

    def _check(self, start: int, stop: int) -> None:
        # An earlier start is a chunk that is taken again after memory ran out.
        if not 0 <= start <= self._end or not start <= stop <= self.size:
            raise InputError(
                f"expected the points from {self._end} on, of {self.size}; got {start} to {stop}: "
                "give the chunks in order"
            )
        self._end = stop

    def surface(
        self, progress: Callable[[int, int], None] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Return the surface: vertices `[V, 3]` in the user's units, a column an axis, and faces `[F, 3]`.

        Raises:
            InputError: for a field that is nowhere inside; scikit-image is missing.
        """
        grid = self.signal.grid_of(self.shape)
        # The user's units go axis by axis, whatever the order of the field's coordinates.
        vertices, faces = surface_of(
            self.bits, Grid(grid.shape, grid.bounds), crossing=self.crossing, progress=progress
        )
        if not len(faces):
            side = "at or below" if self.below else "at or above"
            raise InputError(
                f"expected a field with a surface; got one that is nowhere {side} {self.threshold:g} on the "
                f"grid of {' x '.join(map(str, self.shape))} points: fit it for longer, or render it finer"
            )
        frame = getattr(self.signal, "frame", None)
        if isinstance(frame, Frame):
            for start in range(0, len(vertices), 1 << 20):
                part = slice(start, start + (1 << 20))
                vertices[part] = _in_units(frame, vertices[part])
        return vertices, faces

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a mesh or a grid, by the suffix (`WRITES`), once all chunks are there.

        Raises:
            InputError: another suffix, no surface, a missing library, or a place that cannot be written.
            RunError: the disk is full or failed.
        """
        path = Path(path)
        if path.suffix.lower() not in WRITES:
            raise InputError(f"expected a file ending in {', '.join(WRITES)}; got {str(path)!r}; name it so")
        if path.suffix.lower() in GRIDS:
            write_grid(self.bits, self.signal.grid_of(self.shape), path)
        else:
            write_mesh(*self.surface(), path)


def _in_units(frame: Frame, vertices: NDArray[np.float32]) -> NDArray[np.float64]:
    import torch

    return frame.to_units(torch.from_numpy(vertices).double()).numpy()
