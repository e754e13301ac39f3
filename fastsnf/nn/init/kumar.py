"""Kumar's initializer, which VI3NR compares with."""

from __future__ import annotations

import math

import torch

from fastsnf.errors import InputError
from fastsnf.nn.init.bias import BiasInit
from fastsnf.nn.init.draw import by_variance, draw_layers, layered
from fastsnf.nn.init.slopes import ActivationLike, describe, fingerprint, values_and_slopes
from fastsnf.nn.layered import LayeredField
from fastsnf.spec import Identity

_STEP = 1e-12
"""Where the slopes on both sides of 0 are compared: those of a kink differ there, those of a bend do not."""


def kumar_gain(activation: ActivationLike) -> float:
    """Return ``1 / (|f'(0)| sqrt(1 + f(0)^2))``, the gain of Kumar's initializer.

    Args:
        activation: a spec, or an elementwise function of u; its omega is in f'(0).

    Returns:
        The gain: weight variance x fan-in = gain^2. Sigmoid's is 12.8, which Kumar prints as 3.6^2 = 12.96.

    Raises:
        InputError: where f is not differentiable at 0 or f'(0) = 0 (Gaussian, sinc): the first-order
            expansion that the gain comes from says nothing there.

    Source: Kumar, "On weight initialization in deep neural networks", 2017; VI3NR, Table 1.
    """
    fingerprint(activation)  # raises for what is not elementwise
    at = torch.tensor([-_STEP, 0.0, _STEP], dtype=torch.float64, device="cpu")
    h, slope = values_and_slopes(activation, at)
    scale = max(1.0, float(slope.abs().max()))
    name = describe(activation)
    if not bool(torch.isfinite(slope.abs()).all()) or float((slope[2] - slope[0]).abs()) > 1e-2 * scale:
        raise InputError(
            f"expected an activation that is differentiable at 0 for Kumar's gain; got {name}, of slopes "
            f"{slope[0].item():g} and {slope[2].item():g} beside 0: use vi3nr"
        )
    if float(slope[1].abs()) <= 1e-9 * scale:
        raise InputError(
            f"expected an activation with f'(0) other than 0 for Kumar's gain; got {name}: use vi3nr"
        )
    return 1.0 / (float(slope[1].abs()) * math.sqrt(1.0 + float(h[1].abs()) ** 2))


def kumar_normal_(
    field: LayeredField, *, bias_init: BiasInit = "default", generator: torch.Generator | None = None
) -> LayeredField:
    """Draw from N(0, gain^2 / n) with Kumar's gain of each layer's own activation, for fan-in n.

    omega counts by f'(0): the weights of ``Sine(omega)`` have the deviation 1 / (omega sqrt(n)). The last
    layer, which has no activation, takes the gain of the layer before. In complex layers the variance is
    E|w|^2.

    Args:
        field: of activations that are differentiable at 0 with a slope there; changed in place.
        bias_init: ``"default"``, ``"zero"``, ``"like-weights"`` or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: as `kumar_gain`; for a bad `bias_init`, or a field that is not a chain of linear layers.

    Source: Kumar, "On weight initialization in deep neural networks", 2017; VI3NR, Table 1.
    """
    activations = [
        field.hidden_activation if act == Identity() else act
        for act in layered(field, "kumar-normal").spec.activations
    ]
    draws = [
        by_variance("normal", kumar_gain(act) ** 2 / linear.in_features)
        for act, linear in zip(activations, field.linears(), strict=True)
    ]
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)
