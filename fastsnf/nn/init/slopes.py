"""Values and derivatives of activations at given pre-activations, in float64 on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.spec import Activation, Custom

ActivationLike = Activation | Callable[[Tensor], Tensor]
"""A spec, or any elementwise function of u = W x + b that torch differentiates."""


def describe(activation: ActivationLike) -> str:
    """Return what an error calls `activation`."""
    if isinstance(activation, Activation):
        return str(activation)
    return str(getattr(activation, "__name__", type(activation).__name__))


def fingerprint(activation: ActivationLike) -> bytes:
    """Return what tells a function before and after its enclosed values changed; nothing for a spec.

    Raises:
        InputError: for something that is no elementwise torch function.
    """
    if isinstance(activation, Activation) and not isinstance(activation, Custom):
        return b""
    probe = _probe().clone()  # a function may write into what it is given
    with torch.inference_mode(False), torch.no_grad():
        some = probe[::7].clone()
        h, alone = _call(activation, probe), _call(activation, some)
        if not torch.allclose(h[::7], alone, rtol=1e-9, atol=1e-300, equal_nan=True):
            raise InputError(
                f"expected {describe(activation)} to be elementwise; its value at one entry depends on others"
            )
        return torch.view_as_real(h).numpy().tobytes() if h.is_complex() else h.numpy().tobytes()


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


def complex_slopes(activation: ActivationLike, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return h = f(u) and (|dh/dRe(u)|^2 + |dh/dIm(u)|^2) / 2 of complex `u`."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = u.detach().clone().requires_grad_()
        h = _call(activation, leaf)
        squares = [_slope(part, leaf).abs().square() for part in (h.real, h.imag)]
    return h.detach(), 0.5 * (squares[0] + squares[1])


def _slope(h: Tensor, u: Tensor) -> Tensor:
    """Return dh/du of an elementwise h; 0 where torch sees no dependence, as of steps."""
    if not h.requires_grad:
        return torch.zeros_like(h)
    (slope,) = torch.autograd.grad(h.sum(), u, retain_graph=True, allow_unused=True)
    return torch.zeros_like(h) if slope is None else slope.detach()


def _call(activation: ActivationLike, u: Tensor) -> Tensor:
    name = describe(activation)
    if isinstance(activation, Activation) and not isinstance(activation, Custom):
        return ops.activate(u, activation=activation)
    function = activation.function if isinstance(activation, Custom) else activation
    if not callable(function) or isinstance(function, type):
        raise InputError(
            f"expected an activation such as Sine(30.0) or an elementwise torch function; got {function!r}"
        )
    wanted = f"expected {name} to be an elementwise torch function of a float64 tensor"
    try:
        h = function(u)
    except Exception as error:
        raise InputError(f"{wanted}; it raised {type(error).__name__}: {error}") from error
    if not isinstance(h, Tensor) or h.shape != u.shape:
        got = f"shape {list(h.shape)}" if isinstance(h, Tensor) else type(h).__name__
        raise InputError(f"{wanted}; of a tensor of shape {list(u.shape)} it returned {got}")
    if not (h.is_floating_point() or h.is_complex()):
        raise InputError(f"{wanted}; it returned {h.dtype}: convert it to u.dtype")
    return h


@cache
def _probe() -> Tensor:
    """Return points of both signs and many sizes, [63]."""
    sizes = 10.0 ** torch.linspace(-3.0, 2.0, 31, dtype=torch.float64, device="cpu")
    return torch.cat([-sizes.flip(0), torch.zeros(1, dtype=torch.float64, device="cpu"), sizes])
