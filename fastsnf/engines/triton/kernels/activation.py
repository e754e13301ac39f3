"""Every activation as device functions: what is saved of a pre-activation, its value and its derivative.

ACT is the name of the activation in `fastsnf.spec`, FORMAT that of the saved tensor. `omega`, `turn`,
`turn_low` (omega / (2 pi) in two floats) and `scale` are run-time floats, 0 where an activation has none, a
sinc's scale is its amplitude: see `fastsnf.engines.triton.parameters`. Formulas are those of
`fastsnf.reference.activations`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.sine import (
    ROUNDER,
    cos_turns,
    exponential,
    fma,
    reduced_turns,
    sin_turns,
)

PHASE_STEPS = tl.constexpr(65535.0)
"""Steps of a turn in "phase16", codes -32767 ... 32767: half a step is 4.8e-5 radians."""

PHASE_NAN = tl.constexpr(-32768)
"""The code of NaN, which is what NaN and infinite pre-activations have as phase."""


@triton.jit
def encode(u, turn, turn_low, ACT: tl.constexpr, FORMAT: tl.constexpr):
    """Return what is saved of pre-activations u (fp32): reduced turns of a sine, u itself of any other."""
    s = u
    if ACT == "sine":
        s = reduced_turns(u, turn, turn_low)
    if FORMAT == "phase16":
        return phase_code(s)
    elif FORMAT == "float16":
        return s.to(tl.float16)
    else:
        return s


@triton.jit
def decode(stored, FORMAT: tl.constexpr):
    """Return the fp32 value of what `encode` stored."""
    if FORMAT == "phase16":
        # The code in the low bits of 1.5 * 2^23: a conversion would go through the special-function unit.
        shifted = (stored.to(tl.int32) + 0x4B400000).to(tl.float32, bitcast=True)
        r = (shifted - ROUNDER) * (1.0 / PHASE_STEPS)
        return tl.where(stored == PHASE_NAN, float("nan"), r)
    else:
        return stored.to(tl.float32)


@triton.jit
def phase_code(r):
    """Return reduced turns r as int16 code, the nearest of 65,535 steps of the turn; NaN has its own.

    -1/2 and 1/2 are one phase halfway between the last codes of either side. A remainder beyond 1/2 (see
    `reduced_turns`) is clamped: it is an error of less than float32's product of omega and u.
    """
    shifted = fma(r, PHASE_STEPS, ROUNDER)
    shifted = tl.minimum(tl.maximum(shifted, ROUNDER - 32767.0), ROUNDER + 32767.0)
    code = shifted.to(tl.int32, bitcast=True) - 0x4B400000
    return tl.where(r == r, code, PHASE_NAN).to(tl.int16)


@triton.jit
def activate(s, omega, turn, turn_low, scale, ACT: tl.constexpr, TIER: tl.constexpr):
    """Return ``act(u)`` fp32 from decoded s, real activations; Gabor has `gabor_parts`."""
    if ACT == "sine":
        return sin_turns(s, TIER)
    elif ACT == "gaussian":
        v = s * scale
        return exponential(-v * v, TIER)
    elif ACT == "sinc":
        return scale * sinc(s * omega, sin_turns(reduced_turns(s, turn, turn_low), TIER))
    elif ACT == "gabor-real":
        v = s * scale
        return cos_turns(reduced_turns(s, turn, turn_low), TIER) * exponential(-v * v, TIER)
    elif ACT == "finer":
        return sin_turns(reduced_turns(fma(s, tl.abs(s), s), turn, turn_low), TIER)
    elif ACT == "relu":
        return tl.where(s < 0.0, 0.0, s)
    elif ACT == "tanh":
        return hyperbolic_tangent(s, TIER)
    elif ACT == "sigmoid":
        e = exponential(-tl.abs(s), TIER)  # of -|u|: nothing overflows, and neither tail is a difference
        return tl.where(s < 0.0, e, 1.0) / (1.0 + e)
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
        r = reduced_turns(s, turn, turn_low)
        return scale * omega * sinc_slope(s * omega, sin_turns(r, TIER), cos_turns(r, TIER))
    elif ACT == "gabor-real":
        v = s * scale
        r = reduced_turns(s, turn, turn_low)
        slope = omega * sin_turns(r, TIER) + 2.0 * scale * v * cos_turns(r, TIER)
        return -slope * exponential(-v * v, TIER)
    elif ACT == "finer":
        a = tl.abs(s) + 1.0
        return omega * a * cos_turns(reduced_turns(fma(s, tl.abs(s), s), turn, turn_low), TIER)
    elif ACT == "relu":
        return tl.where(s > 0.0, 1.0, 0.0)
    elif ACT == "tanh":
        # 1 - tanh^2 = 4 e / (1 + e)^2 with e = exp(-2 |u|): nothing cancels where tanh is near 1
        e = exponential(-2.0 * tl.abs(s), TIER)
        return 4.0 * e / ((1.0 + e) * (1.0 + e))
    elif ACT == "sigmoid":
        e = exponential(-tl.abs(s), TIER)
        return e / ((1.0 + e) * (1.0 + e))
    else:
        tl.static_assert(ACT == "identity", "unknown activation")
        return tl.full(s.shape, 1.0, tl.float32)


@triton.jit
def sinc(v, sine):
    """Return ``sin(v) / v``, 1 at 0, given sin(v)."""
    small = tl.abs(v) < 1.0
    z = v * v
    # sum_k (-1)^k z^k / (2k + 1)!: the first term left out is 1.6e-10 at 1
    p = fma(z, -1.0 / 39916800.0, 1.0 / 362880.0)
    p = fma(z, p, -1.0 / 5040.0)
    p = fma(z, p, 1.0 / 120.0)
    p = fma(z, p, -1.0 / 6.0)
    p = fma(z, p, 1.0)
    return tl.where(small, p, sine / tl.where(small, 1.0, v))


@triton.jit
def sinc_slope(v, sine, cosine):
    """Return ``(cos(v) - sin(v) / v) / v``, the derivative of sin(v) / v, given sin(v) and cos(v)."""
    small = tl.abs(v) < 1.0
    z = v * v
    # the series' derivative, sum_k (-1)^k 2k v^(2k-1) / (2k + 1)!: the first term left out is 1.9e-9 at 1
    p = fma(z, -10.0 / 39916800.0, 8.0 / 362880.0)
    p = fma(z, p, -6.0 / 5040.0)
    p = fma(z, p, 4.0 / 120.0)
    p = fma(z, p, -1.0 / 3.0)
    safe = tl.where(small, 1.0, v)
    return tl.where(small, v * p, (cosine - sine / safe) / safe)


@triton.jit
def hyperbolic_tangent(u, TIER: tl.constexpr):
    """Return ``tanh(u)``, accurate relative to itself near 0 and +-1 far out."""
    z = u * u
    # tanh(u) / u - 1 = z p(z) under |u| < 0.6, with a relative error of 3e-11 in tanh
    p = fma(z, 0.002231063721512927, -0.00826709045857256)
    p = fma(z, p, 0.021734439567935346)
    p = fma(z, p, -0.053952475546594006)
    p = fma(z, p, 0.13333247791414488)
    p = fma(z, p, -0.33333331782506215)
    e = exponential(-2.0 * tl.abs(u), TIER)
    far = (1.0 - e) / (1.0 + e)
    return tl.where(z < 0.36, fma(u * z, p, u), tl.where(u < 0.0, -far, far))


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
    along, across = a * scale, b * scale
    envelope = exponential(-omega * b - along * along - across * across, TIER)
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
