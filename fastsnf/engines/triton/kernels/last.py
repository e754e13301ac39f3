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
def saved_place(base, rm, column, end, width, stride, EVEN: tl.constexpr):
    """Return pointers to rows rm < end of a matrix with rows of `stride`, and whether they are there.

    EVEN: FB is width.
    """
    there = (rm < end)[None, :, None]
    if not EVEN:
        there = there & (column < width)
    return base + rm[None, :, None] * stride + column, there


@triton.jit
def load_saved(
    s_in,
    rm,
    column,
    end,
    width,
    stride,
    FORMAT: tl.constexpr,
    PLANAR: tl.constexpr,
    EVEN: tl.constexpr,
):
    """Return rows rm decoded, as (a, b) where PLANAR and (u, u) otherwise; 0 for what is not there."""
    place, there = saved_place(s_in, rm, column, end, width, stride, EVEN)
    s_re = decode(tl.load(place, mask=there, other=0), FORMAT)
    s_im = s_re
    if PLANAR:
        s_im = decode(tl.load(place + width, mask=there, other=0), FORMAT)
    return s_re, s_im


@triton.jit
def load_weights(
    weight, column, F, stride_c, stride_f, C: tl.constexpr, ROWS: tl.constexpr, COMPLEX: tl.constexpr
):
    """Return C tiles of Re W and C of Im W (Re W again where real), spread over the block; 0 beyond F."""
    place = column + tl.zeros((1, ROWS, 1), tl.int32)  # every warp loads its own: no exchange between them
    w_re, w_im = (), ()
    for c in tl.static_range(C):
        entry = weight + c * stride_c + place * stride_f
        tile = tl.load(entry, mask=place < F, other=0.0)
        w_re = w_re + (tile,)
        if COMPLEX:
            tile = tl.load(entry + 1, mask=place < F, other=0.0)
        w_im = w_im + (tile,)
    return w_re, w_im


@triton.jit
def load_bias(bias, C: tl.constexpr, PARTS: tl.constexpr):
    """Return the C entries of Re b, or zeros."""
    entries = ()
    for c in tl.static_range(C):
        if bias is not None:
            entries = entries + (tl.load(bias + PARTS * c),)
        else:
            entries = entries + (0.0,)
    return entries


@triton.jit
def hidden(
    a, b, column, F, p, ACT: tl.constexpr, TIER: tl.constexpr, PLANAR: tl.constexpr, PADDED: tl.constexpr
):
    """Return (Re h, Im h) of decoded (a, b); Re h twice for a real activation. 0 in pads.

    p: omega, turn, turn_low and scale of the activation.
    """
    if ACT == "gabor":
        if PLANAR:
            h_re, h_im = gabor_parts(a, b, p[0], p[1], p[2], p[3], TIER)
        else:
            h_re, h_im = gabor_real_input(a, p[1], p[2], p[3], TIER)
    else:
        h_re = activate(a, p[0], p[1], p[2], p[3], ACT, TIER)
        h_im = h_re
    if PADDED:  # an infinity above makes NaN of a pad
        h_re = tl.where(column < F, h_re, 0.0)
        h_im = tl.where(column < F, h_im, 0.0)
    return h_re, h_im


@triton.jit
def hidden_cotangent(
    a,
    b,
    d_re,
    d_im,
    column,
    F,
    p,
    ACT: tl.constexpr,
    TIER: tl.constexpr,
    PLANAR: tl.constexpr,
    PADDED: tl.constexpr,
):
    """Return the cotangent of (a, b) from that of h, (d_re, d_im); its first part twice but for PLANAR."""
    if PLANAR:
        d_a, d_b = gabor_vjp(a, b, d_re, d_im, p[0], p[1], p[2], p[3], TIER)
    elif ACT == "gabor":
        d_a = gabor_real_input_vjp(a, d_re, d_im, p[0], p[1], p[2], p[3], TIER)
        d_b = d_a
    else:
        d_a = d_re * derivative(a, p[0], p[1], p[2], p[3], ACT, TIER)
        d_b = d_a
    if PADDED:
        d_a = tl.where(column < F, d_a, 0.0)
        d_b = tl.where(column < F, d_b, 0.0)
    return d_a, d_b


