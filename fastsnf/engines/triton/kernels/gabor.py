"""The complex Gabor layer ``u = W h + b`` in split real and imaginary parts, forward and backward.

Complex activations are two planes in a row, [rows, 2 F] = [re | im], complex weights two tensors. A product
of complex tiles is four real ones of four loaded tiles, so that each plane of the weights crosses the caches
once, not twice as in the product with [[W_re, -W_im], [W_im, W_re]]. The layer below saves u alone; h is made
on load: of a real u where that layer is the field's first (FIRST_BELOW), else of (a | b).

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
from fastsnf.engines.triton.kernels.linear import dot_of_rows, load_weight
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
def store_scalars(out, omega, turn, turn_low, scale):
    """Write the four numbers of an activation to `out` [4] fp32, from where `spread` loads them."""
    tl.store(out, omega)
    tl.store(out + 1, turn)
    tl.store(out + 2, turn_low)
    tl.store(out + 3, scale)


@triton.jit
def spread(scalars):
    """Return (omega, turn, turn_low, scale) of fp32 `scalars` [4], each as a tensor [1, 1].

    What Triton computes of loaded tensors alone it computes in the layout of the matrix unit's left operand;
    of run-time numbers too, in the layout of its loads, from where it goes through shared memory.
    """
    at = scalars + tl.arange(0, 1)
    omega, turn = tl.load(at)[:, None], tl.load(at + 1)[:, None]
    turn_low, scale = tl.load(at + 2)[:, None], tl.load(at + 3)[:, None]
    return omega, turn, turn_low, scale


@triton.jit
def negated(x):
    """Return ``-x`` of an operand; of bf16 by its sign bit, for want of such arithmetic before sm_90."""
    if x.dtype == tl.bfloat16:
        return (x.to(tl.int16, bitcast=True) ^ -32768).to(tl.bfloat16, bitcast=True)
    else:
        return -x


@triton.jit
def load_split(weight, weight_low, at, rn, columns, PRECISION: tl.constexpr, EVEN_COLUMNS: tl.constexpr):
    """Return a tile of a plane of packed weights and, in `fp32`, its low part (itself elsewhere)."""
    high = load_weight(weight + at, rn, columns, EVEN_COLUMNS)
    low = high
    if PRECISION == "fp32":
        low = load_weight(weight_low + at, rn, columns, EVEN_COLUMNS)
    return high, low


@triton.jit(do_not_specialize=("rows",))  # one build serves every number of rows
def complex_fwd(
    s_in,
    weight_re,
    weight_im,
    low_re,
    low_im,
    bias_re,
    bias_im,
    s_out,
    out,
    rows,
    columns_in,
    columns_out,
    outputs,
    out_stride_row,
    out_stride_column,
    scalars,
    PRECISION: tl.constexpr,
    TIER: tl.constexpr,
    FIRST_BELOW: tl.constexpr,
    REAL_OUTPUT: tl.constexpr,
    SAVE: tl.constexpr,
    FINAL: tl.constexpr,
    EVEN_COLUMNS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """``u = W h + b``; SAVE: u in `s_out`; FINAL: Re u in `out` (of a layer that gives Re u alone).

    Shapes: `s_in` [rows, 2 columns_in], or [rows, columns_in] with FIRST_BELOW; W and its low parts each
    [columns_out, columns_in]; b [columns_out]; `s_out` [rows, 2 columns_out], or [rows, columns_out]
    with REAL_OUTPUT; `out` [rows, outputs] fp32.
    """
    tiles = tl.cdiv(columns_out, COLUMNS)
    rm = (tl.program_id(0) // tiles) * ROWS + tl.arange(0, ROWS)
    rn = (tl.program_id(0) % tiles) * COLUMNS + tl.arange(0, COLUMNS)
    rk = tl.arange(0, DEPTH)
    row_mask = (rm < rows)[:, None]
    s_width = columns_in if FIRST_BELOW else 2 * columns_in
    s_at = s_in + rm.to(tl.int64)[:, None] * s_width + rk[None, :]
    w_at = rn[None, :] * columns_in + rk[:, None]
    u_re = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    u_im = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    omega, turn, turn_low, scale = spread(scalars)
    tl.assume(columns_in > 0)
    for _ in range(0, columns_in, DEPTH):
        h_re, h_im = hidden(s_at, columns_in, row_mask, omega, turn, turn_low, scale, FIRST_BELOW, TIER)
        h_re, h_im = operand(h_re, PRECISION, False), operand(h_im, PRECISION, False)
        w_re, w_re_low = load_split(weight_re, low_re, w_at, rn, columns_out, PRECISION, EVEN_COLUMNS)
        w_im, w_im_low = load_split(weight_im, low_im, w_at, rn, columns_out, PRECISION, EVEN_COLUMNS)
        u_re = dot(h_re, w_re, w_re_low, u_re, PRECISION)
        u_re = dot(negated(h_im), w_im, w_im_low, u_re, PRECISION)
        if not REAL_OUTPUT:
            u_im = dot(h_im, w_re, w_re_low, u_im, PRECISION)
            u_im = dot(h_re, w_im, w_im_low, u_im, PRECISION)
        s_at += DEPTH
        w_at += DEPTH
    mask = row_mask if EVEN_COLUMNS else row_mask & (rn < columns_out)[None, :]
    u_re += tl.load(bias_re + rn, mask=rn < columns_out, other=0.0)[None, :]
    at = rm.to(tl.int64)[:, None] * (columns_out if REAL_OUTPUT else 2 * columns_out) + rn[None, :]
    if SAVE:
        tl.store(s_out + at, u_re.to(s_out.dtype.element_ty), mask=mask)
    if FINAL:
        out_at = rm.to(tl.int64)[:, None] * out_stride_row + rn.to(tl.int64)[None, :] * out_stride_column
        tl.store(out + out_at, u_re, mask=row_mask & (rn < outputs)[None, :])
    if not REAL_OUTPUT:
        u_im += tl.load(bias_im + rn, mask=rn < columns_out, other=0.0)[None, :]
        tl.store(s_out + columns_out + at, u_im.to(s_out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=("rows",))  # one build serves every number of rows
def complex_dx(
    d,
    weight_re,
    weight_im,
    low_re,
    low_im,
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
    HAS_SUMS: tl.constexpr,
    EVEN_COLUMNS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PARTS: tl.constexpr,
):
    """``d_h = W^H d`` and, of it, ``d_in``: the cotangent of u below through its Gabor; sums of its columns.

    Shapes: `d` [rows, 2 columns_out], or [rows, columns_out] with REAL_OUTPUT; W transposed and its low parts
    each [columns_in, columns_out]; `s_in`, `d_in` [rows, 2 columns_in], or
    [rows, columns_in] with FIRST_BELOW; `db_partial` [row tiles, columns of d_in] fp32, of values before
    rounding. `d_in` may lie over `s_in`: a program reads and writes the same tile, every entry before it is
    written.
    """
    tiles = tl.cdiv(columns_in, COLUMNS)
    row_tile = tl.program_id(0) // tiles
    first = (tl.program_id(0) % tiles) * COLUMNS
    rm = row_tile * ROWS + tl.arange(0, ROWS)
    rn = first + tl.arange(0, COLUMNS)
    rk = tl.arange(0, DEPTH)
    row_mask = (rm < rows)[:, None]
    d_at = d + rm.to(tl.int64)[:, None] * (columns_out if REAL_OUTPUT else 2 * columns_out) + rk[None, :]
    w_at = rn[None, :] * columns_out + rk[:, None]
    h_re = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    h_im = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    tl.assume(columns_out > 0)
    for _ in range(0, columns_out, DEPTH):
        d_re = tl.load(d_at, mask=row_mask, other=0.0)
        w_re, w_re_low = load_split(weight_re, low_re, w_at, rn, columns_in, PRECISION, EVEN_COLUMNS)
        w_im, w_im_low = load_split(weight_im, low_im, w_at, rn, columns_in, PRECISION, EVEN_COLUMNS)
        h_re = dot(d_re, w_re, w_re_low, h_re, PRECISION)
        h_im = dot(negated(d_re), w_im, w_im_low, h_im, PRECISION)
        if not REAL_OUTPUT:
            d_im = tl.load(d_at + columns_out, mask=row_mask, other=0.0)
            h_re = dot(d_im, w_im, w_im_low, h_re, PRECISION)
            h_im = dot(d_im, w_re, w_re_low, h_im, PRECISION)
        d_at += DEPTH
        w_at += DEPTH
    store_parts(
        h_re, h_im, s_in, d_in, db_partial, row_tile, rm, first, rows, columns_in,
        omega, turn, turn_low, scale, PRECISION, TIER, FIRST_BELOW, HAS_SUMS, EVEN_COLUMNS, COLUMNS, PARTS,
    )  # fmt: skip


@triton.jit
def store_parts(
    d_re, d_im, s_in, d_in, db_partial, row_tile, rm, first, rows, columns, omega, turn, turn_low, scale,
    PRECISION: tl.constexpr, TIER: tl.constexpr, FIRST_BELOW: tl.constexpr, HAS_SUMS: tl.constexpr,
    EVEN_COLUMNS: tl.constexpr, COLUMNS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """`store_dx` by PARTS (1, 2, 4) groups of columns: what all of them take does not fit the registers."""
    if PARTS == 1:
        store_dx(
            d_re, d_im, s_in, d_in, db_partial, row_tile, rm, first, rows, columns,
            omega, turn, turn_low, scale, PRECISION, TIER, FIRST_BELOW, HAS_SUMS, EVEN_COLUMNS, COLUMNS,
        )  # fmt: skip
    else:
        re_left, re_right = halves(d_re)
        im_left, im_right = halves(d_im)
        store_parts(
            re_left, im_left, s_in, d_in, db_partial, row_tile, rm, first, rows, columns,
            omega, turn, turn_low, scale, PRECISION, TIER, FIRST_BELOW, HAS_SUMS, EVEN_COLUMNS,
            COLUMNS // 2, PARTS // 2,
        )  # fmt: skip
        store_parts(
            re_right, im_right, s_in, d_in, db_partial, row_tile, rm, first + COLUMNS // 2, rows, columns,
            omega, turn, turn_low, scale, PRECISION, TIER, FIRST_BELOW, HAS_SUMS, EVEN_COLUMNS,
            COLUMNS // 2, PARTS // 2,
        )  # fmt: skip


@triton.jit
def halves(x):
    """Return the left and the right half of the columns of x."""
    return tl.split(tl.permute(tl.reshape(x, (x.shape[0], 2, x.shape[1] // 2)), (0, 2, 1)))


@triton.jit
def store_dx(
    d_re, d_im, s_in, d_in, db_partial, row_tile, rm, first, rows, columns, omega, turn, turn_low, scale,
    PRECISION: tl.constexpr, TIER: tl.constexpr, FIRST_BELOW: tl.constexpr, HAS_SUMS: tl.constexpr,
    EVEN_COLUMNS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Store the cotangent of u for that of h in features first ... first + COLUMNS, and its column sums."""
    rn = first + tl.arange(0, COLUMNS)
    width = columns if FIRST_BELOW else 2 * columns
    at = rm.to(tl.int64)[:, None] * width + rn[None, :]
    if HAS_SUMS:  # rows beyond the last add 0: their d is
        sums = db_partial + row_tile.to(tl.int64) * width + rn
    mask = (rm < rows)[:, None]
    if not EVEN_COLUMNS:
        mask = mask & (rn < columns)[None, :]
    a = tl.load(s_in + at, mask=mask, other=0.0).to(tl.float32)
    if FIRST_BELOW:
        d_a = gabor_real_input_vjp(a, d_re, d_im, omega, turn, turn_low, scale, TIER)
    else:
        b = tl.load(s_in + columns + at, mask=mask, other=0.0).to(tl.float32)
        d_a, d_b = gabor_vjp(a, b, d_re, d_im, omega, turn, turn_low, scale, TIER)
        tl.store(d_in + columns + at, cotangent(d_b, PRECISION), mask=mask)
        if HAS_SUMS:
            tl.store(sums + columns, tl.sum(d_b, axis=0), mask=rn < columns)
    tl.store(d_in + at, cotangent(d_a, PRECISION), mask=mask)
    if HAS_SUMS:
        tl.store(sums, tl.sum(d_a, axis=0), mask=rn < columns)


