"""VI3NR's Eq. 13: the deviation of pre-activations that keeps values and gradients alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch

from fastsnf.errors import InputError
from fastsnf.nn.arguments import positive
from fastsnf.nn.init.closed_form import closed_form
from fastsnf.nn.init.grid_search import published_sigma_p
from fastsnf.nn.init.moment import moments, passed_on, quadrature_rows, usable
from fastsnf.nn.init.quadrature import ROUGH, Effort
from fastsnf.nn.init.slopes import ActivationLike, fingerprint
from fastsnf.spec import Activation

_DECADES = 6
"""The scan goes this many decades to either side of the activation's own scale."""

_PER_DECADE = 4
_CHUNK = 12
"""Points of the scan that are looked at together, from the smallest on, until the condition crosses 1."""

_CLOSER = Effort(rtol=1e-9, step=0.3, nodes=2_000_000)
"""For the points of the scan that one pass leaves open."""

_EQUAL = 1e-7
"""How near 1 the condition counts as 1 and not as above or below."""


def condition(
    activation: ActivationLike,
    sigma_p: float = 1.0,
    *,
    fan_ratio: float = 1.0,
    method: str = "auto",
    samples: int = 1_000_000,
    seed: int = 0,
    complex_input: bool = False,
) -> float:
    """Return ``sigma_p^2 (M_{i+1} / M_i) E[f'^2] / E[f^2]``, the left side of Eq. 13.

    It is what a layer with VI3NR's forward variance multiplies the variance of gradients by: 1 keeps it.

    Args:
        activation, sigma_p, method, samples, seed, complex_input: as in `moments`.
        fan_ratio: ``M_{i+1} / M_i``, outputs over inputs of a layer; 1 for equal widths.

    Returns:
        The condition, above 0.

    Raises:
        InputError: as `gain`.
    """
    ratio = positive("fan_ratio", fan_ratio)
    found = moments(
        activation, sigma_p, method=method, samples=samples, seed=seed, complex_input=complex_input
    )
    square = usable(found.square, found.square_error, "second moment", activation, found.method)
    slope = usable(
        found.slope_square, found.slope_square_error, "mean square slope", activation, found.method
    )
    return float(sigma_p) ** 2 * ratio * passed_on(activation, slope, complex_input) / square


def solve_sigma_p(
    activation: ActivationLike,
    *,
    fan_ratio: float = 1.0,
    as_published: bool = False,
    seed: int | None = None,
    complex_input: bool = False,
) -> float | None:
    """Return the smallest sigma_p above 0 at which Eq. 13 holds, or None where it holds at none.

    `condition` is followed over twelve decades about the activation's own scale (1 / omega, 1 / scale; 1 for
    a function), by closed forms or quadrature, and the first crossing of 1 is refined. Sine and tanh have
    none: their condition is above 1 and tends to 1 as sigma_p -> 0. Where it is 1 everywhere (ReLU, the
    identity) every sigma_p serves, and the answer is 1.0, as in the paper's Table 1. Two crossings within a
    quarter of a decade are not seen, nor one so near to where a moment becomes infinite (exp(u^2): 0.455 and
    0.5).

    Args:
        activation: a spec, or any elementwise torch function of u = W x + b.
        fan_ratio: ``M_{i+1} / M_i``, outputs over inputs of a layer; 1 for equal widths.
        as_published: the paper's search instead, whose answers for sine (0.004) and tanh (0.1) are no roots:
            see `published_sigma_p`.
        seed: of the paper's samples; None for that of `published_sigma_p`.
        complex_input: for `Gabor` alone, as in `moments`.

    Returns:
        sigma_p, the deviation of u for the function as given, or None.

    Raises:
        InputError: for bad arguments, or an activation that VI3NR cannot serve.

    Source: Koneputugodage et al. 2025 (VI3NR), Eq. 13 and Sec. 3.5.
    """
    ratio = positive("fan_ratio", fan_ratio)
    mark = fingerprint(activation)
    if complex_input:
        moments(activation, complex_input=True)  # raises for a real activation
    solve = _published if as_published else _solve
    try:
        return _remembered(solve, activation, mark, ratio, complex_input, seed)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return solve(activation, ratio, complex_input, seed)


@lru_cache(maxsize=1024)
def _remembered(
    solve: Callable[..., float | None],
    activation: ActivationLike,
    mark: bytes,
    ratio: float,
    complex_input: bool,
    seed: int | None,
) -> float | None:
    return solve(activation, ratio, complex_input, seed)


