"""VI3NR's Eq. 13: the deviation of pre-activations that keeps values and gradients alike."""

from __future__ import annotations

from fastsnf.nn.init.moments import moments
from fastsnf.nn.init.sampled import ActivationLike


def condition(activation: ActivationLike, sigma_p: float, *, fan_ratio: float = 1.0) -> float:
    """Return ``sigma_p^2 (M_{i+1} / M_i) E[f'^2] / E[f^2]``, the left side of Eq. 13."""
    found = moments(activation, sigma_p)
    return sigma_p**2 * fan_ratio * found.slope_square / found.square


def solve_sigma_p(
    activation: ActivationLike, *, fan_ratio: float = 1.0, as_published: bool = False, seed: int = 0
) -> float | None:
    """Return the sigma_p of Eq. 13; None when it has no positive root."""
    low, high = 1e-3, 1e2
    if condition(activation, low, fan_ratio=fan_ratio) > 1 or condition(activation, high) < 1:
        return None
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (
            (low, middle) if condition(activation, middle, fan_ratio=fan_ratio) > 1 else (middle, high)
        )
    return low
