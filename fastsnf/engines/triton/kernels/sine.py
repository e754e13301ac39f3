"""Sine, cosine and exponential on the GPU, in tiers; the interpreter takes branches of its own.

An angle is held in turns (1 turn = 2 pi): reducing it is a subtraction, and the reduced turn in [-1/2, 1/2]
gives sine and cosine alike. TIER "accurate" is the special-function unit on a reduced argument, "exact" a
polynomial on the FMA pipes. `tl.sin` is never taken on a GPU: it compiles to the slow path with local memory.
"""

from __future__ import annotations

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))
"""Whether kernels run in Triton's interpreter, which knows no inline assembly."""

TWO_PI = tl.constexpr(6.283185307179586)


@triton.jit
def nearest(t):
    """Return `t` rounded to the nearest integer, ties to even; NaN and infinity stay."""
    if INTERPRETED:
        return tl.floor(t + 0.5)
    else:
        return tl.inline_asm_elementwise(
            "cvt.rni.f32.f32 $0, $1;", "=f,f", [t], dtype=tl.float32, is_pure=True, pack=1
        )


@triton.jit
def reduced_turns(u, turn, turn_low):
    """Return ``u * (turn + turn_low)`` modulo 1 in [-1/2, 1/2]; turn = omega / (2 pi) in two floats."""
    t = u * turn
    low = tl.fma(u, turn_low, tl.fma(u, turn, -t))
    return (t - nearest(t)) + low


@triton.jit
def sin_turns(r, TIER: tl.constexpr):
    """Return ``sin(2 pi r)`` for r in [-1/2, 1/2]."""
    if INTERPRETED:
        return tl.sin(r * TWO_PI)
    else:
        return tl.inline_asm_elementwise(
            "sin.approx.f32 $0, $1;", "=f,f", [r * TWO_PI], dtype=tl.float32, is_pure=True, pack=1
        )


@triton.jit
def cos_turns(r, TIER: tl.constexpr):
    """Return ``cos(2 pi r)`` for r in [-1/2, 1/2]."""
    if INTERPRETED:
        return tl.cos(r * TWO_PI)
    else:
        return tl.inline_asm_elementwise(
            "cos.approx.f32 $0, $1;", "=f,f", [r * TWO_PI], dtype=tl.float32, is_pure=True, pack=1
        )


@triton.jit
def exponential(v, TIER: tl.constexpr):
    """Return ``exp(v)``."""
    return tl.exp(v)