@triton.jit
def cotangent(x, PRECISION: tl.constexpr):
    """Return fp32 cotangents as they are stored: as operands of the products that read them."""
    if PRECISION == "tf32":
        return round_tf32(x)
    elif PRECISION == "fast":
        return to_bf16(x)
    else:
        return x


@triton.jit(do_not_specialize=("rows", "split_rows"))  # one build serves every number of rows
def complex_dw(
    d,
    s_in,
    dw_partial,
    rows,
    split_rows,
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
    TURNED: tl.constexpr,
    EVEN_COLUMNS: tl.constexpr,
    EVEN_INPUTS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """``dw_partial[s] = sum of d h^H`` over the rows of split s; TURNED: by way of its transpose.

    Shapes: `d` [rows, 2 columns_out], or [rows, columns_out] with REAL_OUTPUT; `s_in` [rows, 2 columns_in],
    or [rows, columns_in] with FIRST_BELOW; `dw_partial` [splits, columns_out, 2 columns_in] fp32, in which
    real and imaginary parts alternate. A program makes ROWS x COLUMNS complex entries, DEPTH points a step.
    """
    row_tiles = tl.cdiv(columns_out, ROWS)
    tiles = row_tiles * tl.cdiv(columns_in, COLUMNS)
    split = tl.program_id(0) // tiles
    tile = tl.program_id(0) % tiles
    rn = (tile % row_tiles) * ROWS + tl.arange(0, ROWS)
    rk = (tile // row_tiles) * COLUMNS + tl.arange(0, COLUMNS)
    begin = split * split_rows
    end = tl.minimum(begin + split_rows, rows)
    d_width = columns_out if REAL_OUTPUT else 2 * columns_out
    s_width = columns_in if FIRST_BELOW else 2 * columns_in
    if TURNED:
        w_re = tl.zeros((COLUMNS, ROWS), dtype=tl.float32)
        w_im = tl.zeros((COLUMNS, ROWS), dtype=tl.float32)
    else:
        w_re = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
        w_im = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    tl.assume(end > begin)
    for m in range(begin, end, DEPTH):
        rm = m + tl.arange(0, DEPTH)
        mask = (rm < end)[:, None]
        d_mask = mask if EVEN_COLUMNS else mask & (rn < columns_out)[None, :]
        s_mask = mask if EVEN_INPUTS else mask & (rk < columns_in)[None, :]
        row = rm.to(tl.int64)[:, None]
        s_at = s_in + row * s_width + rk[None, :]
        h_re, h_im = hidden(s_at, columns_in, s_mask, omega, turn, turn_low, scale, FIRST_BELOW, TIER)
        if PRECISION == "fast":
            h_re, h_im = operand(h_re, PRECISION, True), operand(h_im, PRECISION, True)
        d_at = d + row * d_width + rn[None, :]
        d_re = tl.load(d_at, mask=d_mask, other=0.0)
        if TURNED:
            w_re = dot_of_rows(h_re, d_re, w_re, PRECISION)
            w_im = dot_of_rows(negated(h_im), d_re, w_im, PRECISION)
        else:
            w_re = dot_of_rows(d_re, h_re, w_re, PRECISION)
            w_im = dot_of_rows(negated(d_re), h_im, w_im, PRECISION)
        if not REAL_OUTPUT:
            d_im = tl.load(d_at + columns_out, mask=d_mask, other=0.0)
            if TURNED:
                w_re = dot_of_rows(h_im, d_im, w_re, PRECISION)
                w_im = dot_of_rows(h_re, d_im, w_im, PRECISION)
            else:
                w_re = dot_of_rows(d_im, h_im, w_re, PRECISION)
                w_im = dot_of_rows(d_im, h_re, w_im, PRECISION)
    if TURNED:
        w_re, w_im = tl.trans(w_re), tl.trans(w_im)
    ri = (tile // row_tiles) * (2 * COLUMNS) + tl.arange(0, 2 * COLUMNS)
    at = (split * columns_out + rn).to(tl.int64)[:, None] * (2 * columns_in) + ri[None, :]
    inside = (rn < columns_out)[:, None] & (ri < 2 * columns_in)[None, :]
    tl.store(dw_partial + at, tl.interleave(w_re, w_im), mask=inside)
