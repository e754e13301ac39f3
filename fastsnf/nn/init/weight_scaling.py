"""SIREN's initializer and the weight scaling of it that trains faster.

Both are of sines. For another activation, `frequency_of` says what stands for omega: its own omega where it
has one (sinc, Gabor), a Gaussian's scale, 1 for ReLU, tanh and sigmoid. In complex layers the variance is
E|w|^2.
"""

from __future__ import annotations

import math

import torch

from fastsnf.nn.arguments import positive
from fastsnf.nn.init.bias import BiasInit
from fastsnf.nn.init.draw import bounded, draw_layers, layered
from fastsnf.nn.layered import LayeredField
from fastsnf.spec import Activation, FieldSpec, Finer, Sine


def weight_scaling_(
    field: LayeredField,
    *,
    alpha: float = 2.37,
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Scale SIREN's initial weights by `alpha` in every layer but the last.

    With fan-in d and the layer's own omega: first layer U(+-alpha/d), hidden layers
    U(+-alpha sqrt(6/d)/omega), last layer U(+-sqrt(6/d)/omega) with the hidden omega. Biases are not scaled;
    the first layer's omega is in no bound.

    Args:
        field: of sine or FINER layers, or others (`frequency_of`); changed in place.
        alpha: the factor, above 0; the paper's best are 2.37 for images, 3.7 for occupancy.
        bias_init: ``"default"``, ``"zero"``, ``"like-weights"`` or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for a field that is not a chain of linear layers, a bad `alpha` or `bias_init`.

    Source: Yeom et al., "Fast Training of Sinusoidal Neural Fields via Scaling Initialization", ICLR 2025,
    Eq. 3.
    """
    factor = positive("alpha", alpha)
    bounds = siren_bounds(field, "weight-scaling")
    draws = [bounded(factor * bound) for bound in bounds[:-1]]
    return draw_layers(field, [*draws, bounded(bounds[-1])], bias_init=bias_init, generator=generator)


def siren_(
    field: LayeredField, *, bias_init: BiasInit = "default", generator: torch.Generator | None = None
) -> LayeredField:
    """Initialize as SIREN: first layer U(+-1/d), the others U(+-sqrt(6/d)/omega), for fan-in d.

    omega is the layer's own, and the hidden layers' in the last one; the first layer's is in no bound.

    Args:
        field: of sine or FINER layers, or others (`frequency_of`); changed in place.
        bias_init: ``"default"`` (the original's: PyTorch's), ``"zero"``, ``"like-weights"`` or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for a field that is not a chain of linear layers, or a bad `bias_init`.

    Source: Sitzmann et al. 2020, Sec. 3.2 and supplement 1.5; with the released code's default biases.
    """
    draws = [bounded(bound) for bound in siren_bounds(field, "siren")]
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)


def frequency_tuning_(
    field: LayeredField,
    *,
    factor: float = 2.0,
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Initialize as SIREN, with the first layer's weights `factor` times as large: U(+-factor/d).

    With zero biases the initial function is the very one of SIREN's initializer in a field whose first omega
    is `factor` times as large; other biases keep their phases here and have `factor` times those there. The
    two train differently under Adam, whose steps of the first layer a larger omega multiplies.

    Args:
        field: of sine or FINER layers, or others (`frequency_of`); changed in place.
        factor: of the first layer's frequencies, above 0.
        bias_init: ``"default"``, ``"zero"``, ``"like-weights"`` or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for a field that is not a chain of linear layers, a bad `factor` or `bias_init`.

    Source: Yeom et al. 2025, Sec. 3.2, "frequency tuning", the rival of weight scaling in Fig. 2b.
    """
    number = positive("factor", factor)
    bounds = siren_bounds(field, "frequency-tuning")
    draws = [bounded(bound) for bound in (number * bounds[0], *bounds[1:])]
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)


def takes_weight_scaling(spec: FieldSpec) -> bool:
    """Return whether every activation of `spec` but the last layer's is one that SIREN's bounds are made for.

    The last layer, whatever follows it (a sigmoid), takes the hidden layers' omega if it has none of its own.
    """
    return all(isinstance(act, Sine | Finer) for act in spec.activations[:-1] or spec.activations)


def frequency_of(act: Activation) -> float | None:
    """Return what stands for omega in SIREN's bounds: omega, a Gaussian's scale, or None for neither.

    Divided by it, the weights give ``omega u`` or ``scale u`` the deviation that they give a sine's phase.
    """
    frequency = getattr(act, "omega", getattr(act, "scale", None))
    return None if frequency is None else float(frequency)


def siren_bounds(field: LayeredField, initializer: str) -> list[float]:
    """Return the bound of SIREN's uniform distribution for the weights of every layer.

    Raises:
        InputError: in the name of `initializer`, for a field that is not a chain of linear layers.
    """
    layered(field, initializer)
    return [_bound(field, layer) for layer in range(field.spec.layers)]


def siren_bound(layer: int, fan_in: int, omega: float) -> float:
    """Return the bound of SIREN's uniform distribution for the weights of one layer, the first being 0."""
    return math.sqrt(6.0 / fan_in) / omega if layer else 1.0 / fan_in


def _bound(field: LayeredField, layer: int) -> float:
    own = frequency_of(field.spec.activations[layer])
    if own is None and layer == field.spec.layers - 1:
        own = frequency_of(field.hidden_activation)
    return siren_bound(layer, field.linears()[layer].in_features, 1.0 if own is None else own)
