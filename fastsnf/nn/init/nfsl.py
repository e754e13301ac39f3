"""NFSL's initializers: a last layer so small that fewer parameters fit as many samples."""

from __future__ import annotations

import math

import torch

from fastsnf.nn.arguments import positive
from fastsnf.nn.init.bias import BiasInit
from fastsnf.nn.init.draw import bounded, by_variance, draw_layers, layered
from fastsnf.nn.init.weight_scaling import siren_bounds
from fastsnf.nn.layered import LayeredField


def nfsl_normal_(
    field: LayeredField,
    *,
    head_factor: float = 2.0,
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Draw from N(0, 1/n) and in the last layer from N(0, head_factor / n^(3/2)), for fan-in n.

    No omega is in it: the same weights for every activation. In complex layers the variance is E|w|^2.

    Args:
        field: of any activations; changed in place.
        head_factor: above 0. 2 is the paper's Eq. 4.11; its text and Fig. 2 (smaller by 1/sqrt(n)) mean 1.
        bias_init: ``"default"``, ``"zero"`` (the paper's, or a number such as 0.01), ``"like-weights"`` or a
            number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for a bad `head_factor` or `bias_init`, or a field that is not a chain of linear layers.

    Source: Saratchandran et al., "From Activation to Initialization: Scaling Insights for Optimizing Neural
    Fields", CVPR 2024 (NFSL), Initialization 1, Eq. 4.10 and 4.11.
    """
    factor = positive("head_factor", head_factor)
    fans = [linear.in_features for linear in layered(field, "nfsl-normal").linears()]
    draws = [by_variance("normal", 1.0 / n) for n in fans[:-1]]
    draws.append(by_variance("normal", factor / fans[-1] ** 1.5))
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)


def nfsl_uniform_(
    field: LayeredField,
    *,
    head_factor: float = 1.0,
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Draw from U(+-1/sqrt(n)) and in the last layer from U(+-head_factor / n^(3/4)), for fan-in n.

    Those are bounds: the variances are a third, so that this is not `nfsl_normal_` in another distribution.
    No omega is in it. In complex layers the variance is that of |w|.

    Args:
        field: of any activations; changed in place.
        head_factor: above 0; 1 is the paper's Eq. 4.16.
        bias_init: ``"default"``, ``"zero"`` (the paper's, or a number such as 0.01), ``"like-weights"`` or a
            number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for a bad `head_factor` or `bias_init`, or a field that is not a chain of linear layers.

    Source: as `nfsl_normal_`, Initialization 2, Eq. 4.15 and 4.16.
    """
    factor = positive("head_factor", head_factor)
    fans = [linear.in_features for linear in layered(field, "nfsl-uniform").linears()]
    draws = [by_variance("uniform", 1.0 / (3.0 * n)) for n in fans[:-1]]
    draws.append(by_variance("uniform", factor**2 / (3.0 * fans[-1] ** 1.5)))
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)


def nfsl_sine_(
    field: LayeredField, *, bias_init: BiasInit = "default", generator: torch.Generator | None = None
) -> LayeredField:
    """Initialize as SIREN, but the last layer from U(+-sqrt(6) / (omega n^(3/4))), for fan-in n.

    omega is the hidden layers', as in SIREN's own last layer, which is n^(1/4) times as large.

    Args:
        field: of sine or FINER layers, or others (`fastsnf.nn.init.weight_scaling.frequency_of`); changed in
            place.
        bias_init: ``"default"``, ``"zero"``, ``"like-weights"`` or a number.
        generator: the source; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for a field that is not a chain of linear layers, or a bad `bias_init`.

    Source: Yeom et al. 2025, App. E.1 (the NFSL rows of its tables; the original's supplement is not public).
    """
    bounds = siren_bounds(field, "nfsl-sine")
    bounds[-1] /= math.sqrt(math.sqrt(field.linears()[-1].in_features))
    draws = [bounded(bound) for bound in bounds]
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)
