"""SIREN's initializer and the weight scaling of it that trains faster."""

from __future__ import annotations

import math
from numbers import Real

import torch

from fastsnf.errors import InputError
from fastsnf.nn.init.bias import BiasInit
from fastsnf.nn.init.draw import draw_layers, uniform
from fastsnf.nn.layered import LayeredField
from fastsnf.spec import FieldSpec, Finer, Identity, Sine


def weight_scaling_(
    field: LayeredField,
    *,
    alpha: float = 2.37,
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Scale SIREN's initial weights by `alpha` in every layer but the last.

    With fan-in d and the layer's own omega: first layer U(+-alpha/d), hidden layers
    U(+-alpha sqrt(6/d)/omega), last layer U(+-sqrt(6/d)/omega) with the hidden omega. Biases are not scaled.

    Args:
        field: of sine or FINER layers; changed in place.
        alpha: the factor, above 0; the paper's best are 2.37 for images, 3.7 for occupancy.
        bias_init: ``"default"``, ``"zero"``, ``"like-weights"`` or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for activations without an omega in SIREN's sense, a bad `alpha` or `bias_init`.

    Source: Yeom et al., "Fast Training of Sinusoidal Neural Fields via Scaling Initialization", ICLR 2025,
    Eq. 3.
    """
    if isinstance(alpha, bool) or not isinstance(alpha, Real) or not 0 < alpha < math.inf:
        raise InputError(f"expected alpha to be a number above 0; got {alpha!r}")
    return _draw(field, float(alpha), bias_init, generator)


def siren_(
    field: LayeredField, *, bias_init: BiasInit = "default", generator: torch.Generator | None = None
) -> LayeredField:
    """Initialize as SIREN: first layer U(+-1/d), the others U(+-sqrt(6/d)/omega), for fan-in d.

    Args:
        field: of sine or FINER layers; changed in place.
        bias_init: ``"default"`` (the original's: PyTorch's), ``"zero"``, ``"like-weights"`` or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for activations without an omega in SIREN's sense, or a bad `bias_init`.

    Source: Sitzmann et al. 2020, Sec. 3.2 and supplement 1.5; with the released code's default biases.
    """
    return _draw(field, 1.0, bias_init, generator)


def takes_weight_scaling(spec: FieldSpec) -> bool:
    """Return whether SIREN's bounds mean something for every activation of `spec`."""
    hidden = spec.activations[:-1] if spec.activations[-1] == Identity() else spec.activations
    return bool(hidden) and all(isinstance(act, Sine | Finer) for act in hidden)


def _draw(
    field: LayeredField, alpha: float, bias_init: BiasInit, generator: torch.Generator | None
) -> LayeredField:
    if not takes_weight_scaling(field.spec):
        names = ", ".join(act.name for act in field.spec.activations)
        raise InputError(
            f"expected sine or finer layers, whose omega sets SIREN's bounds; got {names}: use init='default'"
        )
    draws = [uniform(_bound(field, layer, alpha)) for layer in range(field.spec.layers)]
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)


def _bound(field: LayeredField, layer: int, alpha: float) -> float:
    """Return the bound of the uniform distribution of one layer's weights."""
    fan_in = field.linears()[layer].in_features
    last = layer == field.spec.layers - 1
    factor = 1.0 if last else alpha
    if layer == 0:
        return factor / fan_in
    own = field.spec.activations[layer]
    act = field.hidden_activation if own == Identity() else own
    assert isinstance(act, Sine | Finer)  # takes_weight_scaling holds
    return factor * math.sqrt(6.0 / fan_in) / act.omega
