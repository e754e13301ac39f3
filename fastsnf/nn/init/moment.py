"""Moments of activations under a normal pre-activation: what the variance of the next layer follows from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from fastsnf.errors import InputError, check_whole, unknown
from fastsnf.nn.arguments import positive
from fastsnf.nn.init.closed_form import CLOSED, closed_form
from fastsnf.nn.init.quadrature import EXACT, Effort, expectations
from fastsnf.nn.init.slopes import ActivationLike, complex_slopes, describe, fingerprint, values_and_slopes
from fastsnf.spec import Activation

METHODS = ("auto", "closed-form", "quadrature", "monte-carlo")
"""How moments are found. ``"auto"`` takes the closed form where there is one, else quadrature: exact, some
milliseconds. ``"monte-carlo"`` is the paper's, with an error of 1 / sqrt(samples): for comparison."""

_LEAST, _MOST = 1e-60, 1e60
"""A second moment outside would need weights that float32 has not, however sigma_p is chosen."""

_USABLE = 1e-3
"""The largest relative error of a moment that weights are drawn by."""


@dataclass(frozen=True)
class Moments:
    """Moments of ``f(u)`` for u ~ N(0, sigma_p^2), each with an estimate of its absolute error.

    Attributes:
        mean: E[f], complex where f is. square: E[|f|^2]. slope_square: E[|f'|^2].
        mean_error, square_error, slope_square_error: of quadrature its own estimate, of Monte Carlo one
            deviation of the sampling error, of a closed form 0.
        method: ``"closed-form"``, ``"quadrature"`` or ``"monte-carlo"``.
    """

    mean: complex
    mean_error: float
    square: float
    square_error: float
    slope_square: float
    slope_square_error: float
    method: str


def moments(
    activation: ActivationLike,
    sigma_p: float = 1.0,
    *,
    method: str = "auto",
    samples: int = 1_000_000,
    seed: int = 0,
    complex_input: bool = False,
) -> Moments:
    """Return E[f], E[|f|^2] and E[|f'|^2] for u ~ N(0, sigma_p^2).

    Args:
        activation: a spec, or any elementwise torch function of u = W x + b, its omega inside. f' is
            autograd's: 0 for what torch has no derivative of, such as a step; FINER's |u| + 1 is a constant.
        sigma_p: the deviation of u, above 0; for ``Sine(omega)`` 1 / omega is SIREN's.
        method: one of `METHODS`. Quadrature sees features at 0 of any width and elsewhere of some 0.005
            sigma_p and wider.
        samples: of Monte Carlo, 2 or more. seed: of Monte Carlo's own generator.
        complex_input: for `Gabor` alone: u is complex normal with E|u|^2 = sigma_p^2, as in WIRE's layers
            after the first, and the last moment that of the mean of both partial derivatives.

    Returns:
        The moments; infinite where f outgrows the normal density, NaN where f is NaN.

    Raises:
        InputError: for bad arguments, or a method that `activation` does not have.

    Source: Koneputugodage et al. 2025 (VI3NR), Eq. 5, 6 and 13; closed forms of Eq. 16 and its like.
    """
    sigma = positive("sigma_p", sigma_p)
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    check_whole("samples", samples, 2)
    check_whole("seed", seed, -(2**63), 2**63 - 1)
    if complex_input and not (isinstance(activation, Activation) and activation.is_complex):
        raise InputError(f"expected complex_input with a complex activation; got {describe(activation)}")
    mark = fingerprint(activation)
    try:
        return _remembered(activation, mark, sigma, method, samples, seed, complex_input)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _moments(activation, sigma, method, samples, seed, complex_input)


def gain(
    activation: ActivationLike,
    sigma_p: float = 1.0,
    *,
    method: str = "auto",
    samples: int = 1_000_000,
    seed: int = 0,
    complex_input: bool = False,
) -> float:
    """Return VI3NR's gain ``sigma_p / sqrt(E[f^2])``: weight variance x fan-in = gain^2.

    With it, inputs that are f of N(0, sigma_p^2) have pre-activations of that distribution again.

    Args:
        activation, sigma_p, method, samples, seed, complex_input: as in `moments`.

    Returns:
        The gain. At sigma_p = 1: tanh sqrt(2.54), sigmoid sqrt(3.41), ReLU sqrt(2), ``Sine(30)`` sqrt(2).

    Raises:
        InputError: as `moments`; for an activation of zero, infinite or undefined second moment, which VI3NR
            cannot serve, or one that quadrature does not resolve.

    Source: VI3NR, Eq. 4 and 15.
    """
    found = moments(
        activation, sigma_p, method=method, samples=samples, seed=seed, complex_input=complex_input
    )
    square = usable(found.square, found.square_error, "second moment", activation, found.method)
    return positive("sigma_p", sigma_p) / math.sqrt(square)


