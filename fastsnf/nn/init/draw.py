"""What the initializers share: walking a field's layers and drawing from a generator on any device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fastsnf.errors import InputError, unknown
from fastsnf.nn.field import Field
from fastsnf.nn.init.bias import BiasInit, bias_scheme
from fastsnf.nn.layered import LayeredField

Draw = Callable[[Tensor, torch.Generator | None], Tensor]
"""Writes a tensor in place from a distribution."""

DISTRIBUTIONS = ("uniform", "normal")
"""Those that `by_variance` draws from."""

LARGEST = 1e37
"""The widest bound or deviation: whatever is drawn with it is finite in float32."""


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
        InputError: for an unknown `bias_init`, another generator, a parametrized layer or one without inputs.
    """
    scheme = bias_scheme(bias_init)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise InputError(f"expected generator to be a torch.Generator or None; got {generator!r}")
    parameters = [_parameters(linear, layer) for layer, linear in enumerate(field.linears())]
    for (weight, bias), draw in zip(parameters, draws, strict=True):
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


def layered(field: LayeredField, initializer: str) -> LayeredField:
    """Return `field`, of which every layer is a linear one with inputs.

    Raises:
        InputError: in the name of `initializer`, for a field that is not a chain of linear layers or makes
            their weights of other parameters, and for a layer of fan-in 0.
    """
    if not isinstance(field, Field):
        raise InputError(
            f"expected a field such as SNF(2, 3) for init {initializer!r}; got {type(field).__name__}"
        )
    if not isinstance(field, LayeredField) or not all(isinstance(m, nn.Linear) for m in field.linears()):
        raise InputError(
            f"expected a chain of linear layers for init {initializer!r}; got {type(field).__name__}, whose "
            "constructor draws its published initial parameters: leave init out"
        )
    for layer, linear in enumerate(field.linears()):
        if linear.in_features == 0:
            raise InputError(
                f"expected a fan-in of 1 or more for init {initializer!r}; got 0 in layer {layer}"
            )
    return field


def by_variance(distribution: str, variance: float) -> Draw:
    """Return the draw of mean 0 and ``E|w|^2 = variance``, ``"uniform"`` or ``"normal"``.

    Real and imaginary parts of a complex tensor have half the variance each.

    Raises:
        InputError: for another distribution, or a deviation above `LARGEST`.
    """
    if distribution not in DISTRIBUTIONS:
        raise unknown("distribution", distribution, DISTRIBUTIONS)
    _check_width("deviation", math.sqrt(variance))

    def draw(tensor: Tensor, generator: torch.Generator | None) -> Tensor:
        part = variance / 2.0 if tensor.is_complex() else variance
        if distribution == "uniform":
            return uniform(math.sqrt(3.0 * part))(tensor, generator)
        return normal(math.sqrt(part))(tensor, generator)

    return draw


def normal(std: float) -> Draw:
    """Return the draw from N(0, std^2); real and imaginary parts each of a complex tensor.

    Raises:
        InputError: for a deviation above `LARGEST`.
    """
    _check_width("deviation", std)

    def draw(tensor: Tensor, generator: torch.Generator | None) -> Tensor:
        return _on_generator_device(
            tensor,
            generator,
            lambda t: _on_parts(t, lambda part: part.normal_(0.0, std, generator=generator)),
        )

    return draw


def uniform(bound: float) -> Draw:
    """Return the draw from U(-bound, bound); real and imaginary parts each of a complex tensor.

    Raises:
        InputError: for a bound above `LARGEST`.
    """
    _check_width("bound", bound)

    def draw(tensor: Tensor, generator: torch.Generator | None) -> Tensor:
        return _on_generator_device(
            tensor, generator, lambda t: t.uniform_(-bound, bound, generator=generator)
        )

    return draw


def bounded(bound: float) -> Draw:
    """Return the draw from U(-bound, bound), of the same ``E|w|^2`` in complex tensors, half in each part."""
    real, part = uniform(bound), uniform(bound / math.sqrt(2.0))
    return lambda tensor, generator: (part if tensor.is_complex() else real)(tensor, generator)


def draw_default(tensor: Tensor, fan_in: int, generator: torch.Generator | None) -> Tensor:
    """Write PyTorch's default for weights and biases alike, U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
    if tensor.dim() == 1:
        return uniform(1.0 / math.sqrt(fan_in))(tensor, generator)
    # kaiming_uniform_ rounds that same bound in its own way: only it gives the numbers of nn.Linear
    gain_slope = math.sqrt(5.0)
    return _on_generator_device(
        tensor, generator, lambda t: nn.init.kaiming_uniform_(t, a=gain_slope, generator=generator)
    )


def draw_default_linear(linear: nn.Linear, generator: torch.Generator | None) -> None:
    """Write PyTorch's default into the weight of a linear layer, then into its bias."""
    for parameter in linear.parameters(recurse=False):
        draw_default(parameter, linear.in_features, generator)


def _check_width(name: str, width: float) -> None:
    """Raise, before any layer is written, for a distribution that reaches beyond float32."""
    if not width <= LARGEST:
        raise InputError(
            f"expected initial weights of a {name} of at most {LARGEST:g}; got {width:g}: choose smaller "
            "factors"
        )


def _on_generator_device(
    tensor: Tensor, generator: torch.Generator | None, write: Callable[[Tensor], Tensor]
) -> Tensor:
    """Apply `write` where the generator lives, so that one seed means one field on every device."""
    if generator is None or generator.device.type in (tensor.device.type, "meta") or tensor.is_meta:
        return write(tensor)
    return tensor.copy_(write(torch.empty_like(tensor, device=generator.device)))


def _on_parts(tensor: Tensor, write: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply `write` to the real numbers of a tensor in place."""
    if tensor.is_complex():
        write(torch.view_as_real(tensor))
        return tensor
    return write(tensor)


def _parameters(linear: nn.Linear, layer: int) -> tuple[Tensor, Tensor | None]:
    """Return the weight and bias to write into."""
    parameters = linear._parameters
    if parameters.get("weight") is None or "bias" not in parameters:
        raise InputError(
            f"expected plain parameters in layer {layer}; its weight or bias is parametrized: "
            "initialize the field first"
        )
    return linear.weight, linear.bias
