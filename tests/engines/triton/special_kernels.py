"""One activation on one number a thread, so that the machine code counts its special functions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.activation import activate, derivative, gabor_parts, gabor_vjp
from fastsnf.engines.triton.launch import launch
from fastsnf.engines.triton.parameters import parameters
from fastsnf.spec import Activation
from tests.cases import ACTIVATIONS
from tests.engines.triton.compile_worker import Call


@triton.jit
def evaluated(s, y, omega, turn, turn_low, scale, ACT: tl.constexpr, TIER: tl.constexpr, SLOPE: tl.constexpr):
    """y [256] = the value, or the derivative with SLOPE, at s [256]; planar for Gabor."""
    at = tl.arange(0, 128)
    a = tl.load(s + at)
    if ACT == "gabor":
        b = tl.load(s + 128 + at)
        if SLOPE:
            first, second = gabor_vjp(a, b, a, b, omega, turn, turn_low, scale, TIER)
        else:
            first, second = gabor_parts(a, b, omega, turn, turn_low, scale, TIER)
        tl.store(y + at, first)
        tl.store(y + 128 + at, second)
    elif SLOPE:
        tl.store(y + at, derivative(a, omega, turn, turn_low, scale, ACT, TIER))
    else:
        tl.store(y + at, activate(a, omega, turn, turn_low, scale, ACT, TIER))


def evaluate(act: Activation, tier: str, slope: bool) -> None:
    """Launch `evaluated` on meta tensors."""
    s, y = (torch.empty(256, device="meta") for _ in range(2))
    constants = {"ACT": act.name, "TIER": tier, "SLOPE": slope}
    launch(evaluated, (1,), {"s": s, "y": y, **parameters(act)}, constants, warps=4)


def calls() -> Iterator[Call]:
    """Yield every activation, tier, and value or derivative."""
    for act in ACTIVATIONS:
        for tier in ("accurate", "exact"):
            for slope in (False, True):
                yield f"{act.name} {tier} {slope}", partial(evaluate, act, tier, slope)
