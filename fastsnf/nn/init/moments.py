"""Moments of activations under a normal pre-activation: what the variance of the next layer follows from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from fastsnf.nn.init.number import positive
from fastsnf.nn.init.sampled import ActivationLike, values_and_slopes

METHODS = ("auto", "closed-form", "quadrature", "monte-carlo")


@dataclass(frozen=True)
class Moments:
    """Moments of ``f(u)`` for u ~ N(0, sigma_p^2), each with an estimate of its absolute error.

    Attributes:
        mean: E[f], complex where f is. square: E[|f|^2]. slope_square: E[|f'|^2].
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
    generator: torch.Generator | None = None,
    complex_input: bool = False,
) -> Moments:
    """Return E[f], E[|f|^2] and E[|f'|^2] of u ~ N(0, sigma_p^2)."""
    t = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    h, slope = values_and_slopes(activation, t * positive("sigma_p", sigma_p))
    p = torch.exp(-0.5 * t * t)
    p = p / p.sum()
    square, slope_square = float((p * h.abs() ** 2).sum()), float((p * slope.abs() ** 2).sum())
    return Moments(complex((p * h).sum()), 0.0, square, 0.0, slope_square, 0.0, "quadrature")


def gain(
    activation: ActivationLike,
    sigma_p: float = 1.0,
    *,
    method: str = "auto",
    samples: int = 1_000_000,
    generator: torch.Generator | None = None,
    complex_input: bool = False,
) -> float:
    """Return ``sigma_p / sqrt(E[f^2])``: weight variance x fan-in = gain^2 (VI3NR, Eq. 15)."""
    found = moments(activation, sigma_p, method=method, samples=samples, generator=generator)
    return positive("sigma_p", sigma_p) / math.sqrt(found.square)
