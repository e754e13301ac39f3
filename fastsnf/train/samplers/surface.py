"""Batches of which half lie near the surface of an occupancy grid."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.bits import BitGrid
from fastsnf.train.samplers.draws import Draws

SIDE = 8
"""Voxels along each side of a block."""

EMPTY, MIXED, FULL = 0, 1, 2


class Surface(Draws):
    """Half of a batch from the blocks at the surface, half from everywhere.

    A block of 8^3 voxels is at the surface where its voxels, or they and those of a block that shares a face
    with it, are not all alike. A draw takes one of these blocks, each as likely as any other, and one of its
    voxels. At the far borders blocks are cut, so that their voxels are a little more likely.

    Nothing of the size of the grid is held: a byte a block while they are looked for (17 MB at 2048^3), and
    then the numbers of those at the surface.

    Args:
        bits: the grid.
        batch, seed, device: as for `Draws`.

    Raises:
        InputError: for a grid without a surface.
    """

    name: ClassVar[str] = "surface"

    def __init__(self, bits: BitGrid, batch: int, seed: int, *, device: torch.device | str = "cpu") -> None:
        super().__init__(bits.size, batch, seed, device=device)
        self._shape = bits.shape
        self._counts = tuple(-(-size // SIDE) for size in bits.shape)
        blocks = np.flatnonzero(at_surface(states(bits)))
        if not len(blocks):
            raise InputError(
                "expected a grid with occupied and empty voxels for the sampler surface; got one of a kind: "
                "take passes or uniform"
            )
        self.blocks = torch.from_numpy(blocks).to(self.device)

    def _drawn(self, step: int) -> Tensor:
        near = self.batch // 2
        block = self.blocks[self._numbers(near, len(self.blocks), step, "blocks")]
        point, stride, between = torch.zeros_like(block), 1, 1
        for axis in reversed(range(len(self._shape))):
            first = block // between % self._counts[axis] * SIDE
            room = (self._shape[axis] - first).clamp_(max=SIDE)
            # Of 2^40 numbers, the remainder by 8 or less is uniform.
            offset = self._numbers(near, 1 << 40, step, f"axis {axis}").remainder_(room)
            point += (first + offset).mul_(stride)
            stride, between = stride * self._shape[axis], between * self._counts[axis]
        return torch.cat([point, self._numbers(self.batch - near, self.points, step, "points")])


def states(bits: BitGrid) -> NDArray[np.uint8]:
    """Return for each block whether its voxels are all `EMPTY`, all `FULL` or `MIXED`, `[blocks ...]`."""
    planes = []
    for first in range(0, bits.shape[0], SIDE):
        octets = _rows_of_octets(bits, first, min(first + SIDE, bits.shape[0]))
        some = np.bitwise_or.reduce(octets, axis=0)
        every = np.bitwise_and.reduce(octets, axis=0)
        starts = range(0, len(some), SIDE)
        some = np.stack([np.bitwise_or.reduce(some[start : start + SIDE], axis=0) for start in starts])
        every = np.stack([np.bitwise_and.reduce(every[start : start + SIDE], axis=0) for start in starts])
        planes.append(np.where(every == 255, FULL, np.where(some == 0, EMPTY, MIXED)).astype(np.uint8))
    return np.stack(planes)


def at_surface(states: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which blocks are mixed, or share a face with one of another state."""
    found = states == MIXED
    for axis in range(states.ndim):
        there = np.moveaxis(states, axis, 0)
        differs = there[1:] != there[:-1]
        along = np.moveaxis(found, axis, 0)
        along[1:] |= differs
        along[:-1] |= differs
    return found


def _rows_of_octets(bits: BitGrid, first: int, last: int) -> NDArray[np.uint8]:
    """Return planes first .. last - 1, eight voxels of the last axis to an octet; the last one repeats."""
    width = bits.shape[-1]
    if width % SIDE == 0:
        rows = bits.octets.reshape(*bits.shape[:-1], width // SIDE)
        return rows[first:last]
    slab = bits.slab(first, last)
    padding = [(0, 0)] * (slab.ndim - 1) + [(0, -width % SIDE)]
    return np.packbits(np.pad(slab, padding, mode="edge"), axis=-1, bitorder="little")
