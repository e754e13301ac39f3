"""How far samples are from the arcsine and from a normal distribution, in closed form.

A sample of n numbers has the empirical CDF F_n. The Kolmogorov-Smirnov distance to F is
``sup_x |F_n(x) - F(x)|``, the Wasserstein-1 distance ``int |F_n(x) - F(x)| dx``; both are exact here, from
the CDF, the quantile function and its integral.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fastsnf.errors import InputError


class Distance(NamedTuple):
    """Distances of a sample to a distribution: `ks` in [0, 1], `wasserstein` in the sample's unit."""

    ks: float
    wasserstein: float


@dataclass(frozen=True)
class Arcsine:
    """The arcsine distribution on (-1, 1), of ``sin(U)`` with a uniform phase; its deviation is 1/sqrt(2)."""

    def cdf(self, x: Tensor) -> Tensor:
        """Return ``F(x) = 1/2 + asin(x) / pi``, 0 below -1 and 1 above 1."""
        return 0.5 + torch.asin(x.clamp(-1.0, 1.0)) / math.pi

    def quantile_integral(self, p: Tensor) -> Tensor:
        """Return the integral of the quantile function ``-cos(pi p)`` from 0 to p."""
        return -torch.sin(math.pi * p) / math.pi


@dataclass(frozen=True)
class Normal:
    """The normal distribution of a mean and a deviation above 0."""

    mean: float = 0.0
    deviation: float = 1.0

    def cdf(self, x: Tensor) -> Tensor:
        """Return F(x)."""
        return torch.special.ndtr((x - self.mean) / self.deviation)

    def quantile_integral(self, p: Tensor) -> Tensor:
        """Return the integral of the quantile function from 0 to p: ``mean p - deviation phi(q(p))``."""
        q = torch.special.ndtri(p)
        density = torch.exp(-0.5 * q.square()) / math.sqrt(2.0 * math.pi)  # 0 at p = 0 and p = 1
        return self.mean * p - self.deviation * density


def distance(samples: Tensor, to: Arcsine | Normal) -> Distance:
    """Return how far samples of any shape are from a distribution.

    Raises:
        InputError: for no samples, complex ones, or some that are not finite.
    """
    x = _checked(samples).sort().values
    n = len(x)
    edges = torch.arange(n + 1, dtype=torch.float64) / n
    low, high = edges[:-1], edges[1:]
    at = to.cdf(x)
    ks = torch.maximum((at - low).abs(), (high - at).abs()).max()
    # int_low^high |x - Q(p)| dp, with Q increasing: the sign changes at p = F(x).
    turn = torch.minimum(torch.maximum(at, low), high)
    below, middle, above = (to.quantile_integral(p) for p in (low, turn, high))
    parts = x * (2.0 * turn - low - high) - (2.0 * middle - below - above)
    return Distance(float(ks), float(parts.sum()))


def distance_to_arcsine(samples: Tensor) -> Distance:
    """Return how far samples are from arcsine(-1, 1), that of a sine network's activations.

    Source: Proposition 3.1 of Yeom et al. 2025; Sitzmann et al. 2020, Theorem 1.8. Raises as `distance`.
    """
    return distance(samples, Arcsine())


def distance_to_normal(
    samples: Tensor, mean: float | None = None, deviation: float | None = None
) -> Distance:
    """Return how far samples are from a normal distribution, by default that of their mean and deviation.

    Samples that are all equal are at a distance of 1/2 from the step at them, and of 0 in Wasserstein's.
    Raises as `distance`, and `InputError` for a deviation that is not above 0.
    """
    if deviation is not None and not deviation > 0:
        raise InputError(f"expected a deviation above 0; got {deviation}")
    x = _checked(samples)
    centre = float(x.mean()) if mean is None else mean
    spread = float((x - centre).square().mean().sqrt()) if deviation is None else deviation
    if spread == 0.0:
        return Distance(0.5, 0.0)
    return distance(x, Normal(centre, spread))


def _checked(samples: Tensor) -> Tensor:
    """Return samples [n] in float64 on the CPU, or raise `InputError`."""
    if not samples.numel() or samples.is_complex() or not bool(samples.isfinite().all()):
        known = int(samples.isfinite().sum())
        raise InputError(
            f"expected one real, finite sample or more; got {samples.numel()} of {samples.dtype}, "
            f"{known} of them finite"
        )
    return samples.detach().reshape(-1).double().cpu()
