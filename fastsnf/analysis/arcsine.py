"""Appendix A of the weight-scaling paper: how near the sine of a normal X is to an arcsine distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fastsnf.analysis.panels import Drawn, Line, Lines, Panel
from fastsnf.errors import InputError

BETA = 1.702 / 2.0
"""Of the logistic approximation ``Phi(x) ~ (1 + tanh(beta x)) / 2`` (Bowling et al. 2009). The paper prints
none."""
NODES = 4096
"""Nodes of the integral over y = sin z; the integrand is smooth but where the two CDFs cross."""


@dataclass(frozen=True)
class ArcsineError(Drawn):
    """``int_-1^1 |F_Y(y) - F_arcsine(y)| dy`` for ``Y = sin(X)``, X normal of deviation alpha (Fig. 9).

    Attributes:
        alphas: [n].
        published: [n], of the paper's approximation, Eq. 24 to 26: logistic, and linear in asin y.
        exact: [n], of the normal CDF itself: F_Y is a sum over all branches of the sine.
    """

    alphas: Tensor
    published: Tensor
    exact: Tensor

    def row(self) -> dict[str, Any]:
        """Return both curves as lists, JSON-able."""
        return {name: getattr(self, name).tolist() for name in ("alphas", "published", "exact")}

    def panels(self) -> list[Panel]:
        """Return both curves over alpha."""
        named = (("Eq. 24, logistic", self.published), ("exact", self.exact))
        lines = [Line(name, self.alphas.tolist(), curve.tolist()) for name, curve in named]
        return [Lines("Eq. 27: distance to arcsine", lines, "alpha", "integral of |difference|", log=True)]


def arcsine_error(alphas: Sequence[float] | Tensor, *, beta: float = BETA) -> ArcsineError:
    """Return the curve of Eq. 27 as the paper approximates it, and the exact one.

    Args:
        alphas: deviations of the pre-activation, above 0. The approximation is for alpha from pi/6, where
            more than one branch of the sine is reached.
        beta: of the logistic approximation.

    Source: Appendix A.2 of Yeom et al. 2025, "Fast training of sinusoidal neural fields via scaling
    initialization".

    Raises:
        InputError: for deviations that are not above 0, or not finite.
    """
    a = torch.as_tensor(alphas, dtype=torch.float64).reshape(-1)
    if not a.numel() or not bool(((a > 0) & a.isfinite()).all()):
        raise InputError("expected finite alphas above 0; got others")
    z = ((torch.arange(NODES, dtype=torch.float64) + 0.5) / NODES - 0.5) * math.pi  # asin y
    measure = torch.cos(z) * math.pi / NODES  # dy
    uniform = 0.5 + z / math.pi
    published = [(published_cdf(z, alpha, beta) - uniform).abs() @ measure for alpha in a.tolist()]
    exact = [(exact_cdf(z, alpha) - uniform).abs() @ measure for alpha in a.tolist()]
    return ArcsineError(a, torch.stack(published), torch.stack(exact))


def published_cdf(z: Tensor, alpha: float, beta: float = BETA) -> Tensor:
    """Return ``F_Y = f(alpha) z + g(alpha)`` at ``z = asin y`` in [-pi/2, pi/2], Eq. 24 to 26."""
    unit = beta * math.pi / (2.0 * alpha)
    branches = range(1, _branches(alpha) + 1)
    slope = 0.5 * _slope(0.0) + sum(_slope(4 * n * unit) + _slope((4 * n - 2) * unit) for n in branches)
    offset = -0.5 * math.tanh(-unit) + 0.5 * sum(
        math.tanh(-(4 * n - 3) * unit) - math.tanh(-(4 * n + 1) * unit) for n in branches
    )
    return beta / alpha * slope * z + offset


def exact_cdf(z: Tensor, alpha: float) -> Tensor:
    """Return ``P(sin X <= sin z)`` for X normal of deviation alpha, z in [-pi/2, pi/2], to rounding.

    sin X is at most sin z where X lies in ``[(2 n - 1) pi - z, 2 n pi + z]`` for a whole n.
    """
    most = math.ceil(9.0 * alpha / (2.0 * math.pi)) + 1  # 9 deviations: 1e-19 is left out
    n = torch.arange(-most, most + 1, dtype=torch.float64)[:, None]
    upper, lower = 2.0 * n * math.pi + z, (2.0 * n - 1.0) * math.pi - z
    return (torch.special.ndtr(upper / alpha) - torch.special.ndtr(lower / alpha)).sum(dim=0)


def _branches(alpha: float) -> int:
    """Return gamma_1 of Eq. 16: the first n of at least 1 with ``(4 n + 1) pi / 2 >= 3 alpha``."""
    return max(1, math.ceil((6.0 * alpha / math.pi - 1.0) / 4.0))


def _slope(v: float) -> float:
    """Return h'(v) of h = tanh."""
    return 1.0 - math.tanh(v) ** 2
