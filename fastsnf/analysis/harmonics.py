"""The harmonics of a three-layer sine network: Lemma 4.1 as a function, Lemma 4.2 as a check.

``f(x) = W3 sin(W2 sin(W1 x))`` without biases, W1 [d1, D], W2 [d2, d1], W3 [C, d2]. By Jacobi and Anger,
``exp(i a sin t) = sum_l J_l(a) exp(i l t)`` over all whole l, so that

    f_c(x) = sum_m W3_cm sum_(l_1 .. l_d1) prod_k J_(l_k)(W2_mk) sin((sum_k l_k W1_k) x).

For width one the terms of l and -l agree, those of even l vanish, and f is
``2 W3 sum over odd l > 0 of J_l(W2) sin(l W1 x)``.

Source: Lemmas 4.1, 4.2 and B.1 of Yeom et al. 2025, "Fast training of sinusoidal neural fields via scaling
initialization", with three corrections: the sum of Eq. 7 and 32 is over positive odd l, as the factor 2 has
the negative ones; Eq. 31 and 32 leave W3 out; Eq. 29 prints J_k where J_(i_k) of the entry W2_mk is meant.
Eq. 7 holds for width one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fastsnf.analysis.bessel import bessel_j, orders_beyond
from fastsnf.analysis.panels import Drawn, Line, Lines, Panel
from fastsnf.errors import InputError, check_whole

MOST_LINES = 1 << 21
"""Lines that `bessel_lines` enumerates before it merges and drops any."""


def bessel_series(x: Tensor, w1: Tensor, w2: Tensor, w3: Tensor, *, orders: int | None = None) -> Tensor:
    """Return f(x) [N, C] by the series of Lemma 4.1, for any width, in float64.

    The sum over all ``l_1 .. l_d1`` is the product over k of sums over one l_k each, whose imaginary part the
    sines are: it costs d1 times the orders, not their power.

    Args:
        x: [N, D].
        w1, w2, w3: [d1, D], [d2, d1], [C, d2].
        orders: the highest |l|; None for all that are above rounding. A low one shows what harmonics add.

    Raises:
        InputError: when shapes do not fit together, or as `bessel_j`.
    """
    w1, w2, w3 = _checked(w1, w2, w3, x)
    top = orders_beyond(float(w2.abs().max())) if orders is None else orders
    j = bessel_j(top, w2)  # [d2, d1, top + 1]
    phases = x.detach().double() @ w1.T  # [N, d1]
    whole = torch.ones(len(x), len(w2), dtype=torch.complex128, device=x.device)
    order = torch.arange(1, top + 1, dtype=torch.float64, device=x.device)
    even = (order % 2 == 0).double()
    for k in range(len(w1)):
        angle = phases[:, k, None] * order  # J_-l = (-1)^l J_l: even orders leave cosines, odd ones i sines
        real = j[:, k, 0] + 2.0 * (even * torch.cos(angle)) @ j[:, k, 1:].T
        imaginary = 2.0 * ((1.0 - even) * torch.sin(angle)) @ j[:, k, 1:].T
        whole = whole * torch.complex(real, imaginary)
    return whole.imag @ w3.T


@dataclass(frozen=True)
class SineLines(Drawn):
    """``f(x) = sum_m amplitudes_m sin(frequencies_m . x)``, largest amplitude first.

    Attributes:
        frequencies: [M, D], radians per unit of x, each up to its sign once.
        amplitudes: [M, C].
    """

    frequencies: Tensor
    amplitudes: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return f [N, C] at x [N, D]."""
        return torch.sin(x.double() @ self.frequencies.T) @ self.amplitudes

    def row(self) -> dict[str, Any]:
        """Return the numbers of a table, JSON-able."""
        sizes = self.frequencies.norm(dim=1)
        energy = self.amplitudes.square().sum(dim=1)
        total = float(energy.sum())
        mean = float((sizes * energy).sum()) / total if total else 0.0
        return {"lines": len(sizes), "centroid": mean, "highest": float(sizes.max()) if len(sizes) else 0.0}

    def panels(self, name: str = "lines") -> list[Panel]:
        """Return amplitudes over the frequencies' norms."""
        sizes, order = self.frequencies.norm(dim=1).sort()
        heights = self.amplitudes.norm(dim=1)[order]
        return [
            Lines(
                "Lemma 4.1", [Line(name, sizes.tolist(), heights.tolist())], "radians", "amplitude", log=True
            )
        ]


