from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from fastsnf import reference
from fastsnf.ops.check import check_field, check_targets
from fastsnf.ops.dispatch import choose
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
    engine: str = "auto",
) -> MseResult:
    check_field(x, weights, biases, spec)
    check_targets(x, target, weights[-1].shape[0], sample_weight)
    choose(engine, x, weights, spec)
    return MseResult(*reference.mse_value_and_grad(x, target, weights, biases, spec, sample_weight))
