"""Every activation as device functions: what is saved of a pre-activation, its value and its derivative.

ACT is the name of the activation in `fastsnf.spec`, FORMAT that of the saved tensor. `omega`, `turn`,
`turn_low` (omega / (2 pi) in two floats) and `scale` are run-time floats, 0 where an activation has none: see
`fastsnf.engines.triton.parameters`. Formulas are those of `fastsnf.reference.activations`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.sine import cos_turns, exponential, nearest, reduced_turns, sin_turns


@triton.jit
def encode(u, turn, turn_low, ACT: tl.constexpr, FORMAT: tl.constexpr):
    """Return what is saved of pre-activations u (fp32): reduced turns of a sine, u itself of any other."""
    s = u
    if ACT == "sine":
        s = reduced_turns(u, turn, turn_low)
    if FORMAT == "phase16":
        return nearest(s * 65536.0).to(tl.int32).to(tl.int16)
    elif FORMAT == "float16":
        return s.to(tl.float16)
    else:
        return s


@triton.jit
def decode(stored, FORMAT: tl.constexpr):
    """Return the fp32 value of what `encode` stored."""
    if FORMAT == "phase16":
        return stored.to(tl.float32) * (1.0 / 65536.0)
    else:
        return stored.to(tl.float32)


@triton.jit
def activate(s, omega, turn, turn_low, scale, ACT: tl.constexpr, TIER: tl.constexpr):
    """Return ``act(u)`` fp32 from decoded s, real activations; Gabor has `gabor_parts`."""
    if ACT == "sine":
        return sin_turns(s, TIER)
    elif ACT == "gaussian":
        v = s * scale
        return exponential(-v * v, TIER)
    elif ACT == "sinc":
        v = s * omega
        small = v * v < 1e-6
        return tl.where(
            small,
            1.0 - v * v / 6.0,
            sin_turns(reduced_turns(s, turn, turn_low), TIER) / tl.where(small, 1.0, v),
        )
    elif ACT == "gabor-real":
        v = s * scale
        return cos_turns(reduced_turns(s, turn, turn_low), TIER) * exponential(-v * v, TIER)
    elif ACT == "finer":
        return sin_turns(reduced_turns(s * (tl.abs(s) + 1.0), turn, turn_low), TIER)
    elif ACT == "relu":
        return tl.where(s < 0.0, 0.0, s)
    elif ACT == "tanh":
        return 1.0 - 2.0 / (exponential(2.0 * s, TIER) + 1.0)
    else:
        tl.static_assert(ACT == "identity", "unknown activation")
        return s


@triton.jit
def derivative(s, omega, turn, turn_low, scale, ACT: tl.constexpr, TIER: tl.constexpr):
    """Return ``act'(u)`` fp32 from decoded s, real activations."""
    if ACT == "sine":
        return omega * cos_turns(s, TIER)
    elif ACT == "gaussian":
        v = s * scale
        return -2.0 * scale * v * exponential(-v * v, TIER)
    elif ACT == "sinc":
        v = s * omega
        small = v * v < 1e-6
        safe = tl.where(small, 1.0, v)
        r = reduced_turns(s, turn, turn_low)
        return omega * tl.where(small, -v / 3.0, (cos_turns(r, TIER) - sin_turns(r, TIER) / safe) / safe)
    elif ACT == "gabor-real":
        v = s * scale
        r = reduced_turns(s, turn, turn_low)
        slope = omega * sin_turns(r, TIER) + 2.0 * scale * v * cos_turns(r, TIER)
        return -slope * exponential(-v * v, TIER)
    elif ACT == "finer":
        a = tl.abs(s) + 1.0
        return omega * a * cos_turns(reduced_turns(s * a, turn, turn_low), TIER)
    elif ACT == "relu":
        return tl.where(s > 0.0, 1.0, 0.0)
    elif ACT == "tanh":
        t = 1.0 - 2.0 / (exponential(2.0 * s, TIER) + 1.0)
        return 1.0 - t * t
    else:
        tl.static_assert(ACT == "identity", "unknown activation")
        return tl.full(s.shape, 1.0, tl.float32)


@triton.jit
def gabor_real_input(a, turn, turn_low, scale, TIER: tl.constexpr):
    """Return (Re h, Im h) of ``h = exp(i omega a - (scale a)^2)`` for real pre-activations a."""
    v = a * scale
    envelope = exponential(-v * v, TIER)
    r = reduced_turns(a, turn, turn_low)
    return envelope * cos_turns(r, TIER), envelope * sin_turns(r, TIER)


@triton.jit
def gabor_parts(a, b, omega, turn, turn_low, scale, TIER: tl.constexpr):
    """Return (Re h, Im h) of ``h = exp(i omega u - |scale u|^2)``, u = a + i b."""
    envelope = exponential(-omega * b - scale * scale * (a * a + b * b), TIER)
    r = reduced_turns(a, turn, turn_low)
    return envelope * cos_turns(r, TIER), envelope * sin_turns(r, TIER)


@triton.jit
def gabor_real_input_vjp(a, d_re, d_im, omega, turn, turn_low, scale, TIER: tl.constexpr):
    """Return d_a = Re(conj(d_h) h_a) for real a, h_a = (i omega - 2 scale^2 a) h."""
    h_re, h_im = gabor_real_input(a, turn, turn_low, scale, TIER)
    along, across = d_re * h_re + d_im * h_im, d_im * h_re - d_re * h_im
    return omega * across - 2.0 * scale * scale * a * along


@triton.jit
def gabor_vjp(a, b, d_re, d_im, omega, turn, turn_low, scale, TIER: tl.constexpr):
    """Return (d_a, d_b): d_a = Re(conj(d_h) h_a), d_b = Re(conj(d_h) h_b), h_b = -(omega + 2 scale^2 b) h."""
    h_re, h_im = gabor_parts(a, b, omega, turn, turn_low, scale, TIER)
    along, across = d_re * h_re + d_im * h_im, d_im * h_re - d_re * h_im
    twice = 2.0 * scale * scale
    return omega * across - twice * a * along, -(omega + twice * b) * along
