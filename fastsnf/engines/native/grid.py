"""Points of a grid by number, whose coordinates the engine looks up tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsnf.engines.native.call import address, empty_gradients, prepare
from fastsnf.engines.native.extension import module, threads, variant
from fastsnf.spec import FieldSpec


@dataclass(frozen=True)
class GridPoints:
    """N points of a grid: coordinate c of point number i is ``tables[c][i // strides[c] % len(tables[c])]``.

    Attributes:
        tables: the coordinates along each axis, float32 on the CPU, contiguous.
        strides: how far apart the numbers of neighbours along each of those axes are.
        index: the numbers, contiguous int64 [N] on the CPU, or a range of step 1.
    """

    tables: Sequence[Tensor]
    strides: Sequence[int]
    index: Tensor | range

    def __len__(self) -> int:
        return len(self.index)

    def packed(self) -> tuple[list[int], list[int], list[int], int, int]:
        """Return what the extension takes; valid as long as the tensors live."""
        address, begin = (
            (0, self.index.start) if isinstance(self.index, range) else (self.index.data_ptr(), 0)
        )
        tables = [table.data_ptr() for table in self.tables]
        return tables, [len(table) for table in self.tables], list(self.strides), address, begin


def forward_on_grid(
    points: GridPoints,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    *,
    threshold: float | None = None,
) -> Tensor:
    """Return the field's output [N, C] at points of a grid, whose coordinates are made tile by tile.

    With `threshold` uint8 [ceil(N / 8)]: bit j of byte i says whether point ``8 i + j`` is above it.
    """
    like = weights[0]
    _x, layers, _kept = prepare(like.new_empty(0), weights, biases, spec)
    n, above = len(points), threshold is not None
    out = like.new_empty(-(-n // 8), dtype=torch.uint8) if above else like.new_empty(n, weights[-1].shape[0])
    addresses = (0, out.data_ptr()) if above else (out.data_ptr(), 0)
    grid = points.packed()
    module().forward_grid(variant(), layers, n, grid, *addresses, threshold or 0.0, threads())
    return out


def mse_on_grid(
    points: GridPoints,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Return what `mse_value_and_grad` does at points of a grid.

    `target` is float32 [N, C], or for one output the bits of the whole grid, uint8: bit i & 7 of byte i >> 3
    is the value of point number i.
    """
    d_weights, d_biases = empty_gradients(weights, biases)
    like = weights[0]
    _x, layers, _kept = prepare(like.new_empty(0), weights, biases, spec, d_weights, d_biases)
    target = target.contiguous()
    sample_weight = None if sample_weight is None else sample_weight.contiguous()
    bits = target.dtype == torch.uint8
    loss = module().mse_grid(
        variant(),
        layers,
        len(points),
        points.packed(),
        0 if bits else target.data_ptr(),
        target.data_ptr() if bits else 0,
        address(sample_weight),
        threads(),
    )
    return torch.tensor(loss, dtype=torch.float32), d_weights, d_biases
