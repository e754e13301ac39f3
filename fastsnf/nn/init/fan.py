"""Xavier's, Kaiming's and LeCun's initializers: a variance by the sizes of a layer alone."""

from __future__ import annotations

import torch

from fastsnf.errors import unknown
from fastsnf.nn.arguments import positive
from fastsnf.nn.init.bias import BiasInit
from fastsnf.nn.init.draw import by_variance, draw_layers, layered
from fastsnf.nn.layered import LayeredField

MODES = ("fan-in", "fan-out")
"""What Kaiming's variance is divided by: the inputs of a layer or its outputs."""


def xavier_uniform_(
    field: LayeredField,
    *,
    gain: float = 1.0,
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Draw every weight from U(+-gain sqrt(6 / (fan_in + fan_out))), the last layer's too.

    No omega is in it: the activations' own stays where it is. In complex layers the variance is that of |w|.

    Args:
        field: of any activations; changed in place.
        gain: above 0; `pytorch_gain` has PyTorch's for some activations.
        bias_init: ``"default"``, ``"zero"``, ``"like-weights"`` or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for a bad `gain` or `bias_init`, or a field that is not a chain of linear layers.

    Source: Glorot and Bengio 2010, Eq. 16; the baseline of Yeom et al. 2025, App. E.1.
    """
    return _xavier(field, "uniform", gain, bias_init, generator)


def xavier_normal_(
    field: LayeredField,
    *,
    gain: float = 1.0,
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Draw every weight from N(0, 2 gain^2 / (fan_in + fan_out)); the rest as `xavier_uniform_`."""
    return _xavier(field, "normal", gain, bias_init, generator)


def kaiming_uniform_(
    field: LayeredField,
    *,
    gain: float | None = None,
    mode: str = "fan-in",
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Draw every weight from U(+-gain sqrt(3 / fan)), the last layer's too.

    No omega is in it. In complex layers the variance is that of |w|.

    Args:
        field: of any activations; changed in place.
        gain: above 0; None for ReLU's sqrt(2), whatever the activations are.
        mode: ``"fan-in"`` keeps the variance of pre-activations, ``"fan-out"`` that of gradients.
        bias_init: ``"default"``, ``"zero"``, ``"like-weights"`` or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for a bad `gain`, `mode` or `bias_init`, or a field that is not a chain of linear layers.

    Source: He et al. 2015, Eq. 10 and 14.
    """
    return _kaiming(field, "uniform", gain, mode, bias_init, generator)


def kaiming_normal_(
    field: LayeredField,
    *,
    gain: float | None = None,
    mode: str = "fan-in",
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Draw every weight from N(0, gain^2 / fan); the rest as `kaiming_uniform_`."""
    return _kaiming(field, "normal", gain, mode, bias_init, generator)


def lecun_uniform_(
    field: LayeredField, *, bias_init: BiasInit = "default", generator: torch.Generator | None = None
) -> LayeredField:
    """Draw every weight from U(+-sqrt(3 / fan_in)), the last layer's too.

    No omega is in it. In complex layers the variance is that of |w|.

    Args:
        field: of any activations; changed in place.
        bias_init: ``"default"``, ``"zero"``, ``"like-weights"`` or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for a bad `bias_init`, or a field that is not a chain of linear layers.

    Source: LeCun et al. 1998, Sec. 4.6; the baseline of Saratchandran et al. 2024, Sec. 5.1.
    """
    return _kaiming(field, "uniform", 1.0, "fan-in", bias_init, generator, "lecun")


def lecun_normal_(
    field: LayeredField, *, bias_init: BiasInit = "default", generator: torch.Generator | None = None
) -> LayeredField:
    """Draw every weight from N(0, 1 / fan_in); the rest as `lecun_uniform_`."""
    return _kaiming(field, "normal", 1.0, "fan-in", bias_init, generator, "lecun")


def _xavier(
    field: LayeredField,
    distribution: str,
    gain: float,
    bias_init: BiasInit,
    generator: torch.Generator | None,
) -> LayeredField:
    squared = 2.0 * positive("gain", gain) ** 2
    draws = [
        by_variance(distribution, squared / (linear.in_features + linear.out_features))
        for linear in layered(field, f"xavier-{distribution}").linears()
    ]
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)


def _kaiming(
    field: LayeredField,
    distribution: str,
    gain: float | None,
    mode: str,
    bias_init: BiasInit,
    generator: torch.Generator | None,
    family: str = "kaiming",
) -> LayeredField:
    squared = 2.0 if gain is None else positive("gain", gain) ** 2
    key = str(mode).replace("_", "-")
    if key not in MODES:
        raise unknown("mode", mode, MODES)
    linears = layered(field, f"{family}-{distribution}").linears()
    fans = [linear.in_features if key == "fan-in" else linear.out_features for linear in linears]
    draws = [by_variance(distribution, squared / fan) for fan in fans]
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)
