"""Values and derivatives of activations at given pre-activations, in float64 on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.spec import Activation

ActivationLike = Activation | Callable[[Tensor], Tensor]
"""A spec, or any elementwise function of u = W x + b that torch differentiates."""


def describe(activation: ActivationLike) -> str:
    """Return what an error calls `activation`."""
    if isinstance(activation, Activation):
        return str(activation)
    return getattr(activation, "__name__", type(activation).__name__)


def values(activation: ActivationLike, u: Tensor) -> Tensor:
    """Return f(u), shaped as `u`; complex for a complex activation.

    Raises:
        InputError: for something that is no elementwise torch function.
    """
    with torch.inference_mode(False), torch.no_grad():
        return _call(activation, u)


def values_and_slopes(activation: ActivationLike, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return f(u) and f'(u) of real `u`, by autograd: a part that `f` detaches counts as a constant.

    So FINER's f' is omega (|u| + 1) cos(...), what a step of training sees, not the derivative of its value.

    Raises:
        InputError: for something that is no elementwise torch function.
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaf = u.detach().clone().requires_grad_()
        h = _call(activation, leaf)
        parts = torch.view_as_real(h).unbind(-1) if h.is_complex() else (h,)
        slopes = [_slope(part, leaf) for part in parts]
    return h.detach(), torch.complex(*slopes) if len(slopes) == 2 else slopes[0]


def _slope(h: Tensor, u: Tensor) -> Tensor:
    """Return dh/du of an elementwise h; 0 where torch sees no dependence, as of steps."""
    if not h.requires_grad:
        return torch.zeros_like(h)
    (slope,) = torch.autograd.grad(h.sum(), u, retain_graph=True, allow_unused=True)
    return torch.zeros_like(h) if slope is None else slope


def _call(activation: ActivationLike, u: Tensor) -> Tensor:
    if isinstance(activation, Activation):
        return ops.activate(u, activation=activation)
    if not callable(activation):
        raise InputError(
            f"expected an activation such as Sine(30.0) or an elementwise torch function; got {activation!r}"
        )
    try:
        h = activation(u)
    except Exception as error:
        raise InputError(
            f"expected {describe(activation)} to be an elementwise torch function of a float64 tensor; it raised "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(h, Tensor) or h.shape != u.shape:
        got = f"shape {list(h.shape)}" if isinstance(h, Tensor) else type(h).__name__
        raise InputError(
            f"expected {describe(activation)} of a tensor of shape {list(u.shape)} to have that shape; got {got}"
        )
    return h
