"""Normal weights of one deviation in every layer."""

from __future__ import annotations

import torch

from fastsnf.nn.arguments import positive
from fastsnf.nn.init.bias import BiasInit
from fastsnf.nn.init.draw import by_variance, draw_layers, layered
from fastsnf.nn.layered import LayeredField


def random_normal_(
    field: LayeredField,
    *,
    std: float = 0.1,
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Draw the weights of every layer from N(0, std^2), whatever the layer's size and activation.

    The baseline of VI3NR, which its authors search over `std`: nothing keeps the deviation of
    pre-activations. No omega is in it. In complex layers std^2 is E|w|^2, as in `torch.randn`.

    Args:
        field: of any activations; changed in place.
        std: the deviation, above 0. The paper prints none: it searches one for each task.
        bias_init: ``"default"``, ``"zero"``, ``"like-weights"`` or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for a bad `std` or `bias_init`, or a field that is not a chain of linear layers.

    Source: Koneputugodage et al. 2025 (VI3NR), Sec. 4, "random normal init".
    """
    draws = [by_variance("normal", positive("std", std) ** 2)] * layered(field, "random-normal").spec.layers
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)
