"""Fields to initialize, what 20 seeds of them draw, and what draws of a distribution look like."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from fastsnf.nn import SNF, Field
from tests.cases import generator

SEEDS = 20
D, F, L, C = 2, 48, 2, 3
FAN_IN = [D, F, F, F]
FAN_OUT = [F, F, F, C]
SIGMAS = 4.0
"""How many deviations of its sampling error an estimate may be off: one in 16,000 is, by chance."""


def make(**options: object) -> SNF:
    """Return a field of four layers, sine ones of two omegas unless told."""
    return SNF(D, C, F, L, **{"first_omega": 70.0, "hidden_omega": 25.0, "init": "default", **options})


def draws(
    field: Field, initialize: Callable[..., Field], **options: object
) -> tuple[list[Tensor], list[Tensor]]:
    """Return per layer the weights and the biases of 20 seeds, flat."""
    weights: list[list[Tensor]] = [[] for _ in FAN_IN]
    biases: list[list[Tensor]] = [[] for _ in FAN_IN]
    for seed in range(SEEDS):
        assert initialize(field, **options, generator=generator(seed)) is field
        for layer, linear in enumerate(field.linears()):
            weights[layer].append(linear.weight.detach().clone().flatten())
            biases[layer].append(linear.bias.detach().clone().flatten())
    return [torch.cat(w) for w in weights], [torch.cat(b) for b in biases]


def parts(values: Tensor) -> Tensor:
    """Return the real numbers of a tensor: its real and its imaginary parts."""
    return (torch.view_as_real(values) if values.is_complex() else values).double().flatten()


def assert_uniform(values: Tensor, bound: float) -> None:
    """Assert that values look like U(-bound, bound): bounds, mean and variance."""
    values = parts(values)
    assert values.abs().max() <= bound * (1 + 1e-6)
    assert values.abs().max() >= bound * (1 - 20 / len(values))
    _assert_moments(values, bound**2 / 3, math.sqrt(4 / 45) * bound**2)  # Var(x^2) = b^4 / 5 - b^4 / 9


def assert_normal(values: Tensor, variance: float) -> None:
    """Assert that values look like N(0, variance): mean, variance, and the share within one deviation."""
    values = parts(values)
    _assert_moments(values, variance, math.sqrt(2.0) * variance)  # Var(x^2) = 3 s^4 - s^4
    inside, share = float((values.square() < variance).double().mean()), math.erf(math.sqrt(0.5))
    assert abs(inside - share) <= SIGMAS * math.sqrt(share * (1 - share) / len(values))


def _assert_moments(values: Tensor, variance: float, square_deviation: float) -> None:
    root = math.sqrt(len(values))
    assert abs(values.mean()) <= SIGMAS * math.sqrt(variance) / root
    assert abs(values.square().mean() - variance) <= SIGMAS * square_deviation / root
