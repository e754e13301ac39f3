"""Bessel functions of the first kind of whole orders, all up to one at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastsnf.errors import InputError, check_whole

LARGEST = 1e150
"""Magnitude at which the recurrence is scaled down."""
MOST = 1e4
"""Largest |x|: the recurrence takes about as many steps."""


def bessel_j(orders: int, x: Tensor) -> Tensor:
    """Return ``J_0(x), ..., J_orders(x)`` [..., orders + 1], float64, to some 1e-15 of the largest.

    Miller's algorithm: ``J_(l-1) = (2 l / x) J_l - J_(l+1)`` downwards from an order so high that any start
    does, normalised by ``J_0 + 2 sum_k J_(2k) = 1``.

    Args:
        orders: the highest order, 0 or more.
        x: real, any shape, |x| of 10,000 at most.

    Source: Abramowitz and Stegun, 9.1.27, 9.1.46 and 9.12.

    Raises:
        InputError: for other orders or arguments.
    """
    check_whole("orders", orders, 0)
    if x.is_complex() or not bool((x.abs() <= MOST).all()):
        raise InputError(f"expected real arguments with |x| of {MOST:g} at most; got others")
    size = x.detach().double().abs()
    largest = float(size.max()) if x.numel() else 0.0
    top = orders_beyond(max(float(orders), largest))
    result = torch.zeros(*x.shape, orders + 1, dtype=torch.float64, device=x.device)
    safe = torch.where(size > 0, size, 1.0)
    above, here = torch.zeros_like(size), torch.full_like(size, 1e-300)
    total = torch.zeros_like(size)
    for order in range(top, 0, -1):
        above, here = here, 2.0 * order / safe * here - above
        large = here.abs() > LARGEST
        if bool(large.any()):
            scale = torch.where(large, torch.full_like(here, 1.0 / LARGEST), 1.0)
            above, here, total = above * scale, here * scale, total * scale
            result = result * scale.unsqueeze(-1)
        if order - 1 <= orders:
            result[..., order - 1] = here
        if (order - 1) % 2 == 0:
            total = total + (here if order == 1 else 2.0 * here)
    result = result / total.unsqueeze(-1)
    at_zero = torch.zeros(orders + 1, dtype=torch.float64, device=x.device)
    at_zero[0] = 1.0
    signs = torch.ones(orders + 1, dtype=torch.float64, device=x.device)
    signs[1::2] = -1.0  # J_l(-x) = (-1)^l J_l(x)
    result = torch.where((x < 0).unsqueeze(-1), signs * result, result)
    return torch.where((x == 0).unsqueeze(-1), at_zero, result)


def orders_beyond(x: float) -> int:
    """Return an order above which ``J_l(x)`` and all later ones are under 1e-17, for x of 0 or more."""
    return math.ceil(x + 15.0 * (x + 1.0) ** (1.0 / 3.0)) + 20
