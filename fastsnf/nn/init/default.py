"""PyTorch's default initializer of linear layers."""

from __future__ import annotations

import torch

from fastsnf.nn.init.bias import BiasInit
from fastsnf.nn.init.draw import draw_layers, layered
from fastsnf.nn.layered import LayeredField


def default_(
    field: LayeredField, *, bias_init: BiasInit = "default", generator: torch.Generator | None = None
) -> LayeredField:
    """Initialize every layer as `torch.nn.Linear`: U(-1/sqrt(fan_in), 1/sqrt(fan_in)), weights and biases.

    No omega is in it. Complex layers draw real and imaginary parts each from that interval, so that E|w|^2 is
    twice the real one's. The baselines WIRE, GaussNet and sinc start so.

    Args:
        field: changed in place.
        bias_init: ``"default"``, ``"zero"``, ``"like-weights"`` (here the default again) or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for an unknown `bias_init` or a parametrized layer.
    """
    layers = layered(field, "default").spec.layers
    return draw_layers(field, [None] * layers, bias_init=bias_init, generator=generator)
