"""A field as a function of one flat list of tensors, as checks of derivatives take it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from fastsnf import ops
from fastsnf.spec import (
    Activation,
    Custom,
    FieldSpec,
    Finer,
    Gabor,
    Gaussian,
    Identity,
    RealGabor,
    ReLU,
    Sigmoid,
    Sinc,
    Sine,
    Tanh,
)
from tests.engines.problems import Problem, problem

GENTLE: tuple[Activation, ...] = (
    Sine(3.0),
    Gaussian(1.5),
    Sinc(3.0, amplitude=2.0),
    Gabor(2.0, 1.0),
    RealGabor(2.0, 1.0),
    Finer(2.0),
    ReLU(),
    Tanh(),
    Sigmoid(),
    Identity(),
    Custom(functional.softplus),
)
"""Every activation, slow enough for finite differences."""


def small(act: Activation, dtype: torch.dtype = torch.float64, points: int = 5) -> Problem:
    """Return a problem of three layers of a few units, with and without bias."""
    return problem(FieldSpec.mlp(act, 1), [2, 4, 3, 2], points, bias=[True, False, True], dtype=dtype)


def present(case: Problem) -> list[Tensor]:
    """Return x, the weights, and the biases that exist."""
    return [case.x, *case.weights, *(b for b in case.biases if b is not None)]


def field_of(case: Problem, engine: str = "auto") -> Callable[..., Tensor]:
    """Return `ops.field` as a function of `present(case)`."""

    def function(x: Tensor, *params: Tensor) -> Tensor:
        weights, rest = params[: case.spec.layers], iter(params[case.spec.layers :])
        biases = [None if b is None else next(rest) for b in case.biases]
        return ops.field(x, weights, biases, spec=case.spec, engine=engine)

    return function


def as_leaves(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return copies that require grad."""
    return [tensor.detach().clone().requires_grad_() for tensor in tensors]
