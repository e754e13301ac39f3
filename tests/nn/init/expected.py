"""Activations as formulas with their derivatives, and their moments by a fine float64 trapezoid."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from fastsnf.spec import (
    Activation,
    Finer,
    Gabor,
    Gaussian,
    Identity,
    RealGabor,
    ReLU,
    Sigmoid,
    Sinc,
    Sine,
    Tanh,
)

Formula = Callable[[Tensor], Tensor]


def _sinc(v: Tensor) -> Tensor:
    return torch.sinc(v / math.pi)


def _sinc_slope(v: Tensor) -> Tensor:
    away = torch.where(v.abs() < 1e-2, torch.ones_like(v), v)
    return torch.where(v.abs() < 1e-2, -v / 3 + v**3 / 30 - v**5 / 840, (v.cos() - _sinc(v)) / away)


def _finer(u: Tensor) -> Tensor:
    return 4.0 * (u.abs() + 1.0)


FORMULAS: dict[Activation, tuple[Formula, Formula]] = {
    Sine(30.0): (lambda u: torch.sin(30 * u), lambda u: 30 * torch.cos(30 * u)),
    Gaussian(3.0): (lambda u: torch.exp(-9 * u**2), lambda u: -18 * u * torch.exp(-9 * u**2)),
    Sinc(2.0, amplitude=3.0): (lambda u: 3 * _sinc(2 * u), lambda u: 6 * _sinc_slope(2 * u)),
    RealGabor(7.0, 2.0): (
        lambda u: torch.cos(7 * u) * torch.exp(-4 * u**2),
        lambda u: -(7 * torch.sin(7 * u) + 8 * u * torch.cos(7 * u)) * torch.exp(-4 * u**2),
    ),
    Gabor(5.0, 2.0): (
        lambda u: torch.exp(5j * u - 4 * u**2),
        lambda u: (5j - 8 * u) * torch.exp(5j * u - 4 * u**2),
    ),
    Finer(4.0): (lambda u: torch.sin(_finer(u) * u), lambda u: _finer(u) * torch.cos(_finer(u) * u)),
    ReLU(): (lambda u: u.clamp(min=0), lambda u: (u > 0).double()),
    Tanh(): (torch.tanh, lambda u: 1 / torch.cosh(u) ** 2),
    Sigmoid(): (lambda u: 1 / (1 + torch.exp(-u)), lambda u: 0.25 / torch.cosh(u / 2) ** 2),
    Identity(): (lambda u: u, torch.ones_like),
}
"""f and f' of every spec; FINER's with |u| + 1 held constant, Gabor's for real u."""


@cache
def of_spec(act: Activation, sigma: float) -> tuple[complex, float, float]:
    """Return `trapezoid` of the formulas of a spec."""
    return trapezoid(*FORMULAS[act], sigma)


def trapezoid(
    value: Formula, slope: Formula, sigma: float, points: int = 200_000
) -> tuple[complex, float, float]:
    """Return (E[f], E[|f|^2], E[|f'|^2]) for u ~ N(0, sigma^2), smooth on the scale of sigma / 10,000.

    For integrands that vanish with all derivatives at both ends the trapezoid errs by less than any power of
    its step; a kink at 0, the middle of a step, costs a term in its square, some 1e-9.
    """
    t = torch.linspace(-12.0, 12.0, points + 1, dtype=torch.float64)
    density = torch.exp(-0.5 * t**2) * (24.0 / points / math.sqrt(2 * math.pi))
    h, d = value(sigma * t), slope(sigma * t)
    mean = (density * h).sum().item()
    return mean, float((density * h.abs() ** 2).sum()), float((density * d.abs() ** 2).sum())
