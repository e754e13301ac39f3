"""`BitGrid`: an occupancy grid at one bit a voxel, in memory or mapped from a file; never held unpacked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.grid import checked_shape

MAX_POINTS = 1 << 36
"""Voxels of the largest grid: 4096^3, that is 8 GiB of bits."""

PIECE = 1 << 22
"""Octets that are looked at together where a whole grid is read: 4 MiB."""

_COUNTS = np.array([value.bit_count() for value in range(256)], dtype=np.uint8)


class BitGrid:
    """Whether each voxel of a grid is occupied: voxel n is bit ``n % 8`` of octet ``n // 8``.

    The last axis is fastest, as NumPy's ``unpackbits(bitorder="little")`` has it; the bits after the last
    voxel are 0. A grid from a file is mapped, and the system reads and drops its pages as it sees fit.

    Args:
        shape: voxels along each axis.
        octets: uint8 `[ceil(N / 8)]`.
        path: the file that `octets` is mapped from; None in memory, and for a file without a name.
        mapped: whether `octets` are a file's rather than the process's own memory.
        sha256: that of `octets` where it is known already.

    Raises:
        InputError: octets that do not fit the shape, or more than `MAX_POINTS` voxels.
    """

    def __init__(
        self,
        shape: Sequence[int],
        octets: NDArray[np.uint8],
        path: Path | None = None,
        *,
        mapped: bool = False,
        sha256: str | None = None,
    ) -> None:
        self.shape = checked_voxels(shape)
        self.size = math.prod(self.shape)
        self.octets, self.path, self.mapped, self._sha256 = octets, path, mapped, sha256
        if octets.dtype != np.uint8 or octets.shape != (octets_of(self.size),):
            raise InputError(
                f"expected {octets_of(self.size)} octets for {self.shape} voxels; got {octets.dtype} "
                f"{list(octets.shape)}"
            )
        if self.size % 8 and octets[-1] >> (self.size % 8):
            raise InputError(
                "expected the bits after the last voxel to be 0; got others: the grid is damaged"
            )

    def __repr__(self) -> str:
        where = f"mapped from {str(self.path)!r}" if self.path else "mapped" if self.mapped else "in memory"
        return f"BitGrid(shape={self.shape}, {where})"

    @classmethod
    def zeros(cls, shape: Sequence[int]) -> BitGrid:
        """Return an empty grid in memory, to be filled by `set`."""
        size = math.prod(checked_voxels(shape))
        return cls(shape, np.zeros(octets_of(size), dtype=np.uint8))

    @classmethod
    def from_bool(cls, array: NDArray[Any]) -> BitGrid:
        """Return the bits of an `array` `[*shape]` in memory: True, or anything but 0, is occupied."""
        grid = cls.zeros(array.shape)
        slabs = (array[first:last].astype(np.bool_, copy=False) for first, last in slabs_of(grid.shape))
        start = 0
        for part in packed_octets(slabs):
            grid.octets[start : start + len(part)] = part
            start += len(part)
        return grid

    def tensor(self) -> Tensor:
        """Return the octets as uint8 `[ceil(N / 8)]` without a copy; do not write to it."""
        return torch.from_numpy(np.asarray(self.octets))

    def at(self, index: Tensor | slice) -> Tensor:
        """Return 1 for occupied and 0 for empty, float32 `[B, 1]`, of `index` (integers `[B]` or a slice)."""
        if isinstance(index, slice):
            start, stop, step = index.indices(self.size)
            if step == 1:
                return torch.from_numpy(self.run(start, max(start, stop))).float().unsqueeze(1)
            index = torch.arange(start, stop, step)
        index = index.cpu()
        octets = self.tensor()[index >> 3]
        return (octets >> (index & 7).to(torch.uint8) & 1).float().unsqueeze(1)

    def run(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return whether the voxels number `start` to `stop`, the latter excluded, are occupied."""
        part = np.unpackbits(np.asarray(self.octets[start // 8 : octets_of(stop)]), bitorder="little")
        return part[start % 8 : start % 8 + stop - start].view(np.bool_)

    def rows(self, planes: range, rows: range) -> NDArray[np.bool_]:
        """Return the voxels of ranges of the first two of three axes: bool `[planes, rows, shape[2]]`."""
        _, height, width = self.shape
        found = np.empty((len(planes), len(rows), width), dtype=np.bool_)
        for place, plane in enumerate(planes):
            start, stop = ((plane * height + row) * width for row in (rows.start, rows.stop))
            found[place] = self.run(start, stop).reshape(-1, width)
        return found

    def slab(self, first: int, last: int) -> NDArray[np.bool_]:
        """Return the voxels of first index `first` up to, without, `last`: bool `[last - first, ...]`."""
        if not 0 <= first <= last <= self.shape[0]:
            raise InputError(f"expected a slab within 0 to {self.shape[0]}; got {first} to {last}")
        plane = self.size // self.shape[0]
        return self.run(first * plane, last * plane).reshape(last - first, *self.shape[1:])

    def slabs(self) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Yield (first, voxels) of slabs of about 2^22 voxels that together are the grid."""
        for first, last in slabs_of(self.shape):
            yield first, self.slab(first, last)

    def set(self, start: int, bools: NDArray[np.bool_]) -> None:
        """Set the voxels from number `start` on, for a grid in memory; `start` is a multiple of 8.

        Unless they reach the end of the grid, the number of `bools` `[B]` is a multiple of 8 as well.
        """
        stop = start + bools.size
        if self.mapped:
            raise InputError("expected a grid in memory; got one mapped from a file, which is never changed")
        if start % 8 or stop > self.size or (stop % 8 and stop != self.size):
            raise InputError(f"expected whole octets within {self.size} voxels; got {start} to {stop}")
        self.octets[start // 8 : octets_of(stop)] = np.packbits(bools.reshape(-1), bitorder="little")
        self._sha256 = None

    def count(self) -> int:
        """Return the number of occupied voxels."""
        return sum(map(occupied_in, self._pieces()))

    def sha256(self) -> str:
        """Return the SHA-256 of the octets, in hexadecimal; computed once."""
        if self._sha256 is None:
            hasher = hashlib.sha256()
            for part in self._pieces():
                hasher.update(part.data)
            self._sha256 = hasher.hexdigest()
        return self._sha256

    def _pieces(self) -> Iterator[NDArray[np.uint8]]:
        return (self.octets[start : start + PIECE] for start in range(0, len(self.octets), PIECE))


def occupied_in(octets: NDArray[np.uint8]) -> int:
    """Return the number of occupied voxels among those of `octets` `[B]`."""
    return int(_COUNTS[octets].sum(dtype=np.int64))


def octets_of(points: int) -> int:
    """Return how many octets hold the bits of `points` voxels."""
    return -(-points // 8)


def checked_voxels(shape: Sequence[int]) -> tuple[int, ...]:
    """Return `shape` as a tuple, or raise `InputError` unless it is one of 1 to `MAX_POINTS` voxels."""
    sizes = checked_shape(shape)
    if math.prod(sizes) > MAX_POINTS:
        raise InputError(
            f"expected at most {MAX_POINTS} voxels (4096 x 4096 x 4096); got {' x '.join(map(str, sizes))}; "
            "choose a lower resolution"
        )
    return sizes


def slabs_of(shape: Sequence[int], points: int = PIECE) -> Iterator[tuple[int, int]]:
    """Yield (first, last) along the first axis, in order, of slabs of `points` voxels or one plane."""
    step = max(1, points // math.prod(shape[1:]))
    return ((first, min(first + step, shape[0])) for first in range(0, shape[0], step))


def packed_octets(slabs: Iterable[NDArray[np.bool_]]) -> Iterator[NDArray[np.uint8]]:
    """Yield the octets of voxels that come in order in `slabs` of any size; the last may be filled with 0."""
    rest = np.zeros(0, dtype=np.bool_)
    for slab in slabs:
        flat = slab.reshape(-1)
        if rest.size:
            flat = np.concatenate([rest, flat])
        whole = flat.size // 8 * 8
        rest = flat[whole:].copy()
        if whole:
            yield np.packbits(flat[:whole], bitorder="little")
    if rest.size:
        yield np.packbits(rest, bitorder="little")
