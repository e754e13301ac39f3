"""The MSE with residuals that a matrix S over groups of points has adjusted (IGA, Eq. 4 to 9).

A batch is points in groups: point i is number `offset` of group j, and S mixes the groups at each offset and
in each channel alone,  r'[j, k, c] = sum_i S[j, i] r[i, k, c],  with  S = I - V diag(a) V^T.
Points lie offset by offset; a (group, offset) pair that no point has is a residual of 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastsnf.reference.field import Biases, backward, trace
from fastsnf.spec import FieldSpec


class Layout(NamedTuple):
    """How the points of a batch lie in groups.

    `slots` [N], int64 and ascending, holds ``offset * groups + group`` of every point; None when every
    group has every offset, which makes it 0 .. N - 1.
    """

    groups: int
    offsets: int
    slots: Tensor | None = None


class Adjustment(NamedTuple):
    """``S = I - V diag(a) V^T`` over a layout's groups: `vectors` V [groups, k], `coefficients` a [k]."""

    layout: Layout
    vectors: Tensor
    coefficients: Tensor


Adjusting = Adjustment | Callable[[Tensor], Adjustment]
"""S, or a function that makes it of the residuals [N, C] of the pass that it adjusts (exact ``argmax``)."""


class AdjustedResult(NamedTuple):
    """Loss (0-d, the plain weighted MSE), gradients of ``out^T stopgrad(S r)`` in its scale, and `largest`.

    `largest` [groups] int64 is the row of each group's point with the largest ``sum_c |r_c|`` before the
    adjustment (see `largest_rows`); None where nobody asked for it.
    """

    loss: Tensor
    d_weights: list[Tensor]
    d_biases: list[Tensor | None]
    largest: Tensor | None


def spread(rows: Tensor, layout: Layout, absent: float = 0) -> Tensor:
    """Return rows [N, ...] as [offsets, groups, ...], `absent` where no point is."""
    if layout.slots is None:
        return rows.reshape(layout.offsets, layout.groups, *rows.shape[1:])
    table = rows.new_full((layout.offsets * layout.groups, *rows.shape[1:]), absent)
    return table.index_copy(0, layout.slots, rows).reshape(layout.offsets, layout.groups, *rows.shape[1:])


def gathered(table: Tensor, layout: Layout) -> Tensor:
    """Return the rows [N, ...] of a table [offsets, groups, ...]: the inverse of `spread`."""
    rows = table.reshape(-1, *table.shape[2:])
    return rows if layout.slots is None else rows[layout.slots]


def adjust(residual: Tensor, adjustment: Adjustment) -> Tensor:
    """Return S r for residuals r [N, C]."""
    layout, vectors, coefficients = adjustment
    r = spread(residual, layout)  # [P, n, C]
    along = torch.einsum("jk,pjc->pkc", vectors, r)  # V^T r
    return gathered(r - torch.einsum("jk,k,pkc->pjc", vectors, coefficients, along), layout)


def largest_rows(residual: Tensor, layout: Layout) -> Tensor:
    """Return the row [groups] of each group's point with the largest ``sum_c |r_c|`` of r [N, C].

    The first of equal ones; NaN is larger than any number. A group without points has row 0.
    """
    size = residual.abs().sum(dim=1)
    size = torch.where(size.isnan(), torch.inf, size)
    rows = torch.arange(len(size), device=size.device)
    offset = spread(size, layout, absent=-1.0).argmax(dim=0, keepdim=True)
    return spread(rows, layout).gather(0, offset).squeeze(0)


class Cotangent(NamedTuple):
    """The loss (0-d), its adjusted cotangent `d_out` [N, C], the residuals [N, C] before, the layout."""

    loss: Tensor
    d_out: Tensor
    residual: Tensor
    layout: Layout


def cotangent(
    out: Tensor, target: Tensor, adjustment: Adjusting, sample_weight: Tensor | None = None
) -> Cotangent:
    """Return what the backward pass starts from, given the outputs [N, C].

    With sample weights w [N] the residuals are those of the weighted problem, sqrt(w) r:  d_out = 2 sqrt(w) S
    sqrt(w) r / (C sum w), which for S = I is the gradient of the loss and leaves a point of weight 0 out.
    """
    w = torch.ones_like(out[:, :1]) if sample_weight is None else sample_weight.unsqueeze(-1)
    r = torch.where(w != 0, out - target, 0.0)
    total = w.sum()
    norm = target.shape[-1] * torch.where(total == 0, 1.0, total)
    loss = (w * r.square()).sum() / norm
    residual = w.sqrt() * r
    if not isinstance(adjustment, Adjustment):
        adjustment = adjustment(residual)
    d_out = 2.0 * w.sqrt() * adjust(residual, adjustment) / norm
    return Cotangent(loss, d_out, residual, adjustment.layout)


def adjusted_mse_value_and_grad(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    adjustment: Adjusting,
    sample_weight: Tensor | None = None,
) -> AdjustedResult:
    """Return the weighted MSE of `reference.mse_value_and_grad` with the gradients of adjusted residuals.

    `x` is [N, D], `target` [N, C], `sample_weight` [N]; see `cotangent`.
    """
    kept = trace(x, weights, biases, spec)
    loss, d_out, residual, layout = cotangent(kept.out, target, adjustment, sample_weight)
    _, d_weights, d_biases = backward(kept, weights, biases, spec, d_out)
    return AdjustedResult(loss, d_weights, d_biases, largest_rows(residual, layout))
