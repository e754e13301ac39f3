"""Groups of points: patches of an image, runs, cubes of a grid, rays, or what the user says."""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.ntk.config import parse_group
from fastsnf.ntk.index import lists_of
from fastsnf.ntk.upload import uploaded
from fastsnf.ops import Layout

CHUNK_POINTS = 1 << 22
"""Points that a pass over all groups of a large grid looks at once."""

# of the kinds of `fastsnf.ntk.config.KINDS`
_NOUNS = {"patch": "patches", "cube": "cubes", "run": "runs", "ray": "rays"}


class Members(NamedTuple):
    """The points of some groups, offset by offset: all groups' points of offset 0, then of offset 1, ...

    Attributes:
        points: [M] int64, their numbers.
        layout: how they lie in groups.
        ids: [n] int64, which groups; None: all, in their order.
        middle: [n] int64, the offset of each group's middle point; None where that is not known.
    """

    points: Tensor
    layout: Layout
    ids: Tensor | None = None
    middle: Tensor | None = None

    def to(self, device: torch.device | str) -> Members:
        """Return the same on a device."""
        slots, ids, middle = (
            None if t is None else uploaded(t, device) for t in (self.layout.slots, self.ids, self.middle)
        )
        return Members(uploaded(self.points, device), self.layout._replace(slots=slots), ids, middle)