def usable(value: float, error: float, what: str, activation: ActivationLike, method: str) -> float:
    """Return `value`, a moment that weights can be drawn by.

    Raises:
        InputError: for one that is zero, infinite, NaN, or of an error beyond 0.1 % by quadrature.
    """
    name = describe(activation)
    if not _LEAST < value < _MOST:
        kind = "undefined (NaN)" if math.isnan(value) else "infinite" if value > 1.0 else "zero"
        raise InputError(
            f"expected an activation with a positive finite {what} for VI3NR; that of {name} is {kind}, and "
            "VI3NR cannot serve it: use another sigma_p or initializer"
        )
    if method == "quadrature" and error > _USABLE * value:
        raise InputError(
            f"expected the {what} of {name} to {_USABLE:.1%}; quadrature reached {error / value:.1%}: it is "
            "infinite or too rough, try method='monte-carlo'"
        )
    return value


def passed_on(activation: ActivationLike, slope_square: float, complex_input: bool) -> float:
    """Return what the variance of gradients with respect to f(u) is multiplied by on its way to u.

    E[f'^2]; half of E[|f'|^2] from complex f to real u, where the gradient is Re(conj(d_h) f').
    """
    narrows = isinstance(activation, Activation) and activation.is_complex and not complex_input
    return 0.5 * slope_square if narrows else slope_square


def quadrature_rows(activation: ActivationLike, sigmas: Tensor, effort: Effort) -> tuple[Tensor, Tensor]:
    """Return Re E[f], Im E[f], E[|f|^2] and E[|f'|^2] and their errors, both [4, S], for sigmas [S]."""

    def integrand(u: Tensor) -> Tensor:
        h, slope = values_and_slopes(activation, u)
        if h.is_complex():
            return torch.stack([h.real, h.imag, h.abs().square(), slope.abs().square()])
        return torch.stack([h, torch.zeros_like(h), h.square(), slope.square()])

    return expectations(integrand, sigmas, effort)


@lru_cache(maxsize=4096)
def _remembered(
    activation: ActivationLike,
    mark: bytes,
    sigma: float,
    method: str,
    samples: int,
    seed: int,
    complex_input: bool,
) -> Moments:
    """Return `_moments`; `mark` tells a function whose enclosed values changed."""
    return _moments(activation, sigma, method, samples, seed, complex_input)


def _moments(
    activation: ActivationLike, sigma: float, method: str, samples: int, seed: int, complex_input: bool
) -> Moments:
    if method in ("auto", "closed-form") and isinstance(activation, Activation):
        exact = closed_form(activation, sigma, complex_input)
        if exact is not None:
            return Moments(exact[0], 0.0, exact[1], 0.0, exact[2], 0.0, "closed-form")
    if method == "closed-form":
        names = ", ".join(cls.name for cls in CLOSED)
        raise InputError(
            f"expected an activation with closed forms ({names}); got {describe(activation)}: use "
            "method='quadrature'"
        )
    if method == "monte-carlo":
        return _monte_carlo(activation, sigma, samples, seed, complex_input)
    if complex_input:
        raise InputError(
            f"expected method 'closed-form' or 'monte-carlo' for {activation} with complex_input; "
            f"got {method!r}"
        )
    rows, errors = quadrature_rows(
        activation, torch.tensor([sigma], dtype=torch.float64, device="cpu"), EXACT
    )
    (re, im, square, slope), (e_re, e_im, e_square, e_slope) = rows[:, 0].tolist(), errors[:, 0].tolist()
    mean = complex(re, im) if im else re
    return Moments(mean, math.hypot(e_re, e_im), square, e_square, slope, e_slope, "quadrature")


def _monte_carlo(
    activation: ActivationLike, sigma: float, samples: int, seed: int, complex_input: bool
) -> Moments:
    generator = torch.Generator("cpu").manual_seed(seed)
    dtype = torch.complex128 if complex_input else torch.float64
    # E|u|^2 = sigma^2 of complex numbers too
    u = torch.randn(samples, generator=generator, dtype=dtype, device="cpu").mul_(sigma)
    if complex_input:
        h, slope_square = complex_slopes(activation, u)
    else:
        h, slope = values_and_slopes(activation, u)
        slope_square = slope.abs().square()
    square = h.abs().square()
    mean = h.mean().item()
    root = math.sqrt(samples)
    deviations = [float(rows.std()) / root for rows in (square, slope_square)]
    mean_error = math.sqrt(max(float(square.mean()) - abs(mean) ** 2, 0.0)) / root
    return Moments(
        mean,
        mean_error,
        float(square.mean()),
        deviations[0],
        float(slope_square.mean()),
        deviations[1],
        "monte-carlo",
    )