@triton.jit
def output(h_re, h_im, w_re, w_im, b, p, ACT: tl.constexpr, TIER: tl.constexpr, COMPLEX: tl.constexpr):
    """Return (out, act'(u)) [ROWS] of one output, ``out = act(u), u = Re(w h + b)``."""
    product = h_re * w_re
    if COMPLEX:
        product -= h_im * w_im
    u = tl.sum(tl.sum(product, axis=0), axis=1) + b
    s = encode(u, p[1], p[2], ACT, "float32")
    value = activate(s, p[0], p[1], p[2], p[3], ACT, TIER)
    return value, derivative(s, p[0], p[1], p[2], p[3], ACT, TIER)


@triton.jit
def output_cotangent(
    value, rm, there, target, sample_weight, factor, d_out, c: tl.constexpr, C: tl.constexpr
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
def store_gradients(partial, split, dw_re, dw_im, db, F, C: tl.constexpr, COMPLEX: tl.constexpr, flat):
    """Write ``partial[split]``: (dW | db), in a complex layer the imaginary parts after the real ones."""
    PARTS: tl.constexpr = 2 if COMPLEX else 1
    for c in tl.static_range(C):
        place = partial + (split * C + c) * PARTS * (F + 1)
        tl.store(place + flat, tl.sum(dw_re[c], axis=1), mask=flat < F)
        tl.store(place + F, tl.sum(db[c], axis=0))
        if COMPLEX:
            tl.store(place + F + 1 + flat, tl.sum(dw_im[c], axis=1), mask=flat < F)
            tl.store(place + 2 * F + 1, 0.0)  # d_u is real


@triton.jit(do_not_specialize=("M", "program_rows"))  # one build for any number of rows
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
    COMPLEX: tl.constexpr = ACT_IN == "gabor"
    p_in, p_out = (omega_in, turn_in, turn_low_in, scale_in), (omega_out, turn_out, turn_low_out, scale_out)
    begin = tl.program_id(0).to(tl.int64) * program_rows
    end = tl.minimum(begin + program_rows, M)
    column = feature_columns(FB, LANE)
    w_re, w_im = load_weights(weight, column, F, stride_c, stride_f, C, ROWS, COMPLEX)
    b = load_bias(bias, C, 2 if COMPLEX else 1)
    for start in tl.range(0, (end - begin).to(tl.int32), ROWS, num_stages=STAGES):
        rm = begin + start + tl.arange(0, ROWS)
        s_re, s_im = load_saved(s_in, rm, column, end, width, stride_in, FORMAT, PLANAR, EVEN)
        h_re, h_im = hidden(s_re, s_im, column, F, p_in, ACT_IN, TIER, PLANAR, PADDED)
        for c in tl.static_range(C):
            value, _ = output(h_re, h_im, w_re[c], w_im[c], b[c], p_out, ACT_OUT, TIER, COMPLEX)
            tl.store(out + rm * stride_out + c, value, mask=rm < end)


@triton.jit(do_not_specialize=("M", "split_rows"))  # one build for any number of rows
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
    STAGES: tl.constexpr,
):
    """The last layer forward and backward in one read of s_in; program s has the split_rows rows of split s.

    ``h = act_in(s_in), u = Re(W h + b), out = act_out(u), d_u = d_out act_out'(u), d_h = W^H d_u,
    d_in = act_in'(s_in) d_h`` (Gabor: its vector-Jacobian product), in rows as those of s_in, rounded to the
    operand of PRECISION. partial [S, C, F + 1]: ``sum d_u conj(h)``, then ``sum d_u``; complex: real parts,
    then imaginary parts, [S, C, 2 (F + 1)]. db_in_partial [S, width or 2 width]: column sums of d_in before
    its rounding. loss_partial [S]. Either target, mse_scale and loss_partial or d_out are None; so may be
    sample_weight, out, and d_in with db_in_partial.
    """
    COMPLEX: tl.constexpr = ACT_IN == "gabor"
    PARTS: tl.constexpr = 2 if COMPLEX else 1
    p_in, p_out = (omega_in, turn_in, turn_low_in, scale_in), (omega_out, turn_out, turn_low_out, scale_out)
    split = tl.program_id(0).to(tl.int64)
    begin = split * split_rows
    end = tl.minimum(begin + split_rows, M)
    column = feature_columns(FB, LANE)
    b = load_bias(bias, C, PARTS)
    factor = 0.0
    if d_out is None:
        factor = tl.load(mse_scale)
    zero, zero_row = tl.zeros((FB // LANE, ROWS, LANE), tl.float32), tl.zeros((ROWS,), tl.float32)
    db_re, db_im, loss = zero, zero, zero_row
    dw_re, dw_im, db = (), (), ()
    for _ in tl.static_range(C):
        dw_re, dw_im, db = dw_re + (zero,), dw_im + (zero,), db + (zero_row,)
    w_re, w_im = load_weights(weight, column, F, PARTS * F, PARTS, C, ROWS, COMPLEX)
    for start in tl.range(0, (end - begin).to(tl.int32), ROWS, num_stages=STAGES):
        rm = begin + start + tl.arange(0, ROWS)
        there = rm < end
        s_re, s_im = load_saved(s_in, rm, column, end, width, stride_in, FORMAT, PLANAR, EVEN)
        h_re, h_im = hidden(s_re, s_im, column, F, p_in, ACT_IN, TIER, PLANAR, PADDED)
        d_re, d_im = zero, zero
        new_re, new_im, new_db = (), (), ()
        for c in tl.static_range(C):
            value, slope = output(h_re, h_im, w_re[c], w_im[c], b[c], p_out, ACT_OUT, TIER, COMPLEX)
            if out is not None:
                tl.store(out + rm * C + c, value, mask=there)
            d, error = output_cotangent(value, rm, there, target, sample_weight, factor, d_out, c, C)
            loss += error
            d_row = d * slope
            d_u = d_row[None, :, None]
            new_db = new_db + (db[c] + d_row,)
            new_re = new_re + (dw_re[c] + d_u * h_re,)
            d_re += d_u * w_re[c]
            if COMPLEX:
                new_im = new_im + (dw_im[c] - d_u * h_im,)
                d_im -= d_u * w_im[c]
            else:
                new_im = new_im + (zero,)
        dw_re, dw_im, db = new_re, new_im, new_db
        if d_in is not None:
            d_a, d_b = hidden_cotangent(s_re, s_im, d_re, d_im, column, F, p_in, ACT_IN, TIER, PLANAR, PADDED)
            place, inside = saved_place(d_in, rm, column, end, width, stride_in, EVEN)
            tl.store(place, operand(d_a, PRECISION, True), mask=inside)
            db_re += d_a
            if PLANAR:
                tl.store(place + width, operand(d_b, PRECISION, True), mask=inside)
                db_im += d_b
    flat = tl.arange(0, FB // LANE)[:, None] * LANE + tl.arange(0, LANE)[None, :]
    store_gradients(partial, split, dw_re, dw_im, db, F, C, COMPLEX, flat)
    if db_in_partial is not None:
        tl.store(db_in_partial + split * stride_in + flat, tl.sum(db_re, axis=1), mask=flat < width)
        if PLANAR:
            tl.store(
                db_in_partial + split * stride_in + width + flat, tl.sum(db_im, axis=1), mask=flat < width
            )
    if loss_partial is not None:
        tl.store(loss_partial + split, tl.sum(loss, axis=0))