def _solve(activation: ActivationLike, ratio: float, complex_input: bool, seed: int | None) -> float | None:
    natural = _scale(activation)
    steps = _DECADES * _PER_DECADE
    sigmas = [natural * 10.0 ** (k / _PER_DECADE) for k in range(-steps, steps + 1)]
    known = 0
    below: tuple[float, int] | None = None
    for start in range(0, len(sigmas), _CHUNK):
        chunk = sigmas[start : start + _CHUNK]
        for sigma, sign in zip(chunk, _signs(activation, chunk, ratio, complex_input), strict=True):
            known += sign is not None
            if not sign:
                continue
            if below is not None and below[1] != sign:
                return _refined(activation, below[0], sigma, ratio, complex_input)
            below = sigma, sign
    if not known:
        condition(activation, natural, complex_input=complex_input)  # raises, saying what is wrong with it
    return 1.0 if known and below is None else None


def _published(
    activation: ActivationLike, ratio: float, complex_input: bool, seed: int | None
) -> float | None:
    if complex_input:
        raise InputError("expected as_published with real input, as the paper has it; got complex_input")
    if _solve(activation, ratio, False, None) == 1.0 and abs(condition(activation, 0.1) * ratio - 1) < _EQUAL:
        return 1.0  # every sigma_p serves

    def exact(sigmas: Sequence[float]) -> list[float]:
        bounds = _bounds(activation, sigmas, ratio, False, ROUGH)
        return [math.sqrt(max(low, 0.0) * high) for low, high in bounds]

    return published_sigma_p(activation, exact, ratio, seed)


def _scale(activation: ActivationLike) -> float:
    """Return the size of u at which a spec bends: where its scan is centred."""
    if not isinstance(activation, Activation):
        return 1.0
    return 1.0 / (max(getattr(activation, "omega", 0.0), getattr(activation, "scale", 0.0)) or 1.0)


def _signs(
    activation: ActivationLike, sigmas: Sequence[float], ratio: float, complex_input: bool
) -> list[int | None]:
    """Return whether the condition is above (1), below (-1) or at (0) 1 at each sigma; None where unknown."""
    signs = [_sign(*pair) for pair in _bounds(activation, sigmas, ratio, complex_input, ROUGH)]
    unclear = [k for k, sign in enumerate(signs) if sign is None]
    if unclear:
        again = _bounds(activation, [sigmas[k] for k in unclear], ratio, complex_input, _CLOSER)
        for k, pair in zip(unclear, again, strict=True):
            signs[k] = _sign(*pair)
    return signs


def _sign(low: float, high: float) -> int | None:
    if low > 1.0 + _EQUAL:
        return 1
    if high < 1.0 - _EQUAL:
        return -1
    return 0 if low >= 1.0 - 2.0 * _EQUAL and high <= 1.0 + 2.0 * _EQUAL else None


def _bounds(
    activation: ActivationLike, sigmas: Sequence[float], ratio: float, complex_input: bool, effort: Effort
) -> list[tuple[float, float]]:
    """Return the least and the largest that the condition may be at each sigma; NaN where undefined."""
    exact = (
        [closed_form(activation, s, complex_input) for s in sigmas]
        if isinstance(activation, Activation)
        else []
    )
    triples = [triple for triple in exact if triple is not None]
    if triples:
        factor = passed_on(activation, ratio, complex_input)
        values = [s * s * factor * t[2] / t[1] for s, t in zip(sigmas, triples, strict=True)]
        return [(value, value) for value in values]
    rows, errors = quadrature_rows(
        activation, torch.tensor(sigmas, dtype=torch.float64, device="cpu"), effort
    )
    square, slope = rows[2].tolist(), rows[3].tolist()
    d_square, d_slope = errors[2].tolist(), errors[3].tolist()
    bounds = []
    for k, sigma in enumerate(sigmas):
        factor = sigma * sigma * passed_on(activation, ratio, complex_input)
        low = (slope[k] - d_slope[k]) / (square[k] + d_square[k]) if square[k] > 0 else math.nan
        rest = square[k] - d_square[k]
        high = (slope[k] + d_slope[k]) / rest if rest > 0 else math.inf
        bounds.append((factor * low, factor * high))
    return bounds


def _refined(activation: ActivationLike, low: float, high: float, ratio: float, complex_input: bool) -> float:
    """Return the crossing between `low` and `high`, by regula falsi (Illinois) on logarithms."""

    def log_condition(x: float) -> float:
        return math.log(condition(activation, math.exp(x), fan_ratio=ratio, complex_input=complex_input))

    x_low, x_high = math.log(low), math.log(high)
    y_low, y_high = log_condition(x_low), log_condition(x_high)
    side = 0
    for _ in range(100):
        x = (x_low * y_high - x_high * y_low) / (y_high - y_low)
        y = log_condition(x)
        if abs(y) < 1e-11 or x_high - x_low < 1e-13:
            break
        if (y > 0) == (y_high > 0):
            x_high, y_high = x, y
            y_low *= 0.5 if side == 1 else 1.0
            side = 1
        else:
            x_low, y_low = x, y
            y_high *= 0.5 if side == -1 else 1.0
            side = -1
    return math.exp(x)