def bessel_lines(w1: Tensor, w2: Tensor, w3: Tensor, *, least: float = 1e-12) -> SineLines:
    """Return every line of the sum of Eq. 29, for small widths d1.

    Args:
        w1, w2, w3: as in `bessel_series`.
        least: products of Bessel functions that are smaller for all rows of W2 are left out.

    Raises:
        InputError: when shapes do not fit together, or for more than two million lines: d1 is too large, or
            W2's entries are; `bessel_series` has the sum itself.
    """
    w1, w2, w3 = _checked(w1, w2, w3)
    numbers = torch.zeros(1, 0, dtype=torch.int64)
    products = torch.ones(1, len(w2), dtype=torch.float64)
    for k in range(len(w1)):
        top = orders_beyond(float(w2[:, k].abs().max()))
        positive = bessel_j(top, w2[:, k]).T.cpu()  # [top + 1, d2]
        signs = torch.tensor([(-1.0) ** order for order in range(1, top + 1)], dtype=torch.float64)[:, None]
        factors = torch.cat([(signs * positive[1:]).flip(0), positive])  # orders -top .. top
        orders = torch.arange(-top, top + 1)
        kept = factors.abs().amax(dim=1) >= least
        factors, orders = factors[kept], orders[kept]
        if len(products) * len(factors) > MOST_LINES:
            raise InputError(
                f"expected no more than {MOST_LINES:,} lines; width {len(w1)} has more: take bessel_series"
            )
        numbers = torch.cat(
            [numbers.repeat_interleave(len(orders), 0), orders.repeat(len(numbers))[:, None]], dim=1
        )
        products = (products[:, None, :] * factors).reshape(-1, len(w2))
        kept = products.abs().amax(dim=1) >= least
        numbers, products = numbers[kept], products[kept]
    # sin is odd: a line and the one of the opposite numbers are one line; equal parity cancels, odd doubles.
    first = (numbers != 0).to(torch.int64).argmax(dim=1, keepdim=True)
    upper = numbers.gather(1, first).squeeze(1) > 0
    odd = numbers.sum(dim=1) % 2 != 0
    numbers, products = numbers[upper & odd], 2.0 * products[upper & odd]
    amplitudes = products @ w3.T.cpu()
    order = amplitudes.norm(dim=1).argsort(descending=True, stable=True)
    return SineLines((numbers.double() @ w1.cpu())[order], amplitudes[order])


@dataclass(frozen=True)
class HarmonicBounds(Drawn):
    """Lemma 4.2 at given weights: ``lower < J_(l+2)(w) / J_l(w) < upper``.

    Attributes:
        order: l.
        w2, lower, ratio, upper: [n].
        holds: [n], whether both inequalities do, strictly, beyond rounding.
    """

    order: int
    w2: Tensor
    lower: Tensor
    ratio: Tensor
    upper: Tensor
    holds: Tensor

    def row(self) -> dict[str, Any]:
        """Return the numbers of a table, JSON-able."""
        return {
            "order": self.order,
            "points": len(self.w2),
            "hold": int(self.holds.sum()),
            "least_over_lower": float((self.ratio / self.lower).min()),
            "most_over_upper": float((self.ratio / self.upper).max()),
        }

    def panels(self) -> list[Panel]:
        """Return the ratio between its bounds."""
        x = self.w2.tolist()
        named = (("lower", self.lower), ("ratio", self.ratio), ("upper", self.upper))
        lines = [Line(name, x, values.tolist()) for name, values in named]
        title = f"Lemma 4.2: J_{self.order + 2} / J_{self.order}"
        return [Lines(title, lines, "W2", "ratio", log=True)]


def harmonic_bounds(w2: Tensor, order: int) -> HarmonicBounds:
    """Return both bounds of Lemma 4.2 (Eq. 8) and the ratio that they are of.

    ``w^2 / ((2l + 2)(2l + 4)) < J_(l+2)(w) / J_l(w) < w^2 / ((2l + 1)(2l + 3))``.

    Args:
        w2: [n], in (-pi/2, pi/2) and not 0.
        order: l of at least 0; the network has the odd ones.

    Raises:
        InputError: for weights or orders outside of the lemma.
    """
    w = w2.detach().double().reshape(-1)
    if not w.numel() or not bool(((w != 0) & (w.abs() < math.pi / 2)).all()):
        raise InputError("expected weights in (-pi/2, pi/2) and not 0, as Lemma 4.2 has them; got others")
    check_whole("order", order, 0)
    j = bessel_j(order + 2, w)
    ratio = j[:, order + 2] / j[:, order]
    square = w.square()
    lower = square / ((2 * order + 2) * (2 * order + 4))
    upper = square / ((2 * order + 1) * (2 * order + 3))
    return HarmonicBounds(order, w, lower, ratio, upper, (lower < ratio) & (ratio < upper))


def _checked(w1: Tensor, w2: Tensor, w3: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights in float64, or raise `InputError` where shapes do not fit together."""
    shapes = [list(w.shape) for w in (w1, w2, w3)]
    fits = all(len(shape) == 2 for shape in shapes) and shapes[1] == [shapes[2][1], shapes[0][0]]
    if not fits or min(map(min, shapes)) < 1:
        raise InputError(f"expected weights [d1, D], [d2, d1], [C, d2]; got {shapes}")
    if x is not None and (x.dim() != 2 or x.shape[1] != w1.shape[1]):
        raise InputError(f"expected x [N, {w1.shape[1]}]; got {list(x.shape)}")
    return w1.detach().double(), w2.detach().double(), w3.detach().double()
