"""The first layer: few inputs, so fp32 FMA on the coordinates as they are, never the matrix unit.

M points, D <= 8 inputs, F features in rows of `width` (F padded). All sums run in a fixed order.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.activation import activate, encode


@triton.jit(do_not_specialize=("M",))  # one build for any number of rows
def first_fwd(
    x,
    weight,
    bias,
    s_out,
    M,
    F,
    width,
    stride_out,
    omega,
    turn,
    turn_low,
    scale,
    D: tl.constexpr,
    ACT: tl.constexpr,
    FORMAT: tl.constexpr,
    TIER: tl.constexpr,
    FINAL: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
):
    """``u = x W^T + b`` -> s_out = encode(u), or act(u) where FINAL.

    x [M, D], weight [F, D], bias [F] or None, s_out [M, width] in rows of stride_out. Columns F to width are
    encode(0), whatever x is.
    """
    rm = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    rn = tl.program_id(1) * BN + tl.arange(0, BN)
    there, inside = rm < M, rn < F
    u = tl.zeros((BM, BN), tl.float32)
    for d in tl.static_range(D):
        x_d = tl.load(x + rm * D + d, mask=there, other=0.0)
        w_d = tl.load(weight + rn * D + d, mask=inside, other=0.0)
        u = tl.fma(tl.broadcast_to(x_d[:, None], (BM, BN)), tl.broadcast_to(w_d[None, :], (BM, BN)), u)
    if bias is not None:
        u += tl.load(bias + rn, mask=inside, other=0.0)[None, :]
    u = tl.where(inside[None, :], u, 0.0)  # 0 * inf of a pad would be NaN
    if FINAL:
        s = encode(u, turn, turn_low, ACT, "float32")
        stored = activate(s, omega, turn, turn_low, scale, ACT, TIER)
    else:
        stored = encode(u, turn, turn_low, ACT, FORMAT)
    place = s_out + rm[:, None] * stride_out + rn[None, :]
    tl.store(place, stored, mask=there[:, None] & (rn < width)[None, :])


@triton.jit(do_not_specialize=("M", "split_rows"))  # one build for any number of rows
def first_dw(
    x,
    d0,
    partial,
    M,
    F,
    width,
    split_rows,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    BN: tl.constexpr,
    STAGES: tl.constexpr,
):
    """``partial[s, f] = sum_m d0[m, f] (x[m], 1)`` over the split_rows rows m of split s.

    x [M, D], d0 [M, width] fp32 or bf16, partial [S, F, D + 1]. A thread adds up its own entries over the
    split; ROWS of them are added at its end.
    """
    split = tl.program_id(0).to(tl.int64)
    rn = tl.program_id(1) * BN + tl.arange(0, BN)
    begin = split * split_rows
    end = tl.minimum(begin + split_rows, M)
    sums = (tl.zeros((ROWS, BN), tl.float32),)
    for _ in tl.static_range(D):
        sums = sums + (tl.zeros((ROWS, BN), tl.float32),)
    for start in tl.range(0, (end - begin).to(tl.int32), ROWS, num_stages=STAGES):
        rm = begin + start + tl.arange(0, ROWS)
        there = rm < end
        place = d0 + rm[:, None] * width + rn[None, :]
        d = tl.load(place, mask=there[:, None] & (rn < width)[None, :], other=0.0).to(tl.float32)
        following = ()
        for i in tl.static_range(D):
            x_i = tl.load(x + rm * D + i, mask=there, other=0.0)
            following = following + (sums[i] + d * x_i[:, None],)
        sums = following + (sums[D] + d,)
    place = partial + (split * F + rn) * (D + 1)
    for i in tl.static_range(D + 1):
        tl.store(place + i, tl.sum(sums[i], axis=0), mask=rn < F)
