"""Means over points that have weights, for the losses that autograd sees."""

from __future__ import annotations

import torch
from torch import Tensor


def known(target: Tensor, w: Tensor | None) -> Tensor:
    """Return targets [M, C] with 0 at points of weight 0, which may hold NaN: 0 * NaN would spread it.

    `w` is [M], 0 or more; None for ones, here and below.
    """
    return target if w is None else torch.where(w[:, None] > 0, target, 0.0)


def weighted_mean(errors: Tensor, w: Tensor | None) -> Tensor:
    """Return ``sum_n w_n sum_c e_nc / (C sum_n w_n)`` of errors [M, C], 0 where all weights are."""
    return errors.mean() if w is None else (errors.mean(dim=1) * w).sum() / total_weight(w)


def total_weight(w: Tensor) -> Tensor:
    """Return the sum of the weights, 1 where that is 0: nothing then has a loss, or a gradient, of 0."""
    total = w.sum()
    return torch.where(total == 0, 1.0, total)
