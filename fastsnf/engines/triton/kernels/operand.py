"""Operands of the matrix unit: rounding to their type, and the product in the three precisions.

PRECISION "tf32" takes fp32 operands rounded to tf32, "fp32" a sum of three such products (each operand as the
sum of two tf32 numbers), "fast" 16-bit operands: fp16 forward, bf16 backward, where the range of cotangents
needs it. The matrix unit truncates; so operands are rounded before.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.sine import INTERPRETED


@triton.jit
def round_tf32(x):
    """Return fp32 x rounded to tf32 (11 significant bits), to nearest; NaN and infinity stay."""
    if INTERPRETED:
        bits = x.to(tl.int32, bitcast=True)
        rounded = ((bits + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
        return tl.where(x == x, rounded, x)  # the carry out of a NaN's mantissa would make it a number
    else:
        return tl.inline_asm_elementwise(
            "cvt.rna.tf32.f32 $0, $1;", "=r,f", [x], dtype=tl.int32, is_pure=True, pack=1
        ).to(tl.float32, bitcast=True)


@triton.jit
def round_bf16(x):
    """Return fp32 x rounded to bf16 and held in fp32: for the interpreter, whose conversion truncates."""
    bits = x.to(tl.int32, bitcast=True)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & -0x10000).to(tl.float32, bitcast=True)
    return tl.where(x == x, rounded, float("nan"))


@triton.jit
def to_bf16(x):
    """Return fp32 x as bf16, rounded to nearest."""
    if INTERPRETED:
        return round_bf16(x).to(tl.bfloat16)
    else:
        return x.to(tl.bfloat16)


@triton.jit
def operand(x, PRECISION: tl.constexpr, BACKWARD: tl.constexpr):
    """Return tile x (fp32, or what is already an operand) as operand of `dot`; `fp32` stays whole."""
    if PRECISION == "tf32":
        return round_tf32(x)
    elif PRECISION == "fast":
        if INTERPRETED:
            if BACKWARD:
                return round_bf16(x.to(tl.float32))
            else:
                return x.to(tl.float16).to(tl.float32)
        else:
            if BACKWARD:
                return x.to(tl.bfloat16)
            else:
                return x.to(tl.float16)
    else:
        return x


@triton.jit
def split(x):
    """Return fp32 x as the sum of two tf32 numbers, (high, low).

    Infinity and NaN are (0, x): so they come once into the three products of `dot`, and infinity never meets
    its opposite or a zero remainder there. Infinity times infinity alone is NaN.
    """
    high = round_tf32(x)
    low = x - high
    finite = tl.abs(low) < float("inf")
    return tl.where(finite, high, 0.0), tl.where(finite, round_tf32(low), x)


@triton.jit
def dot(a, b, b_low, acc, PRECISION: tl.constexpr):
    """Return ``acc + a b`` for operands; in `fp32` a is whole and b comes split: b + b_low.

    The matrix unit truncates its sums (Ootomo & Yokota 2022): in `fp32` the three products, the small ones
    first, go into an accumulator of their own, which is added to `acc` with rounding.
    """
    if PRECISION == "fp32":
        a_high, a_low = split(a)
        part = tl.dot(a_low, b, input_precision="tf32")
        part = tl.dot(a_high, b_low, part, input_precision="tf32")
        part = tl.dot(a_high, b, part, input_precision="tf32")
        return acc + part
    else:
        if INTERPRETED:
            return tl.dot(a.to(tl.float32), b.to(tl.float32), acc, input_precision="tf32")
        else:
            return tl.dot(a, b, acc, input_precision="tf32")
