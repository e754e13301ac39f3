"""Residuals that S has adjusted, outside of the fused step, and the loss whose gradient they make."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastsnf.ops import Adjustment
from fastsnf.ops.exact import full_float32
from fastsnf.ops.weighted import known, total_weight, weighted_mean


def adjusted(residual: Tensor, adjustment: Adjustment) -> Tensor:
    """Return S r for residuals r [M, C], arranged as the adjustment's layout: ``r - V diag(a) V^T r``.

    A (group, offset) pair that no point has is a residual of 0.
    """
    (groups, offsets, slots), vectors, coefficients = adjustment
    channels = residual.shape[1]
    table = residual
    if slots is not None:
        table = residual.new_zeros(offsets * groups, channels).index_copy_(0, slots, residual)
    r = table.reshape(offsets, groups, channels).transpose(1, 2).reshape(-1, groups)
    v = vectors.to(r.dtype)
    with full_float32(r):
        r = torch.addmm(r, r @ v, (v * coefficients.to(r.dtype)).T, alpha=-1.0)
    rows = r.reshape(offsets, channels, groups).transpose(1, 2).reshape(-1, channels)
    return rows if slots is None else rows[slots]


def weighted_mse(out: Tensor, target: Tensor, w: Tensor | None) -> Tensor:
    """Return ``sum_n w_n sum_c r_nc^2 / (C sum_n w_n)``; 0 where all weights are."""
    return weighted_mean((out - known(target, w)).square(), w)


def weighted_residual(out: Tensor, target: Tensor, w: Tensor | None) -> Tensor:
    """Return sqrt(w) r [M, C] for r = out - target; 0 at points of weight 0."""
    residual = out.detach() - known(target, w)
    return residual if w is None else torch.where(w[:, None] > 0, residual * w.sqrt()[:, None], 0.0)


def surrogate(
    out: Tensor, residual: Tensor, loss: Tensor, w: Tensor | None, adjustment: Adjustment
) -> Tensor:
    """Return a scalar whose value is `loss` and whose gradient is that of ``(2 / (C sum w)) out . S r``.

    Eq. 9 of the IGA paper, with S r taken as constant, in the scale of the mean: S = I gives the gradient of
    the MSE. `residual` is `weighted_residual`.
    """
    d_out = adjusted(residual, adjustment)
    if w is None:
        return _Valued.apply(out, d_out * (2.0 / d_out.numel()), loss)
    scale = 2.0 / (total_weight(w) * d_out.shape[1])
    return _Valued.apply(out, d_out * (w.sqrt() * scale)[:, None], loss)


class _Valued(torch.autograd.Function):
    """A scalar of a given value and a given derivative with respect to `out`."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, d_out: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(d_out)
        return value.detach().clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (d_out,) = ctx.saved_tensors
        return grads[0] * d_out, None, None
