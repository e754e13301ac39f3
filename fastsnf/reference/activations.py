"""Every activation with its derivatives, as the papers write them: the specification that the engines meet.

``u`` is the pre-activation ``W x + b`` of any floating dtype. Everything here is plain torch, so autograd of
any order, ``torch.func`` transforms and ``torch.compile`` see through it. Autograd of `value` gives `first`,
and autograd of `first` gives `second`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.spec import (
    Activation,
    Custom,
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

_SINC_RADIUS = 1.0
"""|omega u| under which sinc is a Taylor series: the closed forms of its derivatives cancel near 0."""

_SINC_TERMS = 11
"""Terms of that series: the first one left out is under 1e-17 at the radius, in both derivatives too."""

_SINC = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(_SINC_TERMS)]
"""sin(v)/v = sum_k (-1)^k v^(2k) / (2k + 1)!  as a polynomial in v^2."""


def value(act: Activation, u: Tensor) -> Tensor:
    """Return ``act(u)``, shaped as `u`; complex for `Gabor`, whose `u` may be real or complex."""
    if isinstance(act, Sine):
        return torch.sin(act.omega * u)  # SIREN, Sitzmann et al. 2020
    if isinstance(act, Gaussian):
        return _envelope(act, u)  # GaussNet, Ramasinghe & Lucey 2022; scale as in WIRE
    if isinstance(act, Sinc):
        return act.amplitude * _sinc(act.omega * u)  # sin(v) / v, v = omega u: Saratchandran et al. 2024
    if isinstance(act, Gabor):
        return torch.exp(_gabor_exponent(act, u))  # WIRE, Saragadam et al. 2023
    if isinstance(act, RealGabor):
        return torch.cos(act.omega * u) * _envelope(act, u)  # the real part of Gabor's for real u
    if isinstance(act, Finer):
        return torch.sin(_finer_frequency(act, u) * u)  # FINER, Liu et al. 2024
    if isinstance(act, ReLU):
        return torch.relu(u)
    if isinstance(act, Tanh):
        return torch.tanh(u)
    if isinstance(act, Sigmoid):
        return torch.sigmoid(u)
    if isinstance(act, Custom):
        return _own(act, u)
    return _identity(act, u)


def first(act: Activation, u: Tensor) -> Tensor:
    """Return ``d act / d u``, shaped as `u`; for `Gabor` the derivative along the real axis."""
    if isinstance(act, Sine):
        return act.omega * torch.cos(act.omega * u)
    if isinstance(act, Gaussian):
        return -2.0 * act.scale**2 * u * value(act, u)
    if isinstance(act, Sinc):
        return act.amplitude * act.omega * _sinc_first(act.omega * u)
    if isinstance(act, Gabor):
        return _gabor_slope(act, u) * value(act, u)
    if isinstance(act, RealGabor):
        v, s2 = act.omega * u, act.scale**2
        return -(act.omega * torch.sin(v) + 2.0 * s2 * u * torch.cos(v)) * _envelope(act, u)
    if isinstance(act, Finer):
        omega = _finer_frequency(act, u)
        return omega * torch.cos(omega * u)
    if isinstance(act, ReLU):
        return (u > 0).to(u.dtype)  # 0 at u = 0, as torch has it
    if isinstance(act, Tanh):
        return 1.0 - torch.tanh(u).square()
    if isinstance(act, Sigmoid):
        return torch.sigmoid(u) * torch.sigmoid(-u)  # s (1 - s) without a difference
    if isinstance(act, Custom):
        return _slope(lambda v: _own(act, v), u)
    return torch.ones_like(_identity(act, u))


def second(act: Activation, u: Tensor) -> Tensor:
    """Return ``d^2 act / d u^2``, shaped as `u`; for `Gabor` along the real axis."""
    if isinstance(act, Sine):
        return -(act.omega**2) * torch.sin(act.omega * u)
    if isinstance(act, Gaussian):
        return 2.0 * act.scale**2 * (2.0 * (act.scale * u).square() - 1.0) * value(act, u)
    if isinstance(act, Sinc):
        return act.amplitude * act.omega**2 * _sinc_second(act.omega * u)
    if isinstance(act, Gabor):
        return (_gabor_slope(act, u).square() - 2.0 * act.scale**2) * value(act, u)
    if isinstance(act, RealGabor):
        v, s2 = act.omega * u, act.scale**2
        bend = (4.0 * (s2 * u).square() - 2.0 * s2 - act.omega**2) * torch.cos(v)
        return (bend + 4.0 * act.omega * s2 * u * torch.sin(v)) * _envelope(act, u)
    if isinstance(act, Finer):
        omega = _finer_frequency(act, u)
        return -omega.square() * torch.sin(omega * u)
    if isinstance(act, Tanh):
        tanh = torch.tanh(u)
        return -2.0 * tanh * (1.0 - tanh.square())
    if isinstance(act, Sigmoid):
        return -first(act, u) * torch.tanh(0.5 * u)  # 1 - 2 s = -tanh(u / 2)
    if isinstance(act, Custom):
        return _slope(lambda v: first(act, v), u)
    if isinstance(act, ReLU):
        return torch.zeros_like(u)
    return torch.zeros_like(_identity(act, u))


def vjp(act: Activation, u: Tensor, d_h: Tensor) -> Tensor:
    """Return ``d_u`` for ``h = act(u)`` and the cotangent `d_h`, in the dtype of `u`.

    Complex cotangents are torch's, ``dL/dRe + i dL/dIm`` of a real L. Gabor is not holomorphic:
    with h_a = dh/dRe(u) and h_b = dh/dIm(u),  dL/dRe(u) = Re(conj(d_h) h_a),  dL/dIm(u) = Re(conj(d_h) h_b).
    """
    if not isinstance(act, Gabor):
        return d_h * first(act, u)
    d_re = (d_h.conj() * first(act, u)).real
    if not u.is_complex():
        return d_re
    d_im = (d_h.conj() * _gabor_imaginary(act, u)).real
    return torch.complex(d_re, d_im)


def jvp(act: Activation, u: Tensor, t_u: Tensor) -> Tensor:
    """Return the tangent ``t_h`` of ``h = act(u)`` for the tangent `t_u`.

    Gabor:  t_h = h_a Re(t_u) + h_b Im(t_u)  with ``h_a``, ``h_b`` as in `vjp`.
    """
    if not (isinstance(act, Gabor) and u.is_complex()):
        return first(act, u) * t_u
    return first(act, u) * t_u.real + _gabor_imaginary(act, u) * t_u.imag


def _identity(act: Activation, u: Tensor) -> Tensor:
    """Return `u`; the last case, so that an activation without a formula is never taken as linear."""
    if not isinstance(act, Identity):
        raise TypeError(f"expected an activation of fastsnf.spec; got {type(act).__name__}")
    return u


def _own(act: Custom, u: Tensor) -> Tensor:
    """Return the user's function of `u`.

    Raises:
        InputError: when it is not elementwise and real, as far as shape and dtype tell.
    """
    h = act.function(u)
    if not isinstance(h, Tensor) or h.shape != u.shape or h.dtype != u.dtype:
        got = f"{list(h.shape)} of {h.dtype}" if isinstance(h, Tensor) else type(h).__name__
        raise InputError(
            f"expected the activation {act.registered!r} to return {list(u.shape)} of {u.dtype}, as it was "
            f"given; got {got}"
        )
    return h


def _slope(function: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
    """Return the derivative of an elementwise function at `u`, itself a function of `u` to autograd."""
    pull = torch.func.vjp(function, u)[1]
    return cast(Tensor, pull(torch.ones_like(u))[0])


def _envelope(act: Gaussian | RealGabor, u: Tensor) -> Tensor:
    """Return ``exp(-(scale u)^2)``."""
    return torch.exp(-(act.scale * u).square())


def _finer_frequency(act: Finer, u: Tensor) -> Tensor:
    """Return ``omega (|u| + 1)``, a constant to autograd as in FINER's code."""
    return act.omega * (u.detach().abs() + 1.0)


