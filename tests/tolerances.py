"""Every tolerance of the suite, with its reason."""

from __future__ import annotations

import torch
from torch import Tensor

FLOAT64 = 1e-10
"""Relative to the largest entry: two float64 evaluations of one formula. Rounding (1e-16) is amplified by
omega in every layer and by the layers' sums; a wrong term shows at 1e-3 and above."""

FINITE_DIFFERENCE = 1e-6
"""Relative to the largest entry: central differences in float64, whose step error and rounding meet below."""

FLOAT32 = 1e-5
"""Relative to the largest entry: float32 against float64 for one activation, given the same argument."""

RATIO = 2.0
"""A fused result may be this many times as far from the float64 reference as eager is: in float32, or in the
engine's other precisions (`tests.eager_precisions`)."""

FLOOR_ULPS = 4
"""Float32 units in the last place of the largest entry that are never an error: on a handful of numbers eager
may hit the exact result by luck, and twice nothing is nothing."""

THREADS = 1e-6
"""Of the gradient's largest entry, between thread counts: partial sums are added in another order."""

SINE_ABSOLUTE = 2e-7
"""Sine and cosine of the engines for |x| <= 1e5: 3.4 units in the last place of 1."""


def error(value: Tensor, exact: Tensor) -> float:
    """Return the largest absolute difference from `exact`, in its dtype; inf where not finite, 0 if empty."""
    if value.shape != exact.shape:
        raise AssertionError(f"expected shape {tuple(exact.shape)}; got {tuple(value.shape)}")
    if not value.numel():
        return 0.0
    difference = (value.detach().to(exact.dtype) - exact.detach()).abs()
    return float(difference.max()) if bool(difference.isfinite().all()) else float("inf")


def largest(value: Tensor) -> float:
    """Return the largest absolute entry, 0 if empty."""
    return float(value.detach().abs().max()) if value.numel() else 0.0


def assert_close(value: Tensor, exact: Tensor, tolerance: float, what: str = "value") -> None:
    """Assert that `value` is within `tolerance` of `exact`, relative to the largest entry of `exact`."""
    found, allowed = error(value, exact), tolerance * largest(exact)
    assert found <= allowed, (
        f"{what}: error {found:.3e} > {allowed:.3e} = {tolerance:g} x {largest(exact):.3e}"
    )


def bound(eager: Tensor, exact: Tensor, ratio: float = RATIO) -> float:
    """Return the error that a float32 result may have: `ratio` times eager's own, or a few ulps."""
    return max(ratio * error(eager, exact), FLOOR_ULPS * torch.finfo(torch.float32).eps * largest(exact))


def error_ratio_ok(ours: Tensor, eager: Tensor, exact: Tensor, ratio: float = RATIO) -> bool:
    """Return whether `ours` is at most `ratio` times as far from float64's `exact` as `eager` float32 is."""
    return error(ours, exact) <= bound(eager, exact, ratio)


def assert_as_good_as_eager(
    ours: Tensor, eager: Tensor, exact: Tensor, what: str = "value", ratio: float = RATIO
) -> None:
    """Assert `error_ratio_ok`, saying both errors."""
    assert error_ratio_ok(ours, eager, exact, ratio), (
        f"{what} {tuple(exact.shape)}: error {error(ours, exact):.3e}, eager's {error(eager, exact):.3e}, "
        f"allowed {bound(eager, exact, ratio):.3e}, largest entry {largest(exact):.3e}"
    )
