"""Sine, cosine and exponential on the GPU, in tiers; the interpreter takes branches of its own.

An angle is held in turns (1 turn = 2 pi): reducing it is a subtraction, and the reduced turn in [-1/2, 1/2]
gives sine and cosine alike. TIER "accurate" is the special-function unit on a reduced argument, "exact" a
polynomial on the FMA pipes. `tl.sin` is never taken on a GPU: it compiles to the slow path with local memory.

The special-function unit (16 results a clock and multiprocessor, against 128 of the FMA pipes) also converts
between integers and floats and rounds to integers. So nothing here converts: a float is rounded by adding
``1.5 * 2^23``, whose sum holds the integer in its low bits.
"""

from __future__ import annotations

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))
"""Whether kernels run in Triton's interpreter, which knows no inline assembly."""

TWO_PI = tl.constexpr(6.283185307179586)

ROUNDER = tl.constexpr(12582912.0)
"""1.5 * 2^23: floats around it are the integers, to +-2^22 on either side."""

MOST_TURNS = tl.constexpr(4194304.0)
"""2^22 turns (2.6e7 radians): beyond, eager's float32 product ``omega u`` is wrong by a radian and more."""


@triton.jit
def fma(x, y, z):
    """Return ``x * y + z`` rounded once; the interpreter's own `tl.fma` rounds twice."""
    if INTERPRETED:
        return (x.to(tl.float64) * y + z).to(tl.float32)
    else:
        return tl.fma(x, y, z)


@triton.jit
def nearest(t):
    """Return `t` rounded to the nearest integer, ties to even; from 2^22 on as it is."""
    return tl.where(tl.abs(t) < MOST_TURNS, (t + ROUNDER) - ROUNDER, t)


@triton.jit
def reduced_turns(u, turn, turn_low):
    """Return ``u * (turn + turn_low)`` modulo 1 in [-1/2, 1/2]; turn = omega / (2 pi) in two floats.

    Every product is an explicit fused one, so that the compiler has nothing to contract: n is the integer
    nearest to the exact u * turn, and ``u * turn - n`` is exact but for one rounding. The remainder may
    exceed 1/2 by ``|u * turn_low|``. Beyond 2^22 turns the phase is 0, and NaN for NaN and infinity.
    """
    n = fma(u, turn, ROUNDER) - ROUNDER
    r = fma(u, turn_low, fma(u, turn, -n))
    return tl.where(tl.abs(n) < MOST_TURNS, r, n * 0.0)


@triton.jit
def sin_turns(r, TIER: tl.constexpr):
    """Return ``sin(2 pi r)`` for r in [-1/2, 1/2]."""
    if TIER == "exact":
        # sin(2 pi r) = r (1 - 4 r^2) p(r^2): the zeros at 0 and +-1/2 are factors, so all of it is relative.
        # Error of this fit: 1.2e-9 before rounding.
        z = r * r
        p = fma(z, -0.7983429602262337, 3.516376014552675)
        p = fma(z, p, -9.62460469943822)
        p = fma(z, p, 16.76918967165887)
        p = fma(z, p, -16.208955643775614)
        p = fma(z, p, 6.28318527001702)
        return r * fma(r * -4.0, r, 1.0) * p
    elif INTERPRETED:
        return tl.sin(r * TWO_PI)
    else:
        return tl.inline_asm_elementwise(
            "sin.approx.f32 $0, $1;", "=f,f", [r * TWO_PI], dtype=tl.float32, is_pure=True, pack=1
        )


@triton.jit
def cos_turns(r, TIER: tl.constexpr):
    """Return ``cos(2 pi r)`` for r in [-1/2, 1/2]."""
    if TIER == "exact":
        # cos(2 pi r) = (1 - 16 r^2) q(r^2), the zeros at +-1/4 as factors. Error of this fit: 1.2e-10.
        z = r * r
        q = fma(z, 0.09089338940924671, -0.48188408171874647)
        q = fma(z, q, 1.6201896698670188)
        q = fma(z, q, -3.663873090194603)
        q = fma(z, q, 5.112049110793319)
        q = fma(z, q, -3.739208742537804)
        q = fma(z, q, 1.0)
        return fma(r * -16.0, r, 1.0) * q
    elif INTERPRETED:
        return tl.cos(r * TWO_PI)
    else:
        return tl.inline_asm_elementwise(
            "cos.approx.f32 $0, $1;", "=f,f", [r * TWO_PI], dtype=tl.float32, is_pure=True, pack=1
        )


@triton.jit
def exponential(v, TIER: tl.constexpr):
    """Return ``exp(v)``: infinity on overflow, 0 far below, NaN for NaN."""
    if TIER == "exact":
        # exp(v) = 2^n 2^f, n the integer nearest to v log2(e), f = v log2(e) - n with log2(e) in two floats.
        # 2^n is two factors, as n goes beyond a float's exponents on either side. Relative error of the fit
        # of 2^f: 1.9e-9.
        v = tl.minimum(v, 90.0, propagate_nan=tl.PropagateNan.ALL)
        v = tl.maximum(v, -110.0, propagate_nan=tl.PropagateNan.ALL)
        shifted = fma(v, 1.4426950216293335, ROUNDER)
        f = fma(v, 1.4426950216293335, ROUNDER - shifted)
        f = fma(v, 1.925963033500011e-08, f)
        p = fma(f, 0.00015345811581289894, 0.0013399931215682158)
        p = fma(f, p, 0.009618488958659436)
        p = fma(f, p, 0.05550328776975746)
        p = fma(f, p, 0.24022646890619814)
        p = fma(f, p, 0.6931472057372610)
        p = fma(f, p, 1.0)
        n = shifted.to(tl.int32, bitcast=True) - 0x4B400000
        half = n >> 1
        first = ((half + 127) << 23).to(tl.float32, bitcast=True)
        second = ((n - half + 127) << 23).to(tl.float32, bitcast=True)
        return p * first * second
    else:
        return tl.exp(v)
