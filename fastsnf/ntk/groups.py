"""Groups of points: patches of an image, runs, cubes of a grid, rays, or what the user says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastsnf.ops import Layout


class Members(NamedTuple):
    """The points of some groups, offset by offset: `points` [M] int64, their numbers, and their `layout`."""

    points: Tensor
    layout: Layout


class Groups:
    """A partition of the points of a grid into blocks; groups and the points in each in raster order.

    Args:
        shape: the grid, last axis fastest.
        block: the block, as many axes; the blocks at the far borders may be cut.

    Attributes:
        size: points; count: groups; offsets: points of a whole group.
    """

    def __init__(self, shape: Sequence[int], block: Sequence[int]) -> None:
        self.shape, self.block = tuple(shape), tuple(block)
        self.blocks = tuple(-(-s // b) for s, b in zip(self.shape, self.block, strict=True))
        self.size, self.count, self.offsets = (math.prod(t) for t in (self.shape, self.blocks, self.block))

    @classmethod
    def patches(cls, shape: Sequence[int], size: int) -> Groups:
        """Return square patches of size x size pixels of an image [H, W]."""
        return cls(shape, (size, size))

    @classmethod
    def runs(cls, points: int, length: int) -> Groups:
        """Return runs of `length` consecutive points; the last may be shorter."""
        return cls((points,), (length,))

    @classmethod
    def cubes(cls, shape: Sequence[int], size: int) -> Groups:
        """Return cubes of size^3 voxels of a grid."""
        return cls(shape, (size,) * len(shape))

    def members(self, ids: Tensor | None = None) -> Members:
        """Return the points of the groups `ids` [n] int64, None for all."""
        ids = torch.arange(self.count) if ids is None else ids.to("cpu")
        offsets = torch.arange(self.offsets)
        index = torch.zeros(self.offsets, len(ids), dtype=torch.int64)
        there = torch.ones(self.offsets, len(ids), dtype=torch.bool)
        for s, b, n_blocks, stride, block_stride, group_stride in zip(
            self.shape, self.block, self.blocks, _strides(self.shape), _strides(self.block),
            _strides(self.blocks), strict=True,
        ):  # fmt: skip
            at = (offsets // block_stride % b)[:, None] + (ids // group_stride % n_blocks * b)[None, :]
            there &= at < s
            index += at * stride
        slots = None if bool(there.all()) else there.reshape(-1).nonzero().squeeze(1)
        flat = index.reshape(-1)
        return Members(flat if slots is None else flat[slots], Layout(len(ids), self.offsets, slots))


def _strides(shape: Sequence[int]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def make_groups(group: object, shape: Sequence[int]) -> Groups:
    """Return the groups that `IGA.group` stands for on a signal's grid."""
    if isinstance(group, Groups):
        return group
    kind = {2: "patch"}.get(len(shape), "run")
    size = {2: 32}.get(len(shape), 256)
    if isinstance(group, int):
        kind, size = {1: "run", 2: "patch"}.get(len(shape), "cube"), group
    elif isinstance(group, str):
        kind, _, text = group.partition(":")
        size = int(text)
    if kind in ("patch", "cube"):
        return Groups(shape, (size,) * len(shape))
    return Groups.runs(math.prod(shape), size)
