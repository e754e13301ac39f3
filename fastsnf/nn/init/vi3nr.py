"""VI3NR: weights by the second moment that any activation passes on."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from fastsnf.encodings import FourierFeatures, Positional
from fastsnf.errors import InputError, unknown
from fastsnf.nn.arguments import positive
from fastsnf.nn.init.bias import BiasInit
from fastsnf.nn.init.draw import by_variance, draw_layers, layered
from fastsnf.nn.init.moment import moments, passed_on, usable
from fastsnf.nn.init.sigma_p import solve_sigma_p
from fastsnf.nn.layered import LayeredField
from fastsnf.spec import Identity

CONDITIONS = ("forward", "backward")
"""What the weights keep from layer to layer: the variance of pre-activations, or that of gradients."""

_POINTS = 4096
"""Coordinates at which the features of an encoding are measured that has no known second moment."""


def vi3nr_(
    field: LayeredField,
    *,
    sigma_p: float | None = None,
    after_omega: bool = False,
    condition: Literal["forward", "backward"] = "forward",
    distribution: Literal["uniform", "normal"] = "uniform",
    input_moment: float | Tensor | None = None,
    method: str = "auto",
    samples: int = 1_000_000,
    seed: int = 0,
    bias_init: BiasInit = "default",
    generator: torch.Generator | None = None,
) -> LayeredField:
    """Draw weights that keep the deviation `sigma_p` of pre-activations in every layer, for any activation.

    With fan-in n and z ~ N(0, sigma_p^2) the variance of layer l is ``sigma_p^2 / (n E[f(z)^2])``, f being
    the activation of layer l - 1; the first layer has the second moment of the input in its place. The last
    layer has that gain too, with the sigma_p of the layer before. Where first and hidden activations differ
    (another omega), each layer has its own sigma_p. Biases other than zero add their variance to sigma_p^2.

    With ``condition="backward"`` the layers after the first have ``1 / (fan_out E[f'(z)^2])`` instead,
    which keeps the variance of gradients. Both hold at the sigma_p of `solve_sigma_p`.

    In complex layers the variance is E|w|^2 and sigma_p^2 is E|u|^2, halves of both in either part.

    Args:
        field: of any activations; changed in place.
        sigma_p: the deviation of u = W x + b for the activation as given: for ``Sine(omega)`` SIREN's scale
            is 1 / omega. None takes each activation's root of Eq. 13, and where it has none 1 / omega, or 1
            without an omega.
        after_omega: read `sigma_p` as the deviation of omega u, as the paper does: it is divided by each
            activation's omega, if it has one.
        condition: ``"forward"`` (Eq. 4) or ``"backward"`` (Eq. 12).
        distribution: ``"uniform"`` or ``"normal"``.
        input_moment: E[x^2] of what the first layer sees, a number or coordinates [..., D] to measure it at;
            None for coordinates uniform in [-1, 1] (1/3), or the features that the encoding makes of them.
        method, samples, seed: of the moments, as in `fastsnf.init.moments`.
        bias_init: ``"default"``, ``"zero"``, ``"like-weights"`` (the paper's for audio) or a number.
        generator: the source of the weights; None for torch's global one.

    Returns:
        `field`.

    Raises:
        InputError: for bad arguments, a field that is not a chain of linear layers, or an activation of zero,
            infinite or undefined moments, which VI3NR cannot serve.

    Source: Koneputugodage et al., "VI3NR: Variance Informed Initialization for Implicit Neural
    Representations", CVPR 2025, Eq. 4, 12 and 13.
    """
    if condition not in CONDITIONS:
        raise unknown("condition", condition, CONDITIONS)
    spec = layered(field, "vi3nr").spec
    sigmas = _deviations(field, sigma_p, after_omega)
    fans = [(linear.in_features, linear.out_features) for linear in field.linears()]
    variances = [sigmas[0] ** 2 / (_input_moment(field, input_moment) * fans[0][0])]
    for layer in range(1, spec.layers):
        before, sigma = spec.activations[layer - 1], sigmas[layer - 1]
        complex_input = spec.complex_weights(layer - 1)
        found = moments(before, sigma, method=method, samples=samples, seed=seed, complex_input=complex_input)
        if condition == "forward":
            square = usable(found.square, found.square_error, "second moment", before, found.method)
            variances.append(sigmas[layer] ** 2 / (square * fans[layer][0]))
        else:
            error = found.slope_square_error
            slope = usable(found.slope_square, error, "mean square slope", before, found.method)
            variances.append(1.0 / (passed_on(before, slope, complex_input) * fans[layer][1]))
    draws = [by_variance(distribution, variance) for variance in variances]
    return draw_layers(field, draws, bias_init=bias_init, generator=generator)


def _deviations(field: LayeredField, sigma_p: float | None, after_omega: bool) -> list[float]:
    """Return sigma_p of every layer's pre-activation; a linear last layer has that of the layer before."""
    given = None if sigma_p is None else positive("sigma_p", sigma_p)
    spec = field.spec
    sigmas: list[float] = []
    for layer, act in enumerate(spec.activations):
        if act == Identity() and sigmas:
            sigmas.append(sigmas[-1])
            continue
        omega = getattr(act, "omega", 1.0)
        if given is None:
            root = solve_sigma_p(act, complex_input=spec.complex_weights(layer))
            sigmas.append(1.0 / omega if root is None else root)
        else:
            sigmas.append(given / omega if after_omega else given)
    return sigmas


@torch.no_grad()
def _input_moment(field: LayeredField, given: float | Tensor | None) -> float:
    """Return E[x^2] of what the first layer sees."""
    if isinstance(given, Tensor) and given.dim() > 0:
        if given.shape[-1] != field.in_features or given.numel() == 0:
            raise InputError(
                f"expected input_moment to be a number or coordinates [..., {field.in_features}]; got a "
                f"tensor of shape {list(given.shape)}"
            )
        place = field.linears()[0].weight
        seen = field.encode(given.to(device=place.device, dtype=field.dtype))
        return positive("the second moment of the coordinates", float(seen.double().square().mean()))
    if given is not None:
        return positive("input_moment", given.item() if isinstance(given, Tensor) else given)
    if field.encoding is None:
        return 1.0 / 3.0
    spec = field.encoding.spec
    if isinstance(spec, FourierFeatures):
        return 0.5  # pairs of sine and cosine
    if isinstance(spec, Positional):
        pairs = float(spec.frequencies)
        return (1.0 / 3.0 + pairs) / (1.0 + 2.0 * pairs) if spec.include_input else 0.5
    generator = torch.Generator("cpu").manual_seed(0)
    points = torch.rand(_POINTS, field.in_features, generator=generator, device="cpu") * 2.0 - 1.0
    return _input_moment(field, points)
