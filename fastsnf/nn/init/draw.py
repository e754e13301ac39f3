"""What the initializers share: walking a field's layers and drawing from a generator on any device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fastsnf.errors import InputError
from fastsnf.nn.init.bias import BiasInit, bias_scheme
from fastsnf.nn.layered import LayeredField

Draw = Callable[[Tensor, torch.Generator | None], Tensor]
"""Writes a tensor in place from a distribution."""


@torch.no_grad()
def draw_layers(
    field: LayeredField,
    draws: Sequence[Draw | None],
    *,
    bias_init: BiasInit,
    generator: torch.Generator | None,
) -> LayeredField:
    """Initialize every layer: PyTorch's default, then the weights by `draws[layer]`, then the biases.

    `torch.nn.Linear` initializes itself before the code of SIREN and its successors draws the weights again,
    so this order gives their very numbers for the same seed. None keeps the default weights.

    Raises:
        InputError: for an unknown `bias_init` or a parametrized layer.
    """
    scheme = bias_scheme(bias_init)
    for layer, (linear, draw) in enumerate(zip(field.linears(), draws, strict=True)):
        weight, bias = _parameters(linear, layer)
        fan_in = weight.shape[1]
        draw_default(weight, fan_in, generator)
        if bias is not None:
            draw_default(bias, fan_in, generator)
        if draw is not None:
            draw(weight, generator)
        if bias is None or scheme == "default":
            continue
        if scheme == "zero":
            bias.zero_()
        elif isinstance(scheme, float):
            bias.fill_(scheme)
        elif draw is not None:  # "like-weights"; the default distribution is the same for both
            draw(bias, generator)
    return field


def uniform(bound: float) -> Draw:
    """Return the draw from U(-bound, bound); real and imaginary parts each of a complex tensor."""

    def draw(tensor: Tensor, generator: torch.Generator | None) -> Tensor:
        return _on_generator_device(
            tensor, generator, lambda t: t.uniform_(-bound, bound, generator=generator)
        )

    return draw


def draw_default(tensor: Tensor, fan_in: int, generator: torch.Generator | None) -> Tensor:
    """Write PyTorch's default for weights and biases alike, U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
    if tensor.dim() == 1:
        return uniform(1.0 / math.sqrt(fan_in))(tensor, generator)
    # kaiming_uniform_ rounds that same bound in its own way: only it gives the numbers of nn.Linear
    gain_slope = math.sqrt(5.0)
    return _on_generator_device(
        tensor, generator, lambda t: nn.init.kaiming_uniform_(t, a=gain_slope, generator=generator)
    )


def _on_generator_device(
    tensor: Tensor, generator: torch.Generator | None, write: Callable[[Tensor], Tensor]
) -> Tensor:
    """Apply `write` where the generator lives, so that one seed means one field on every device."""
    if generator is None or generator.device.type in (tensor.device.type, "meta") or tensor.is_meta:
        return write(tensor)
    return tensor.copy_(write(torch.empty_like(tensor, device=generator.device)))


def _parameters(linear: nn.Linear, layer: int) -> tuple[Tensor, Tensor | None]:
    """Return the weight and bias to write into."""
    parameters = linear._parameters
    if parameters.get("weight") is None or "bias" not in parameters:
        raise InputError(
            f"expected plain parameters in layer {layer}; its weight or bias is parametrized: "
            "initialize the field first"
        )
    return linear.weight, linear.bias
