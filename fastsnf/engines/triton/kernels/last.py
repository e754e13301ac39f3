"""The last layer: few outputs, so sums over the feature row, in fp32 and never on the matrix unit.

M points, F features in rows of `width` (F padded), C <= 8 outputs. A block holds whole feature rows as
[FB / LANE, ROWS, LANE]: feature = first index * LANE + last one. With as many ROWS as warps, a warp has a row
to itself, and its sums need no shared memory. A thread adds up its own entries of the parameters' gradients
over a split; they meet once, at its end. Every sum has a fixed order.

Gabor below: h is complex, u = Re(W h + b), weight and bias come as pairs (re, im).
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.activation import (
    activate,
    decode,
    derivative,
    encode,
    gabor_parts,
    gabor_real_input,
    gabor_real_input_vjp,
    gabor_vjp,
)
from fastsnf.engines.triton.kernels.operand import operand


@triton.jit
def feature_columns(FB: tl.constexpr, LANE: tl.constexpr):
    """Return the feature of each place of a block, [FB / LANE, 1, LANE]."""
    return tl.arange(0, FB // LANE)[:, None, None] * LANE + tl.arange(0, LANE)[None, None, :]


@triton.jit
def load_plane(s_in, rm, column, M, width, stride, plane, FORMAT: tl.constexpr, EVEN: tl.constexpr):
    """Return the decoded rows rm of one plane of s_in; 0 for what is not there. EVEN: FB is width."""
    there = (rm < M)[None, :, None]
    if not EVEN:
        there = there & (column < width)
    return decode(
        tl.load(s_in + rm[None, :, None] * stride + plane * width + column, mask=there, other=0), FORMAT
    )


@triton.jit
def load_weights(
    weight, column, F, stride_c, stride_f, C: tl.constexpr, ROWS: tl.constexpr, PART: tl.constexpr
):
    """Return C tiles of the weight, one an output, spread over the block; 0 beyond F."""
    place = column + tl.zeros((1, ROWS, 1), tl.int32)  # every warp loads its own: no exchange between them
    tiles = ()
    for c in tl.static_range(C):
        tiles = tiles + (tl.load(weight + c * stride_c + place * stride_f + PART, mask=place < F, other=0.0),)
    return tiles


@triton.jit
def weight_parts(
    weight, column, F, stride_c, stride_f, C: tl.constexpr, ROWS: tl.constexpr, COMPLEX: tl.constexpr
):
    """Return the tiles of the real and of the imaginary part; twice the real ones of a real weight."""
    w_re = load_weights(weight, column, F, stride_c, stride_f, C, ROWS, 0)
    if COMPLEX:
        w_im = load_weights(weight, column, F, stride_c, stride_f, C, ROWS, 1)
    else:
        w_im = w_re
    return w_re, w_im


@triton.jit
def hidden(
    a,
    b,
    column,
    F,
    omega,
    turn,
    turn_low,
    scale,
    ACT: tl.constexpr,
    TIER: tl.constexpr,
    PLANAR: tl.constexpr,
    PADDED: tl.constexpr,
):
    """Return (Re h, Im h) of decoded (a, b), the second of no meaning for a real activation; 0 in pads."""
    if ACT == "gabor":
        if PLANAR:
            h_re, h_im = gabor_parts(a, b, omega, turn, turn_low, scale, TIER)
        else:
            h_re, h_im = gabor_real_input(a, turn, turn_low, scale, TIER)
    else:
        h_re = activate(a, omega, turn, turn_low, scale, ACT, TIER)
        h_im = h_re
    if PADDED:  # an infinity above makes NaN of a pad
        h_re = tl.where(column < F, h_re, 0.0)
        h_im = tl.where(column < F, h_im, 0.0)
    return h_re, h_im


@triton.jit
def pre_activation(h_re, h_im, w_re, w_im, bias, c: tl.constexpr, COMPLEX: tl.constexpr):
    """Return u[:, c] [ROWS], ``Re(W h + b)``."""
    product = h_re * w_re[c]
    if COMPLEX:
        product -= h_im * w_im[c]
    u = tl.sum(tl.sum(product, axis=0), axis=1)
    if bias is not None:
        u += tl.load(bias + (2 * c if COMPLEX else c))
    return u


@triton.jit
def last_fwd(
    s_in,
    weight,
    bias,
    out,
    M,
    F,
    width,
    stride_in,
    stride_c,
    stride_f,
    stride_out,
    program_rows,
    omega_in,
    turn_in,
    turn_low_in,
    scale_in,
    omega_out,
    turn_out,
    turn_low_out,
    scale_out,
    C: tl.constexpr,
    ACT_IN: tl.constexpr,
    ACT_OUT: tl.constexpr,
    FORMAT: tl.constexpr,
    TIER: tl.constexpr,
    PLANAR: tl.constexpr,
    PADDED: tl.constexpr,
    EVEN: tl.constexpr,
    FB: tl.constexpr,
    LANE: tl.constexpr,
    ROWS: tl.constexpr,
    STAGES: tl.constexpr,
):
    """``out = act_out(Re(W act_in(s_in) + b))``.

    s_in [M, width] saved form, or planar [M, 2 width]; weight[c, f] at strides (stride_c, stride_f), out
    [M, C] in rows of stride_out. A program has program_rows rows, ROWS at a time.
    """
    begin = tl.program_id(0).to(tl.int64) * program_rows
    count = (tl.minimum(begin + program_rows, M) - begin).to(tl.int32)
    column = feature_columns(FB, LANE)
    COMPLEX: tl.constexpr = ACT_IN == "gabor"
    w_re, w_im = weight_parts(weight, column, F, stride_c, stride_f, C, ROWS, COMPLEX)
    for start in tl.range(0, count, ROWS, num_stages=STAGES):
        rm = begin + start + tl.arange(0, ROWS)
        a = load_plane(s_in, rm, column, M, width, stride_in, 0, FORMAT, EVEN)
        b = a
        if PLANAR:
            b = load_plane(s_in, rm, column, M, width, stride_in, 1, FORMAT, EVEN)
        h_re, h_im = hidden(
            a, b, column, F, omega_in, turn_in, turn_low_in, scale_in, ACT_IN, TIER, PLANAR, PADDED
        )
        for c in tl.static_range(C):
            u = pre_activation(h_re, h_im, w_re, w_im, bias, c, COMPLEX)
            s = encode(u, turn_out, turn_low_out, ACT_OUT, "float32")
            value = activate(s, omega_out, turn_out, turn_low_out, scale_out, ACT_OUT, TIER)
            tl.store(out + rm * stride_out + c, value, mask=rm < M)


@triton.jit
def output_cotangent(
    value,
    rm,
    there,
    target,
    sample_weight,
    factor,
    d_out,
    c: tl.constexpr,
    C: tl.constexpr,
):
    """Return (d_out [ROWS], loss [ROWS]) of output c: as given, or of the squared error.

    ``factor w (out - target)`` and ``w (out - target)^2``; both 0 where w is 0, whatever the target.
    """
    if d_out is not None:
        given = tl.load(d_out + rm * C + c, mask=there, other=0.0)
        return given, tl.zeros_like(given)
    else:
        wanted = tl.load(target + rm * C + c, mask=there, other=0.0)
        if sample_weight is not None:
            w = tl.load(sample_weight + rm, mask=there, other=0.0)
        else:
            w = tl.where(there, 1.0, 0.0)
        residual = tl.where(w != 0.0, value - wanted, 0.0)
        weighted = w * residual
        return factor * weighted, weighted * residual


@triton.jit
def last_step(
    s_in,
    weight,
    bias,
    target,
    sample_weight,
    mse_scale,
    d_out,
    out,
    d_in,
    partial,
    db_in_partial,
    loss_partial,
    M,
    F,
    width,
    stride_in,
    split_rows,
    omega_in,
    turn_in,
    turn_low_in,
    scale_in,
    omega_out,
    turn_out,
    turn_low_out,
    scale_out,
    C: tl.constexpr,
    ACT_IN: tl.constexpr,
    ACT_OUT: tl.constexpr,
    FORMAT: tl.constexpr,
    PRECISION: tl.constexpr,
    TIER: tl.constexpr,
    PLANAR: tl.constexpr,
    PADDED: tl.constexpr,
    EVEN: tl.constexpr,
    FB: tl.constexpr,
    LANE: tl.constexpr,
    ROWS: tl.constexpr,
    HOLD: tl.constexpr,
    STAGES: tl.constexpr,
):
    """The last layer forward and backward in one read of s_in; program s has the split_rows rows of split s.

    ``h = act_in(s_in), u = Re(W h + b), out = act_out(u), d_u = d_out act_out'(u), d_h = W^H d_u,
    d_in = act_in'(s_in) d_h`` (Gabor: its vector-Jacobian product), in rows as those of s_in, rounded to the
    operand of PRECISION. partial [S, C, F + 1]: ``sum d_u conj(h)``, then ``sum d_u``; complex: real parts,
    then imaginary parts, [S, C, 2 (F + 1)]. db_in_partial [S, width or 2 width]: column sums of d_in before
    its rounding. loss_partial [S]. target, sample_weight, mse_scale, loss_partial, or d_out are None; so may
    be out, and d_in with db_in_partial. HOLD: weights stay in registers.
    """
    split = tl.program_id(0).to(tl.int64)
    begin = split * split_rows
    count = (tl.minimum(begin + split_rows, M) - begin).to(tl.int32)
    column = feature_columns(FB, LANE)
    COMPLEX: tl.constexpr = ACT_IN == "gabor"
    PARTS: tl.constexpr = 2 if COMPLEX else 1
    factor = 0.0
    if d_out is None:
        factor = tl.load(mse_scale)
    zero = tl.zeros((FB // LANE, ROWS, LANE), tl.float32)
    zero_row = tl.zeros((ROWS,), tl.float32)
    dw_re, dw_im, db = (), (), ()
    for _ in tl.static_range(C):
        dw_re, db = dw_re + (zero,), db + (zero_row,)
        if COMPLEX:
            dw_im = dw_im + (zero,)
    db_re, db_im, loss = zero, zero, zero_row
    w_re, w_im = (), ()
    if HOLD:
        w_re, w_im = weight_parts(weight, column, F, PARTS * F, PARTS, C, ROWS, COMPLEX)
    for start in tl.range(0, count, ROWS, num_stages=STAGES):
        rm = begin + start + tl.arange(0, ROWS)
        there = rm < M
        a = load_plane(s_in, rm, column, M, width, stride_in, 0, FORMAT, EVEN)
        b = a
        if PLANAR:
            b = load_plane(s_in, rm, column, M, width, stride_in, 1, FORMAT, EVEN)
        h_re, h_im = hidden(
            a, b, column, F, omega_in, turn_in, turn_low_in, scale_in, ACT_IN, TIER, PLANAR, PADDED
        )
        if HOLD:
            v_re, v_im = w_re, w_im
        else:
            v_re, v_im = weight_parts(weight, column, F, PARTS * F, PARTS, C, ROWS, COMPLEX)
        d_re, d_im = zero, zero
        new_re, new_im, new_db = (), (), ()
        for c in tl.static_range(C):
            u = pre_activation(h_re, h_im, v_re, v_im, bias, c, COMPLEX)
            s = encode(u, turn_out, turn_low_out, ACT_OUT, "float32")
            value = activate(s, omega_out, turn_out, turn_low_out, scale_out, ACT_OUT, TIER)
            if out is not None:
                tl.store(out + rm * C + c, value, mask=there)
            d_value, loss_c = output_cotangent(value, rm, there, target, sample_weight, factor, d_out, c, C)
            slope = derivative(s, omega_out, turn_out, turn_low_out, scale_out, ACT_OUT, TIER)
            d_row = d_value * slope
            d_u = d_row[None, :, None]
            loss += loss_c
            new_db = new_db + (db[c] + d_row,)
            new_re = new_re + (dw_re[c] + d_u * h_re,)
            d_re += d_u * v_re[c]
            if COMPLEX:
                new_im = new_im + (dw_im[c] - d_u * h_im,)
                d_im -= d_u * v_im[c]
        dw_re, dw_im, db = new_re, new_im, new_db
        if d_in is not None:
            place = d_in + rm[None, :, None] * stride_in + column
            inside = there[None, :, None]
            if not EVEN:
                inside = inside & (column < width)
            if PLANAR:
                d_a, d_b = gabor_vjp(a, b, d_re, d_im, omega_in, turn_in, turn_low_in, scale_in, TIER)
                if PADDED:
                    d_b = tl.where(column < F, d_b, 0.0)
                db_im += d_b
                tl.store(place + width, operand(d_b, PRECISION, True), mask=inside)
            elif COMPLEX:
                d_a = gabor_real_input_vjp(a, d_re, d_im, omega_in, turn_in, turn_low_in, scale_in, TIER)
            else:
                d_a = d_re * derivative(a, omega_in, turn_in, turn_low_in, scale_in, ACT_IN, TIER)
            if PADDED:
                d_a = tl.where(column < F, d_a, 0.0)
            db_re += d_a
            tl.store(place, operand(d_a, PRECISION, True), mask=inside)
    flat = tl.arange(0, FB // LANE)[:, None] * LANE + tl.arange(0, LANE)[None, :]
    for c in tl.static_range(C):
        place = partial + (split * C + c) * PARTS * (F + 1)
        tl.store(place + flat, tl.sum(dw_re[c], axis=1), mask=flat < F)
        tl.store(place + F, tl.sum(db[c], axis=0))
        if COMPLEX:
            tl.store(place + F + 1 + flat, tl.sum(dw_im[c], axis=1), mask=flat < F)
            tl.store(place + 2 * F + 1, 0.0)  # d_u is real
    if db_in_partial is not None:
        place = db_in_partial + split * stride_in + flat
        tl.store(place, tl.sum(db_re, axis=1), mask=flat < width)
        if PLANAR:
            tl.store(place + width, tl.sum(db_im, axis=1), mask=flat < width)
    if loss_partial is not None:
        tl.store(loss_partial + split, tl.sum(loss, axis=0))
