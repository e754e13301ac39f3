"""Fields at points of a grid that are given by number: `field_at` and `mse_value_and_grad_at`.

The CPU engine looks the coordinates up tile by tile, and reads targets that are single bits where they lie,
so that neither is ever in memory; for the other engines both are made for the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fastsnf.engines import native
from fastsnf.errors import InputError
from fastsnf.ops.check import check_field, check_targets
from fastsnf.ops.dispatch import AUTO, choose
from fastsnf.ops.field import field
from fastsnf.ops.mse import MseResult, mse_value_and_grad
from fastsnf.spec import FieldSpec


@dataclass(frozen=True)
class GridPoints:
    """B points of a grid: coordinate c of point number i is ``tables[c][i // strides[c] % len(tables[c])]``.

    Attributes:
        tables: coordinates along the axis of each of the D columns, [size] of the field's dtype and device.
        strides: how far apart the numbers of neighbours along that axis are.
        index: the numbers, int64 [B] on that device, or a range of step 1.
    """

    tables: tuple[Tensor, ...]
    strides: tuple[int, ...]
    index: Tensor | range

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size(self) -> int:
        """The points of the whole grid."""
        return math.prod(len(table) for table in self.tables)

    def __getitem__(self, part: slice) -> GridPoints:
        """Return some of the points, in order."""
        return replace(self, index=self.index[part])

    def numbers(self) -> Tensor:
        """Return the numbers of the points, int64 [B]."""
        if isinstance(self.index, Tensor):
            return self.index
        return torch.arange(self.index.start, self.index.stop, device=self.tables[0].device)

    def coordinates(self) -> Tensor:
        """Return the coordinates [B, D]."""
        numbers = self.numbers()
        columns = [
            torch.index_select(table, 0, torch.div(numbers, stride, rounding_mode="floor") % len(table))
            for table, stride in zip(self.tables, self.strides, strict=True)
        ]
        return torch.stack(columns, dim=-1)


@dataclass(frozen=True)
class Bits:
    """The values of a grid's points, 0 or 1: bit ``i % 8`` of byte ``i // 8`` is that of point number i.

    Attributes:
        octets: uint8 [ceil(N / 8)] of all N points of the grid, on the field's device.
    """

    octets: Tensor

    def at(self, points: GridPoints) -> Tensor:
        """Return the values [B, 1] of some points, in the dtype of their coordinates."""
        numbers = points.numbers()
        octets = torch.index_select(self.octets, 0, numbers >> 3)
        return ((octets >> (numbers & 7).to(torch.uint8)) & 1).to(points.tables[0].dtype)[:, None]


def field_at(
    points: GridPoints,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    threshold: float | None = None,
    engine: str = AUTO,
    precision: str = AUTO,
) -> Tensor:
    """Return a field's values [B, C] at points of a grid, or which of them exceed a threshold.

    Args:
        points: see `GridPoints`.
        weights, biases, spec, engine, precision: as in `fastsnf.ops.field`.
        threshold: of a field of one output: the result is then uint8 [ceil(B / 8)], bit j of byte i saying
            whether point ``8 i + j`` has a value above it, bits past the last point 0.

    Nothing is recorded for autograd.

    Raises:
        InputError: for points that do not lie on the grid, or a threshold for several outputs.
        EngineError: as `fastsnf.ops.field`.
    """
    like = _like(points, weights)
    check_field(like, weights, biases, spec)
    check_threshold(threshold, weights[-1].shape[0])
    chosen = choose(engine, like, weights, spec, precision)
    with torch.no_grad():
        if chosen.engine == "native":
            return native.forward_on_grid(_checked(points), weights, biases, spec, threshold=threshold)
        values = field(
            points.coordinates(), weights, biases, spec=spec, engine=chosen.engine, precision=precision
        )
        return values if threshold is None else packed_bits(values[:, 0] > threshold)


def mse_value_and_grad_at(
    points: GridPoints,
    target: Tensor | Bits,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    sample_weight: Tensor | None = None,
    engine: str = AUTO,
    precision: str = AUTO,
) -> MseResult:
    """Return loss and gradients as `fastsnf.ops.mse_value_and_grad` does, at points of a grid.

    Args:
        points: see `GridPoints`.
        target: values [B, C], or for a field of one output the `Bits` of the whole grid.
        weights, biases, spec, sample_weight, engine, precision: as in `fastsnf.ops.mse_value_and_grad`.

    Raises:
        InputError: for points that do not lie on the grid, or targets of another shape.
        EngineError: as `fastsnf.ops.field`.
    """
    like = _like(points, weights)
    check_field(like, weights, biases, spec)
    _check_target(points, target, weights[-1].shape[0], sample_weight, like)
    chosen = choose(engine, like, weights, spec, precision)
    if chosen.engine == "native":
        octets = target.octets if isinstance(target, Bits) else target
        return MseResult(*native.mse_on_grid(_checked(points), octets, weights, biases, spec, sample_weight))
    values = target.at(points) if isinstance(target, Bits) else target
    return mse_value_and_grad(
        points.coordinates(),
        values,
        weights,
        biases,
        spec=spec,
        sample_weight=sample_weight,
        engine=chosen.engine,
        precision=precision,
    )


def packed_bits(above: Tensor) -> Tensor:
    """Return bools [B] as uint8 [ceil(B / 8)], the first in the lowest bit."""
    padded = above.new_zeros(-(-above.shape[0] // 8) * 8)
    padded[: above.shape[0]] = above
    places = torch.arange(8, device=above.device)
    return (padded.view(-1, 8) << places).sum(dim=-1).to(torch.uint8)


def check_threshold(threshold: float | None, outputs: int) -> None:
    """Raise `InputError` unless `threshold` is None, or a number for a field of one output."""
    if threshold is None:
        return
    if outputs != 1:
        raise InputError(f"expected a field of one output for a threshold; got {outputs} outputs")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or math.isnan(threshold):
        raise InputError(f"expected the threshold to be a number; got {threshold!r}")


def _like(points: GridPoints, weights: Sequence[Tensor]) -> Tensor:
    """Return an empty tensor [0, D] of the dtype and device of the field, where the points must be."""
    like = weights[0].detach().new_empty(0, len(points.tables))
    for table in points.tables:
        if table.dtype != like.dtype or table.device != like.device or table.dim() != 1 or not len(table):
            raise InputError(
                f"expected tables [size] of {like.dtype} on {like.device}, as the field; got {table.dtype} "
                f"{list(table.shape)} on {table.device}"
            )
    if len(points.strides) != len(points.tables) or min(points.strides, default=1) < 1:
        raise InputError(
            f"expected a positive stride of each of {len(points.tables)} tables; got {points.strides}"
        )
    return like


def _checked(points: GridPoints) -> native.GridPoints:
    """Return the points as the CPU engine takes them, or raise `InputError` for numbers off the grid."""
    index = points.index
    if isinstance(index, Tensor):
        if index.dtype != torch.int64 or index.dim() != 1:
            raise InputError(
                f"expected numbers of points as int64 [B]; got {index.dtype} {list(index.shape)}"
            )
        index = index.contiguous()
        outside = len(index) > 0 and (int(index.min()) < 0 or int(index.max()) >= points.size)
    else:
        outside = index.step != 1 or index.start < 0 or index.stop > points.size
    if outside:
        raise InputError(f"expected numbers of points from 0 to {points.size - 1}; got {points.index!r}")
    return native.GridPoints([table.contiguous() for table in points.tables], points.strides, index)


def _check_target(
    points: GridPoints, target: Tensor | Bits, outputs: int, sample_weight: Tensor | None, like: Tensor
) -> None:
    rows = like.new_empty(1, 1).expand(len(points), 1)
    if isinstance(target, Tensor):
        check_targets(rows, target, outputs, sample_weight)
        return
    octets = target.octets
    if outputs != 1:
        raise InputError(f"expected a field of one output for bits; got {outputs} outputs")
    if octets.dtype != torch.uint8 or octets.dim() != 1 or len(octets) != -(-points.size // 8):
        raise InputError(
            f"expected bits as uint8 [{-(-points.size // 8)}] for {points.size} points; got {octets.dtype} "
            f"{list(octets.shape)}"
        )
    if octets.device != like.device:
        raise InputError(f"expected the bits on {like.device}, as the field; got {octets.device}")
    if sample_weight is not None:
        check_targets(rows, rows[:, :1], 1, sample_weight)
