"""Weights as operands of the matrix unit: padded with zeros, rounded, split or cast, once a call."""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.operand import round_tf32, split, to_bf16


@triton.jit
def pack_weight(
    weight,
    bias,
    forward,
    forward_low,
    backward,
    backward_low,
    bias_out,
    rows,
    columns,
    stride_row,
    stride_column,
    bias_stride,
    rows_padded,
    columns_padded,
    PRECISION: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """``forward = W``, ``backward = W^T``, ``bias_out = b``, zero outside of `weight` [rows, columns].

    Shapes: `forward` [rows_padded, columns_padded], `backward` [columns_padded, rows_padded], `bias_out`
    [rows_padded]. ``fp32``: W = forward + forward_low, both of them tf32; ``fast``: fp16 and bf16.
    """
    tiles = tl.cdiv(columns_padded, COLUMNS)
    column_tile = tl.program_id(0) % tiles
    row_tile = tl.program_id(0) // tiles
    rn = row_tile * ROWS + tl.arange(0, ROWS)
    rk = column_tile * COLUMNS + tl.arange(0, COLUMNS)
    inside = (rn < rows)[:, None] & (rk < columns)[None, :]
    w = tl.load(weight + rn[:, None] * stride_row + rk[None, :] * stride_column, mask=inside, other=0.0)
    stored = (rn < rows_padded)[:, None] & (rk < columns_padded)[None, :]
    at = rn[:, None] * columns_padded + rk[None, :]
    turned = tl.trans(stored)
    turned_at = rk[:, None] * rows_padded + rn[None, :]
    if PRECISION == "fast":
        tl.store(forward + at, w.to(tl.float16), mask=stored)
        tl.store(backward + turned_at, to_bf16(tl.trans(w)), mask=turned)
    else:
        high, low = round_tf32(w), w
        if PRECISION == "fp32":
            high, low = split(w)
        tl.store(forward + at, high, mask=stored)
        tl.store(backward + turned_at, tl.trans(high), mask=turned)
        if PRECISION == "fp32":
            tl.store(forward_low + at, low, mask=stored)
            tl.store(backward_low + turned_at, tl.trans(low), mask=turned)
    if column_tile == 0:
        b = tl.zeros((ROWS,), dtype=tl.float32)
        if HAS_BIAS:
            b = tl.load(bias + rn * bias_stride, mask=rn < rows, other=0.0)
        tl.store(bias_out + rn, b, mask=rn < rows_padded)
