"""The cotangent of a last layer's pre-activations, elementwise, where a matrix product made the outputs."""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.activation import activate, decode, derivative
from fastsnf.engines.triton.kernels.operand import operand


@triton.jit(do_not_specialize=("M", "split_rows"))  # one build for any number of rows
def cotangent(
    out,
    s_last,
    target,
    sample_weight,
    mse_scale,
    d_out,
    d,
    db_partial,
    loss_partial,
    M,
    C,
    width,
    stride_out,
    stride_s,
    split_rows,
    omega,
    turn,
    turn_low,
    scale,
    ACT: tl.constexpr,
    FORMAT: tl.constexpr,
    PRECISION: tl.constexpr,
    TIER: tl.constexpr,
    ROWS: tl.constexpr,
    BN: tl.constexpr,
    STAGES: tl.constexpr,
):
    """``d = d_out act'(u)`` [M, width], with d_out given or ``mse_scale w (out - target)``; 0 beyond C.

    out [M, C] in rows of stride_out and s_last (saved form, rows of stride_s): out is computed from s_last
    where it is None; the identity needs no s_last. db_partial [S, width]: column sums before the rounding to
    the operand of PRECISION, loss_partial [S]: ``sum w (out - target)^2``; either may be None. Program s has
    the split_rows rows of split s.
    """
    split = tl.program_id(0).to(tl.int64)
    begin = split * split_rows
    end = tl.minimum(begin + split_rows, M)
    factor = 0.0
    if d_out is None:
        factor = tl.load(mse_scale)
    loss = tl.zeros((ROWS, BN), tl.float32)
    for left in range(0, width, BN):
        rn = left + tl.arange(0, BN)
        db = tl.zeros((ROWS, BN), tl.float32)
        for start in tl.range(0, (end - begin).to(tl.int32), ROWS, num_stages=STAGES):
            rm = begin + start + tl.arange(0, ROWS)
            there = (rm < end)[:, None] & (rn < C)[None, :]
            row = rm[:, None]
            if s_last is not None:
                s = decode(tl.load(s_last + row * stride_s + rn[None, :], mask=there, other=0), FORMAT)
                slope = derivative(s, omega, turn, turn_low, scale, ACT, TIER)
            else:
                s = tl.zeros((ROWS, BN), tl.float32)
                slope = tl.full((ROWS, BN), 1.0, tl.float32)
            if d_out is not None:
                d_value = tl.load(d_out + row * C + rn[None, :], mask=there, other=0.0)
            else:
                if out is not None:
                    value = tl.load(out + row * stride_out + rn[None, :], mask=there, other=0.0)
                else:
                    value = activate(s, omega, turn, turn_low, scale, ACT, TIER)
                wanted = tl.load(target + row * C + rn[None, :], mask=there, other=0.0)
                if sample_weight is not None:
                    w = tl.load(sample_weight + rm, mask=rm < end, other=0.0)[:, None]
                else:
                    w = tl.full((ROWS, 1), 1.0, tl.float32)
                residual = tl.where(there & (w != 0.0), value - wanted, 0.0)
                weighted = w * residual
                loss += weighted * residual
                d_value = factor * weighted
            d_u = tl.where(there, d_value * slope, 0.0)
            db += d_u
            place = d + row * width + rn[None, :]
            tl.store(place, operand(d_u, PRECISION, True), mask=(rm < end)[:, None] & (rn < width)[None, :])
        if db_partial is not None:
            tl.store(db_partial + split * width + rn, tl.sum(db, axis=0), mask=rn < width)
    if loss_partial is not None:
        tl.store(loss_partial + split, tl.sum(tl.sum(loss, axis=1), axis=0))
