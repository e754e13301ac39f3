"""`mse_value_and_grad`: the trainer's step, loss and all gradients in one pass over the points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.ops.check import check_field, check_targets
from fastsnf.ops.dispatch import AUTO, choose
from fastsnf.ops.registration import field_mse, flatten, own_precision, unflatten
from fastsnf.spec import FieldSpec


class MseResult(NamedTuple):
    """The loss (0-d) and the gradient of every weight and bias (None where there is no bias)."""

    loss: Tensor
    d_weights: list[Tensor]
    d_biases: list[Tensor | None]


def mse_value_and_grad(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    sample_weight: Tensor | None = None,
    engine: str = AUTO,
    precision: str = AUTO,
) -> MseResult:
    """Return ``loss = sum_n w_n sum_c (out - target)^2 / (C sum_n w_n)`` and its gradients.

    Args:
        x: coordinates [..., D].
        target: values [..., C]; a point of weight 0 is not there, its target may be NaN.
        weights, biases, spec, engine, precision: as in `field`.
        sample_weight: w [...], 0 or more; None for ones. The loss is 0 when all are 0.

    Nothing is recorded for autograd; gradients are those with respect to the weights and biases.

    Raises:
        InputError, EngineError: as `field`.
    """
    check_field(x, weights, biases, spec)
    check_targets(x, target, weights[-1].shape[0], sample_weight)
    chosen = choose(engine, x, weights, spec, precision)
    with torch.no_grad(), own_precision(x):
        if chosen.engine == "reference":
            return MseResult(*reference.mse_value_and_grad(x, target, weights, biases, spec, sample_weight))
        params, has_bias = flatten(weights, biases)
        points = x.reshape(-1, x.shape[-1])
        loss, *grads = field_mse(
            points,
            target.reshape(-1, target.shape[-1]),
            params,
            None if sample_weight is None else sample_weight.reshape(-1),
            spec.key,
            has_bias,
            *chosen,
        )
        return MseResult(loss, *unflatten(grads, has_bias))
