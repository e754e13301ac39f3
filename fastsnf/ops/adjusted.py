"""`adjusted_mse_value_and_grad`: the training step of inductive gradient adjustment."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.ops.check import check_field, check_targets
from fastsnf.ops.dispatch import AUTO
from fastsnf.ops.registration import own_precision
from fastsnf.reference.adjusted import AdjustedResult, Adjustment
from fastsnf.spec import FieldSpec


def adjusted_mse_value_and_grad(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    adjustment: Adjustment,
    sample_weight: Tensor | None = None,
    engine: str = AUTO,
    precision: str = AUTO,
) -> AdjustedResult:
    """Return the MSE, gradients of residuals that S has adjusted, and each group's largest residual."""
    check_field(x, weights, biases, spec)
    check_targets(x, target, weights[-1].shape[0], sample_weight)
    with torch.no_grad(), own_precision(x):
        return reference.adjusted.adjusted_mse_value_and_grad(
            x, target, weights, biases, spec, adjustment, sample_weight
        )