def _gabor_exponent(act: Gabor, u: Tensor) -> Tensor:
    """Return ``i omega u - |scale u|^2`` = -omega b - scale^2 (a^2 + b^2) + i omega a  for u = a + i b."""
    if not u.is_complex():
        return torch.complex(-(act.scale * u).square(), act.omega * u)
    a, b = u.real, u.imag
    return torch.complex(-act.omega * b - (act.scale * a).square() - (act.scale * b).square(), act.omega * a)


def _gabor_slope(act: Gabor, u: Tensor) -> Tensor:
    """Return ``i omega - 2 scale^2 Re(u)``, what the derivative along the real axis multiplies h by."""
    a = u.real if u.is_complex() else u
    return torch.complex(-2.0 * act.scale**2 * a, torch.full_like(a, act.omega))


def _gabor_imaginary(act: Gabor, u: Tensor) -> Tensor:
    """Return ``dh / dIm(u) = -(omega + 2 scale^2 Im(u)) h`` of complex `u`."""
    return -(act.omega + 2.0 * act.scale**2 * u.imag) * value(act, u)


def _sinc(v: Tensor) -> Tensor:
    """Return ``f = sin(v) / v``, 1 at 0."""
    near, inner, outer = _sinc_split(v)
    return torch.where(near, _polynomial(_SINC, inner.square()), torch.sin(outer) / outer)


def _sinc_first(v: Tensor) -> Tensor:
    """Return ``f' = (cos(v) - f) / v``, 0 at 0."""
    near, inner, outer = _sinc_split(v)
    series = [2 * k * c for k, c in enumerate(_SINC)][1:]  # d/dv v^(2k) = 2k v^(2k-2) v
    far = (torch.cos(outer) - torch.sin(outer) / outer) / outer
    return torch.where(near, inner * _polynomial(series, inner.square()), far)


def _sinc_second(v: Tensor) -> Tensor:
    """Return ``f'' = -f - 2 f' / v``, -1/3 at 0."""
    near, inner, outer = _sinc_split(v)
    series = [2 * k * (2 * k - 1) * c for k, c in enumerate(_SINC)][1:]
    f = torch.sin(outer) / outer
    far = -f - 2.0 * (torch.cos(outer) - f) / outer.square()
    return torch.where(near, _polynomial(series, inner.square()), far)


def _sinc_split(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mask of the series and `v` for either side, harmless where the other side is taken.

    ``torch.where`` sends a zero cotangent into the branch not taken, and 0 * inf there would be NaN.
    """
    near = v.abs() < _SINC_RADIUS
    return near, torch.where(near, v, 0.0), torch.where(near, 1.0, v)


def _polynomial(coefficients: Sequence[float], z: Tensor) -> Tensor:
    """Return ``sum_k coefficients[k] z^k`` by Horner's rule."""
    total = torch.full_like(z, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * z + c
    return total