class Groups:
    """A partition of points 0 .. size - 1: every point is in one group, at an offset of its own there.

    Made by `patches`, `runs`, `cubes`, `rays` or `of`.

    Attributes:
        shape: the grid of the points, last axis fastest; ``(size,)`` where there is none.
        size: points.
        count: groups; none is empty.
        offsets: points of the largest group. Groups at a border may be smaller: no point has some offsets.
    """

    shape: tuple[int, ...]
    size: int
    count: int
    offsets: int
    _everything: Members | None = None

    @staticmethod
    def patches(shape: Sequence[int], size: int) -> Groups:
        """Return square patches of size x size pixels of an image [H, W]; those at far borders are cut."""
        if len(shape) != 2:
            raise InputError(
                f"expected an image [H, W] for patches; got {len(shape)} axes: take runs or cubes"
            )
        return Blocks(shape, (size, size), "patch")

    @staticmethod
    def runs(points: int, length: int) -> Groups:
        """Return runs of `length` consecutive points; the last may be shorter."""
        return Blocks((points,), (length,), "run")

    @staticmethod
    def cubes(shape: Sequence[int], size: int) -> Groups:
        """Return cubes of a grid, `size` points along each of its axes; those at the far borders are cut."""
        if len(shape) < 3:
            raise InputError(f"expected a grid of 3 axes for cubes; got {len(shape)}: take patches or runs")
        return Blocks(shape, (size,) * len(shape), "cube")

    @staticmethod
    def rays(rays: int, samples: int) -> Groups:
        """Return one group a ray, for points [rays, samples]."""
        return Blocks((rays, samples), (1, samples), "ray")

    @staticmethod
    def of(index: Any, size: int | None = None) -> Groups:
        """Return groups that the user says.

        Args:
            index: the group of every point, integers [N] from 0 without gaps; or the points of every group, a
                sequence of one-dimensional index tensors, whose order gives the offsets.
            size: how many points there are; None: as many as the index names.

        Raises:
            InputError: unless every point is in one group and no group is empty.
        """
        return Listed(*lists_of(index, size))

    def members(self, ids: Tensor | None = None, device: torch.device | str | None = None) -> Members:
        """Return the points of the groups `ids` [n] int64, in any order; None for all.

        Only what is asked for is computed. The answer for all is kept. For `ids` of the host on a GPU nobody
        waits for the answer.

        Args:
            ids: the groups' numbers.
            device: of the answer; that of `ids` by default.

        Raises:
            InputError: for numbers out of range or given twice.
        """
        if ids is not None:
            self._check_ids(ids)
            device = ids.device if device is None else torch.device(device)
            return self._members(ids, device)._replace(ids=uploaded(ids, device))
        if self._everything is None:
            self._everything = self._members(torch.arange(self.count), torch.device("cpu"))
        return self._everything if device is None else self._everything.to(device)

    @property
    def whole(self) -> bool:
        """Whether all groups have as many points."""
        return self.count * self.offsets == self.size

    def sizes(self, ids: Tensor | None = None) -> Tensor:
        """Return the number of points of each of the groups `ids` [n] int64, None for all, int64."""
        raise NotImplementedError

    def restricted(self, mask: Tensor) -> Groups:
        """Return groups over the points of a mask [size], which are numbered anew in their order.

        Within a group the kept points are numbered anew as well, so that the first ones of all groups share
        an offset; groups without a kept point are dropped.
        """
        if mask.shape != (self.size,) or mask.dtype != torch.bool:
            raise InputError(
                f"expected a mask of torch.bool [{self.size}], one a point; "
                f"got {mask.dtype} {list(mask.shape)}"
            )
        mask = mask.cpu()
        if bool(mask.all()):
            return self
        if not bool(mask.any()):
            raise InputError("expected a mask that keeps a point; got none: groups cannot all be empty")
        number = torch.cumsum(mask, 0, dtype=_index_dtype(self.size)) - 1
        orders, sizes = [], []
        for points, counts in self._lists():
            kept = mask[points]
            orders.append(number[points[kept]])
            group = torch.repeat_interleave(torch.arange(len(counts)), counts)
            sizes.append(torch.bincount(group[kept], minlength=len(counts)))
        each = torch.cat(sizes)
        return Listed(torch.cat(orders), each[each > 0])

    def describe(self) -> dict[str, Any]:
        """Return what tells these groups from others, JSON-able."""
        raise NotImplementedError

    def _members(self, ids: Tensor, device: torch.device) -> Members:
        raise NotImplementedError

    def _lists(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the points of some groups after another, group by group [M], and their sizes [n]."""
        step = max(1, CHUNK_POINTS // self.offsets)
        for first in range(0, self.count, step):
            ids = torch.arange(first, min(first + step, self.count))
            points, layout = self._members(ids, ids.device)[:2]
            slots = torch.arange(len(points)) if layout.slots is None else layout.slots
            group = slots % layout.groups
            yield points[torch.argsort(group, stable=True)], torch.bincount(group, minlength=layout.groups)

    def _check_ids(self, ids: Tensor) -> None:
        if not isinstance(ids, Tensor) or ids.dim() != 1 or ids.dtype != torch.int64 or len(ids) == 0:
            got = f"{ids.dtype} {list(ids.shape)}" if isinstance(ids, Tensor) else type(ids).__name__
            raise InputError(f"expected the groups' numbers as a tensor of int64 [n], n >= 1; got {got}")
        if ids.device.type != "cpu":
            return  # looking would wait for the device
        if int(ids.min()) < 0 or int(ids.max()) >= self.count:
            raise InputError(
                f"expected groups 0 to {self.count - 1}; got {int(ids.min())} to {int(ids.max())}"
            )
        if len(ids.unique()) != len(ids):
            raise InputError("expected each group once; got one twice")


class Blocks(Groups):
    """The blocks of a grid in raster order, and in raster order the points of each.

    Args:
        shape: the grid, last axis fastest.
        block: points along each axis; blocks at the far borders may be cut.
        kind: one of `fastsnf.ntk.config.KINDS`.
    """

    def __init__(self, shape: Sequence[int], block: Sequence[int], kind: str) -> None:
        self.shape, self.block = _whole_numbers(shape, "points"), _whole_numbers(block, _NOUNS[kind])
        self.kind = kind
        if min(self.block) < 1:
            raise InputError(f"expected {_NOUNS[kind]} of at least 1 point along each axis; got {min(block)}")
        if min(self.shape) < 1:
            raise InputError(f"expected at least one point along each axis; got {list(shape)}")
        if any(b > s for s, b in zip(self.shape, self.block, strict=True)):
            raise InputError(
                f"expected {_NOUNS[kind]} no larger than the signal; got {_times(block)} in {_times(shape)}: "
                f"take {_NOUNS[kind]} of at most {min(shape)}"
            )
        self.blocks = tuple(-(-s // b) for s, b in zip(self.shape, self.block, strict=True))
        self.size, self.count, self.offsets = (math.prod(t) for t in (self.shape, self.blocks, self.block))

    def sizes(self, ids: Tensor | None = None) -> Tensor:
        """Return the number of points of each of the groups `ids` [n] int64, None for all, int64."""
        ids = torch.arange(self.count) if ids is None else ids
        sizes = torch.ones_like(ids)
        axes = zip(self.shape, self.block, self.blocks, _strides(self.blocks), strict=True)
        for s, b, n_blocks, between in axes:
            sizes *= torch.clamp(s - ids // between % n_blocks * b, max=b)
        return sizes

    def describe(self) -> dict[str, Any]:
        """Return kind, grid and block."""
        return {"kind": self.kind, "shape": list(self.shape), "block": list(self.block)}

    def __str__(self) -> str:
        block = self.block[-1:] if self.kind == "ray" else self.block
        return f"{self.count} {_NOUNS[self.kind]} of {_times(block)}"

    def _members(self, ids: Tensor, device: torch.device) -> Members:
        full = self.offsets * len(ids)
        # On the host: a GPU would have to come to the end of all its work first.
        count = full if self.whole else int(self.sizes(ids.cpu()).sum())
        ids = uploaded(ids, device)
        offsets = torch.arange(self.offsets, device=device)
        points = torch.zeros(self.offsets, len(ids), dtype=torch.int64, device=device)
        middle = torch.zeros_like(ids)
        there: Tensor | None = None
        strides = zip(_strides(self.shape), _strides(self.block), _strides(self.blocks), strict=True)
        axes = zip(self.shape, self.block, self.blocks, strides, strict=True)
        for s, b, n_blocks, (stride, within, between) in axes:
            block = ids // between % n_blocks
            at = (offsets // within % b)[:, None] + block * b
            middle += torch.clamp(s - block * b, max=b) // 2 * within
            if s % b:
                there = at < s if there is None else there.logical_and_(at < s)
            points += at.mul_(stride)
        slots = None if there is None or count == full else places_of(there.reshape(-1), count)
        flat = points.reshape(-1)
        layout = Layout(len(ids), self.offsets, slots)
        return Members(flat if slots is None else flat[slots], layout, middle=middle)


class Listed(Groups):
    """Groups as lists of points.

    Args:
        order: the points of group 0, then those of group 1, ..., each point once.
        sizes: [count] int64, how many points each group has, at least 1.
    """

    def __init__(self, order: Tensor, sizes: Tensor) -> None:
        self.size, self.count, self.offsets = len(order), len(sizes), int(sizes.max())
        self.shape = (self.size,)
        self._order, self._sizes = order.to(_index_dtype(self.size)), sizes
        self._starts = sizes.cumsum(0) - sizes

    def sizes(self, ids: Tensor | None = None) -> Tensor:
        """Return the number of points of each of the groups `ids` [n] int64, None for all, int64."""
        return self._sizes if ids is None else self._sizes[ids]

    def describe(self) -> dict[str, Any]:
        """Return how many groups and points there are, and a SHA-256 of which point is where."""
        digest = hashlib.sha256()
        for part in (self._sizes, self._order):
            digest.update(part.to(torch.int64).numpy().tobytes())
        return {"kind": "index", "groups": self.count, "points": self.size, "digest": digest.hexdigest()}

    def __str__(self) -> str:
        least = int(self._sizes.min())
        each = f"{least} points" if least == self.offsets else f"{least} to {self.offsets} points"
        return f"{self.count} groups of {each}"

    def _members(self, ids: Tensor, device: torch.device) -> Members:
        ids = ids.cpu()
        n, sizes = len(ids), self._sizes[ids]
        group = torch.repeat_interleave(torch.arange(n), sizes)
        offset = torch.arange(len(group)) - (sizes.cumsum(0) - sizes)[group]
        slots, order = torch.sort(offset * n + group)
        points = self._order[(self._starts[ids][group] + offset)[order]].to(torch.int64)
        full = len(slots) == n * self.offsets
        layout = Layout(n, self.offsets, None if full else slots)
        return Members(points, layout, middle=sizes // 2).to(device)


def make_groups(group: object, shape: Sequence[int]) -> Groups:
    """Return the groups that `IGA.group` stands for on a signal's grid.

    By default those of the papers: patches of 32 x 32 pixels in two dimensions, runs of 256 points otherwise.

    Raises:
        InputError: for groups that do not suit the grid.
    """
    if not isinstance(shape, Sequence):
        raise InputError(f"expected the shape of a grid, such as (512, 768); got {shape!r}")
    points = math.prod(shape)
    if group is None:
        group = "patch:32" if len(shape) == 2 else "run:256"
    if isinstance(group, int):
        kind = {1: "run", 2: "patch"}.get(len(shape), "cube")
        group = f"{kind}:{group}"
    if isinstance(group, Groups):
        if group.size != points:
            raise InputError(
                f"expected groups of the signal's {points} points; got groups of {group.size}: "
                "every point must be in one"
            )
        return group
    if not isinstance(group, str):
        return Groups.of(group, points)
    kind, size = parse_group(group)
    if kind == "patch":
        return Groups.patches(shape, size)
    if kind == "cube":
        return Groups.cubes(shape, size)
    if kind == "ray":
        if points % size:
            raise InputError(f"expected rays of {size} samples to make up {points} points; got a remainder")
        return Groups.rays(points // size, size)
    return Groups.runs(points, size)


def places_of(mask: Tensor, count: int) -> Tensor:
    """Return the numbers [count] of the places that hold in a mask [M], ascending, so many as there are."""
    if mask.device.type == "cpu":
        return mask.nonzero().squeeze(1)
    return stable_places(mask, count)


def stable_places(mask: Tensor, count: int) -> Tensor:
    """Return `places_of` by a stable sort: `nonzero` counts, for which it waits for the device."""
    return torch.argsort((~mask).to(torch.uint8), stable=True)[:count]


def _whole_numbers(sizes: Sequence[int], what: str) -> tuple[int, ...]:
    try:
        return tuple(operator.index(size) for size in sizes)
    except TypeError:
        raise InputError(f"expected {what} by whole numbers, one for each axis; got {sizes!r}") from None


def _strides(shape: Sequence[int]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def _index_dtype(size: int) -> torch.dtype:
    return torch.int32 if size < 2**31 else torch.int64
