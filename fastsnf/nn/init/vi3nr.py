"""VI3NR: weights by the variance that any activation passes on."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsnf.nn.init.bias import BiasInit
from fastsnf.nn.init.condition import solve_sigma_p
from fastsnf.nn.init.draw import by_variance, draw_layers, layered
from fastsnf.nn.init.moments import moments
from fastsnf.nn.layered import LayeredField
from fastsnf.spec import Identity

CONDITIONS = ("forward", "backward")


def vi3nr_(
    field: LayeredField,
    *,
    sigma_p: float | None = None,
    after_omega: bool = False,
    condition: str = "forward",
    distribution: str = "uniform",
    input_moment: float | Tensor | None = None,
    method: str = "auto",
    samples: int = 1_000_000,
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Draw every layer so that its pre-activations keep the deviation sigma_p (VI3NR, Eq. 4)."""
    sigmas = []
    for act in layered(field, "vi3nr").spec.activations:
        if act == Identity() and sigmas:
            sigmas.append(sigmas[-1])
            continue
        value = sigma_p
        if value is None:
            value = solve_sigma_p(act) or 1.0 / getattr(act, "omega", 1.0)
        elif after_omega:
            value = value / getattr(act, "omega", 1.0)
        sigmas.append(value)
    variances = [
        sigmas[0] ** 2
        / ((1.0 / 3.0 if input_moment is None else float(input_moment)) * field.linears()[0].in_features)
    ]
    for layer, linear in enumerate(field.linears()[1:], start=1):
        before = field.spec.activations[layer - 1]
        variances.append(
            sigmas[layer] ** 2 / (moments(before, sigmas[layer - 1]).square * linear.in_features)
        )
    draws = [by_variance(distribution, v) for v in variances]
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)
