"""The complex Gabor layer ``u = W h + b`` in split real and imaginary parts, forward and backward.

Complex matrices are two real planes: activations [M, 2 F] = [re | im], weights [2 F_out, F_in], Re above Im.
A product of complex tiles is four real ones of four loaded tiles, so that each plane of the weights crosses
the caches once, not twice as in the product with [[W_re, -W_im], [W_im, W_re]]. The layer below saves u
alone; h is made on load: of a real u where that layer is the field's first (FIRST_BELOW), else of (a | b).

F is padded: every width is a multiple of the depth of a tile's step, and what lies in the pad is 0.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.activation import (
    gabor_parts,
    gabor_real_input,
    gabor_real_input_vjp,
    gabor_vjp,
)
from fastsnf.engines.triton.kernels.operand import dot, operand, round_tf32, to_bf16


@triton.jit
def hidden(s_in, plane, mask, omega, turn, turn_low, scale, FIRST_BELOW: tl.constexpr, TIER: tl.constexpr):
    """Return (Re h, Im h) of the pre-activations at pointers `s_in`, the imaginary parts `plane` further."""
    a = tl.load(s_in, mask=mask, other=0.0).to(tl.float32)
    if FIRST_BELOW:
        return gabor_real_input(a, turn, turn_low, scale, TIER)
    else:
        b = tl.load(s_in + plane, mask=mask, other=0.0).to(tl.float32)
        return gabor_parts(a, b, omega, turn, turn_low, scale, TIER)


@triton.jit
def negated(x):
    """Return ``-x`` of an operand; of bf16 by its sign bit, for want of such arithmetic before sm_90."""
    if x.dtype == tl.bfloat16:
        return (x.to(tl.int16, bitcast=True) ^ -32768).to(tl.bfloat16, bitcast=True)
    else:
        return -x


@triton.jit
def load_weight(weight, weight_low, offsets, mask, PRECISION: tl.constexpr, EVEN: tl.constexpr):
    """Return a tile of a plane of packed weights and, in `fp32`, its low part (the tile again elsewhere)."""
    if EVEN:
        high = tl.load(weight + offsets)
    else:
        high = tl.load(weight + offsets, mask=mask, other=0.0)
    low = high
    if PRECISION == "fp32":
        if EVEN:
            low = tl.load(weight_low + offsets)
        else:
            low = tl.load(weight_low + offsets, mask=mask, other=0.0)
    return high, low


@triton.jit
def gabor_fwd(
    s_in,
    weight,
    weight_low,
    bias,
    s_out,
    out,
    rows,
    columns_in,
    columns_out,
    outputs,
    out_row,
    out_column,
    omega,
    turn,
    turn_low,
    scale,
    PRECISION: tl.constexpr,
    TIER: tl.constexpr,
    FIRST_BELOW: tl.constexpr,
    REAL_OUTPUT: tl.constexpr,
    SAVED: tl.constexpr,
    FINAL: tl.constexpr,
    EVEN: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """``u = W h + b``: s_in [M, (2) F_in], weight [2 F_out, F_in] -> s_out [M, 2 F_out], u as it is saved.

    REAL_OUTPUT: only Re u, [M, F_out]; then with FINAL into out [M, outputs] of any strides too or, without
    SAVED, alone.
    """
    tiles = tl.cdiv(columns_out, BN)
    rm = (tl.program_id(0) // tiles) * BM + tl.arange(0, BM)
    rn = (tl.program_id(0) % tiles) * BN + tl.arange(0, BN)
    rk = tl.arange(0, BK)
    in_rows, in_columns = (rm < rows)[:, None], (rn < columns_out)[None, :]
    s_width = columns_in if FIRST_BELOW else 2 * columns_in
    s_pointers = s_in + rm.to(tl.int64)[:, None] * s_width + rk[None, :]
    w_offsets = rn[None, :] * columns_in + rk[:, None]
    plane = columns_out * columns_in
    u_re = tl.zeros((BM, BN), dtype=tl.float32)
    u_im = tl.zeros((BM, BN), dtype=tl.float32)
    for _ in tl.range(0, columns_in, BK):
        h_re, h_im = hidden(s_pointers, columns_in, in_rows, omega, turn, turn_low, scale, FIRST_BELOW, TIER)
        w_re, w_re_low = load_weight(weight, weight_low, w_offsets, in_columns, PRECISION, EVEN)
        w_im, w_im_low = load_weight(weight, weight_low, w_offsets + plane, in_columns, PRECISION, EVEN)
        h_re = operand(h_re, PRECISION, False)
        h_im = operand(h_im, PRECISION, False)
        u_re = dot(h_re, w_re, w_re_low, u_re, PRECISION)
        u_re = dot(negated(h_im), w_im, w_im_low, u_re, PRECISION)
        if not REAL_OUTPUT:
            u_im = dot(h_im, w_re, w_re_low, u_im, PRECISION)
            u_im = dot(h_re, w_im, w_im_low, u_im, PRECISION)
        s_pointers += BK
        w_offsets += BK
    inside = in_rows & in_columns
    u_re += tl.load(bias + rn, mask=rn < columns_out, other=0.0)[None, :]
    s_offsets = rm.to(tl.int64)[:, None] * (columns_out if REAL_OUTPUT else 2 * columns_out) + rn[None, :]
    if SAVED:
        tl.store(s_out + s_offsets, u_re.to(s_out.dtype.element_ty), mask=inside)
    if FINAL:
        out_pointers = out + rm.to(tl.int64)[:, None] * out_row + rn[None, :].to(tl.int64) * out_column
        tl.store(out_pointers, u_re, mask=in_rows & (rn < outputs)[None, :])
    if not REAL_OUTPUT:
        u_im += tl.load(bias + columns_out + rn, mask=rn < columns_out, other=0.0)[None, :]
        tl.store(s_out + columns_out + s_offsets, u_im.to(s_out.dtype.element_ty), mask=inside)


@triton.jit
def cotangent(x, PRECISION: tl.constexpr):
    """Return fp32 cotangents as they are stored: rounded to the operand of the products that read them."""
    if PRECISION == "tf32":
        return round_tf32(x)
    elif PRECISION == "fast":
        return to_bf16(x)
    else:
        return x


@triton.jit
def gabor_dx(
    d,
    weight,
    weight_low,
    s_in,
    d_in,
    db_partial,
    rows,
    columns_in,
    columns_out,
    omega,
    turn,
    turn_low,
    scale,
    PRECISION: tl.constexpr,
    TIER: tl.constexpr,
    FIRST_BELOW: tl.constexpr,
    REAL_OUTPUT: tl.constexpr,
    BIAS: tl.constexpr,
    EVEN: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """``d_h = W^H d``, d_in = vjp of Gabor at s_in: d [M, 2 F_out], weight [2 F_in, F_out] -> d_in as s_in.

    weight is W transposed, plane by plane. REAL_OUTPUT: d [M, F_out] of a layer that gave Re u alone. BIAS:
    the column sums of d_in, before they are rounded, in db_partial [row blocks, columns of d_in]. d_in may be
    the memory of s_in: a program reads its tile before it writes it.
    """
    tiles = tl.cdiv(columns_in, BN)
    block = tl.program_id(0) // tiles
    rm = block * BM + tl.arange(0, BM)
    rn = (tl.program_id(0) % tiles) * BN + tl.arange(0, BN)
    rk = tl.arange(0, BK)
    in_rows, in_columns = (rm < rows)[:, None], (rn < columns_in)[None, :]
    d_width = columns_out if REAL_OUTPUT else 2 * columns_out
    d_pointers = d + rm.to(tl.int64)[:, None] * d_width + rk[None, :]
    w_offsets = rn[None, :] * columns_out + rk[:, None]
    plane = columns_in * columns_out
    h_re = tl.zeros((BM, BN), dtype=tl.float32)
    h_im = tl.zeros((BM, BN), dtype=tl.float32)
    for _ in tl.range(0, columns_out, BK):
        d_re = tl.load(d_pointers, mask=in_rows, other=0.0)
        w_re, w_re_low = load_weight(weight, weight_low, w_offsets, in_columns, PRECISION, EVEN)
        w_im, w_im_low = load_weight(weight, weight_low, w_offsets + plane, in_columns, PRECISION, EVEN)
        h_re = dot(d_re, w_re, w_re_low, h_re, PRECISION)
        h_im = dot(negated(d_re), w_im, w_im_low, h_im, PRECISION)
        if not REAL_OUTPUT:
            d_im = tl.load(d_pointers + columns_out, mask=in_rows, other=0.0)
            h_re = dot(d_im, w_im, w_im_low, h_re, PRECISION)
            h_im = dot(d_im, w_re, w_re_low, h_im, PRECISION)
        d_pointers += BK
        w_offsets += BK
    inside = in_rows & in_columns
    offsets = rm.to(tl.int64)[:, None] * (columns_in if FIRST_BELOW else 2 * columns_in) + rn[None, :]
    a = tl.load(s_in + offsets, mask=inside, other=0.0).to(tl.float32)
    if FIRST_BELOW:
        d_a = gabor_real_input_vjp(a, h_re, h_im, omega, turn, turn_low, scale, TIER)
        tl.store(d_in + offsets, cotangent(d_a, PRECISION), mask=inside)
        if BIAS:
            sums = db_partial + block.to(tl.int64) * columns_in + rn
            tl.store(sums, tl.sum(d_a, axis=0), mask=rn < columns_in)
    else:
        b = tl.load(s_in + columns_in + offsets, mask=inside, other=0.0).to(tl.float32)
        d_a, d_b = gabor_vjp(a, b, h_re, h_im, omega, turn, turn_low, scale, TIER)
        tl.store(d_in + offsets, cotangent(d_a, PRECISION), mask=inside)
        tl.store(d_in + columns_in + offsets, cotangent(d_b, PRECISION), mask=inside)
        if BIAS:
            sums = db_partial + block.to(tl.int64) * (2 * columns_in) + rn
            tl.store(sums, tl.sum(d_a, axis=0), mask=rn < columns_in)
            tl.store(sums + columns_in, tl.sum(d_b, axis=0), mask=rn < columns_in)


@triton.jit
def split_operand(x, PRECISION: tl.constexpr):
    """Return an operand of the backward pass with its low part in `fp32` (with itself elsewhere)."""
    if PRECISION == "fp32":
        high = round_tf32(x)
        return high, round_tf32(x - high)
    else:
        rounded = operand(x, PRECISION, True)
        return rounded, rounded


@triton.jit
def gabor_dw(
    d,
    s_in,
    dw_partial,
    rows,
    columns_in,
    columns_out,
    split_rows,
    omega,
    turn,
    turn_low,
    scale,
    PRECISION: tl.constexpr,
    TIER: tl.constexpr,
    FIRST_BELOW: tl.constexpr,
    REAL_OUTPUT: tl.constexpr,
    EVEN: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """``d_W = sum over a split's rows of d h^H``: d [M, 2 F_out], s_in -> dw_partial [S, 2 F_out, F_in].

    BM x BN outputs a tile, BK rows a step. REAL_OUTPUT: d [M, F_out] of a layer that gave Re u alone.
    """
    tiles_in, tiles_out = tl.cdiv(columns_in, BN), tl.cdiv(columns_out, BM)
    program = tl.program_id(0)
    split = program // (tiles_in * tiles_out)
    ro = ((program // tiles_in) % tiles_out) * BM + tl.arange(0, BM)
    ri = (program % tiles_in) * BN + tl.arange(0, BN)
    first = split * split_rows
    rm = first + tl.arange(0, BK)
    last = tl.minimum(rows, first + split_rows)
    d_width = columns_out if REAL_OUTPUT else 2 * columns_out
    s_width = columns_in if FIRST_BELOW else 2 * columns_in
    d_pointers = d + rm.to(tl.int64)[:, None] * d_width + ro[None, :]
    s_pointers = s_in + rm.to(tl.int64)[:, None] * s_width + ri[None, :]
    in_out, in_in = (ro < columns_out)[None, :], (ri < columns_in)[None, :]
    w_re = tl.zeros((BM, BN), dtype=tl.float32)
    w_im = tl.zeros((BM, BN), dtype=tl.float32)
    for _ in tl.range(first, last, BK):
        in_rows = (rm < last)[:, None]
        d_mask, s_mask = in_rows, in_rows
        if not EVEN:
            d_mask, s_mask = in_rows & in_out, in_rows & in_in
        h_re, h_im = hidden(s_pointers, columns_in, s_mask, omega, turn, turn_low, scale, FIRST_BELOW, TIER)
        h_re, h_re_low = split_operand(h_re, PRECISION)
        h_im, h_im_low = split_operand(h_im, PRECISION)
        d_re = tl.trans(tl.load(d_pointers, mask=d_mask, other=0.0))
        w_re = dot(d_re, h_re, h_re_low, w_re, PRECISION)
        w_im = dot(negated(d_re), h_im, h_im_low, w_im, PRECISION)
        if not REAL_OUTPUT:
            d_im = tl.trans(tl.load(d_pointers + columns_out, mask=d_mask, other=0.0))
            w_re = dot(d_im, h_im, h_im_low, w_re, PRECISION)
            w_im = dot(d_im, h_re, h_re_low, w_im, PRECISION)
        rm += BK
        d_pointers += BK * d_width.to(tl.int64)
        s_pointers += BK * s_width.to(tl.int64)
    plane = columns_out * columns_in
    partial = dw_partial + split.to(tl.int64) * (2 * plane) + ro[:, None] * columns_in + ri[None, :]
    inside = (ro < columns_out)[:, None] & in_in
    tl.store(partial, w_re, mask=inside)
    tl.store(partial + plane, w_im, mask=inside)
