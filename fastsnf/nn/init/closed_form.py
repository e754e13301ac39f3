"""Moments of activations under N(0, sigma^2) that have a closed form.

Each returns (E[f], E[|f|^2], E[|f'|^2]). The products with exp(-2 s^2 u^2) are moments of a narrower normal
distribution: with q = 1 + 4 s^2 sigma^2 its mass is q^(-1/2) and its variance v = sigma^2 / q.
"""

from __future__ import annotations

import math

from fastsnf.spec import Activation, Gabor, Gaussian, Identity, RealGabor, ReLU, Sine

Triple = tuple[float, float, float]

CLOSED = (Sine, Gaussian, Gabor, RealGabor, ReLU, Identity)
"""The specs that have one."""


def closed_form(act: Activation, sigma: float, complex_input: bool = False) -> Triple | None:
    """Return (E[f], E[|f|^2], E[|f'|^2]) for u ~ N(0, sigma^2), or None without a closed form.

    With `complex_input`, for `Gabor` alone, u is complex normal with E|u|^2 = sigma^2, and the last moment is
    E[(|dh/dRe(u)|^2 + |dh/dIm(u)|^2) / 2], what a layer multiplies the square of complex gradients by.
    """
    if isinstance(act, Gabor):
        return _complex_gabor(act, sigma) if complex_input else _gabor(act, sigma)
    if isinstance(act, Sine):
        return _sine(act, sigma)
    if isinstance(act, Gaussian):
        return _gaussian(act, sigma)
    if isinstance(act, RealGabor):
        return _real_gabor(act, sigma)
    if isinstance(act, ReLU):
        return sigma / math.sqrt(2.0 * math.pi), 0.5 * sigma * sigma, 0.5
    if isinstance(act, Identity):
        return 0.0, sigma * sigma, 1.0
    return None


def _sine(act: Sine, sigma: float) -> Triple:
    # sin^2 = (1 - cos(2 omega u)) / 2 and E[cos(k u)] = exp(-k^2 sigma^2 / 2)
    phase = 2.0 * (act.omega * sigma) ** 2
    return 0.0, -0.5 * math.expm1(-phase), 0.5 * act.omega**2 * (1.0 + math.exp(-phase))


def _gaussian(act: Gaussian, sigma: float) -> Triple:
    # VI3NR's Eq. 16 with sigma_a^2 = 1 / (2 s^2)
    z = (act.scale * sigma) ** 2
    q = 1.0 + 4.0 * z
    return 1.0 / math.sqrt(1.0 + 2.0 * z), 1.0 / math.sqrt(q), 4.0 * act.scale**2 * z / (q * math.sqrt(q))


def _real_gabor(act: RealGabor, sigma: float) -> Triple:
    omega2, s2 = act.omega**2, act.scale**2
    r = 1.0 + 2.0 * s2 * sigma * sigma
    mean = math.exp(-0.5 * omega2 * sigma * sigma / r) / math.sqrt(r)
    q = 1.0 + 4.0 * s2 * sigma * sigma
    v = sigma * sigma / q
    c, less = math.exp(-2.0 * omega2 * v), -math.expm1(-2.0 * omega2 * v)  # E[cos(2 omega u)] and 1 - it
    square = 0.5 * (1.0 + c) / math.sqrt(q)
    # f'^2 = (omega^2 sin^2 + 4 s^2 omega u sin cos + 4 s^4 u^2 cos^2) exp(-2 s^2 u^2), with
    # E[u sin(2 omega u)] = 2 omega v c and E[u^2 cos(2 omega u)] = v (1 - 4 omega^2 v) c
    bend = 2.0 * s2 * s2 * v * (1.0 + (1.0 - 4.0 * omega2 * v) * c)
    return mean, square, (0.5 * omega2 * less + 4.0 * s2 * omega2 * v * c + bend) / math.sqrt(q)


def _gabor(act: Gabor, sigma: float) -> Triple:
    """Real u, as in the first layer: |f|^2 = exp(-2 s^2 u^2), |f'|^2 = (omega^2 + 4 s^4 u^2) |f|^2."""
    s2, sigma2 = act.scale**2, sigma * sigma
    r, q = 1.0 + 2.0 * s2 * sigma2, 1.0 + 4.0 * s2 * sigma2
    mean = math.exp(-0.5 * act.omega**2 * sigma2 / r) / math.sqrt(r)
    return mean, 1.0 / math.sqrt(q), (act.omega**2 + 4.0 * s2 * s2 * sigma2 / q) / math.sqrt(q)


def _complex_gabor(act: Gabor, sigma: float) -> Triple:
    """u = a + i b, both of variance sigma^2 / 2: |f|^2 = exp(-2 omega b - 2 s^2 (a^2 + b^2)).

    (|h_a|^2 + |h_b|^2) / 2 = (omega^2 + 2 s^2 omega b + 2 s^4 (a^2 + b^2)) |f|^2, where under |f|^2 a and b
    have the variance v and b the mean m = -2 omega v.
    """
    s2, part = act.scale**2, 0.5 * sigma * sigma
    q = 1.0 + 4.0 * s2 * part
    v = part / q
    square = math.exp(min(2.0 * act.omega**2 * v, 709.0)) / q
    m = -2.0 * act.omega * v
    slope = act.omega**2 + 2.0 * s2 * act.omega * m + 2.0 * s2 * s2 * (2.0 * v + m * m)
    return 1.0 / (1.0 + 2.0 * s2 * part), square, slope * square
