"""The real hidden layer ``u = W act_in(u_in) + b``: forward, input gradient, weight gradient.

One tensor is saved a layer (`activation.encode`): activations are computed when the next product loads it,
and their derivative when the input gradient is stored. Programs are numbered with the column tiles of the
same rows next to each other: the first of them reads its rows from memory and the others from the cache.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.activation import activate, decode, derivative, encode
from fastsnf.engines.triton.kernels.operand import dot, operand, round_tf32, to_bf16


@triton.jit(do_not_specialize=("rows",))  # one build serves every number of rows
def linear_fwd(
    s_in,
    weight,
    weight_low,
    bias,
    s_out,
    out,
    rows,
    inputs,
    depth,
    columns,
    outputs,
    out_stride_row,
    out_stride_column,
    omega_in,
    turn_in,
    turn_low_in,
    scale_in,
    omega_out,
    turn_out,
    turn_low_out,
    scale_out,
    ACT_IN: tl.constexpr,
    ACT_OUT: tl.constexpr,
    FORMAT_IN: tl.constexpr,
    FORMAT_OUT: tl.constexpr,
    PRECISION: tl.constexpr,
    TIER: tl.constexpr,
    SAVE: tl.constexpr,
    FINAL: tl.constexpr,
    EVEN_DEPTH: tl.constexpr,
    EVEN_COLUMNS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PARTS: tl.constexpr,
    STAGED: tl.constexpr,
):
    """``u = act_in(s_in) W^T + b``; stores what is saved of u in `s_out`, ``act_out(u)`` in `out`, or both.

    Shapes: `s_in` [rows, inputs] (inputs = depth but for raw coordinates), `weight`, `weight_low`
    [columns, depth], `bias` [columns], `s_out` [rows, columns], `out` [rows, outputs] fp32.
    """
    tiles = tl.cdiv(columns, COLUMNS)
    rm = (tl.program_id(0) // tiles) * ROWS + tl.arange(0, ROWS)
    rn = (tl.program_id(0) % tiles) * COLUMNS + tl.arange(0, COLUMNS)
    rk = tl.arange(0, DEPTH)
    row_mask = (rm < rows)[:, None]
    s_at = s_in + rm.to(tl.int64)[:, None] * inputs + rk[None, :]
    w_at = weight + rn[None, :] * depth + rk[:, None]
    low_at = weight_low + rn[None, :] * depth + rk[:, None]
    acc = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    tl.assume(depth > 0)  # with a path around the loop ptxas makes every wgmma wait for the one before
    for k in range(0, depth, DEPTH):
        if EVEN_DEPTH:
            stored = tl.load(s_at, mask=row_mask, other=0)
        else:
            stored = tl.load(s_at, mask=row_mask & (k + rk < inputs)[None, :], other=0)
        w = load_weight(w_at, rn, columns, EVEN_COLUMNS)
        w_low = w
        if PRECISION == "fp32":
            w_low = load_weight(low_at, rn, columns, EVEN_COLUMNS)
        h = activate(decode(stored, FORMAT_IN), omega_in, turn_in, turn_low_in, scale_in, ACT_IN, TIER)
        if STAGED:
            h = stage(h, row_mask)
        acc = dot(operand(h, PRECISION, False), w, w_low, acc, PRECISION)
        s_at += DEPTH
        w_at += DEPTH
        low_at += DEPTH
    first = (tl.program_id(0) % tiles) * COLUMNS
    store_fwd(
        acc, bias, s_out, out, rm, first, rows, columns, outputs, out_stride_row, out_stride_column,
        omega_out, turn_out, turn_low_out, scale_out,
        ACT_OUT, FORMAT_OUT, TIER, SAVE, FINAL, EVEN_COLUMNS, ROWS, COLUMNS, PARTS,
    )  # fmt: skip


@triton.jit
def store_fwd(
    acc, bias, s_out, out, rm, first, rows, columns, outputs, out_stride_row, out_stride_column,
    omega, turn, turn_low, scale,
    ACT_OUT: tl.constexpr, FORMAT_OUT: tl.constexpr, TIER: tl.constexpr, SAVE: tl.constexpr,
    FINAL: tl.constexpr, EVEN_COLUMNS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """Store ``u = acc + b`` as saved and, FINAL, ``act_out(u)`` for COLUMNS columns from `first`.

    Columns are stored in PARTS one after the other, where the values of all of them do not fit the registers.
    """
    if PARTS > 1:
        WIDTH: tl.constexpr = COLUMNS // 2
        left, right = halves(acc, ROWS, WIDTH)
        store_fwd(
            left, bias, s_out, out, rm, first, rows, columns, outputs, out_stride_row, out_stride_column,
            omega, turn, turn_low, scale,
            ACT_OUT, FORMAT_OUT, TIER, SAVE, FINAL, EVEN_COLUMNS, ROWS, WIDTH, PARTS // 2,
        )  # fmt: skip
        store_fwd(
            right, bias, s_out, out, rm, first + WIDTH, rows, columns, outputs, out_stride_row,
            out_stride_column, omega, turn, turn_low, scale,
            ACT_OUT, FORMAT_OUT, TIER, SAVE, FINAL, EVEN_COLUMNS, ROWS, WIDTH, PARTS // 2,
        )  # fmt: skip
    else:
        rn = first + tl.arange(0, COLUMNS)
        row_mask = (rm < rows)[:, None]
        u = acc + tl.load(bias + rn, mask=rn < columns, other=0.0)[None, :]
        if SAVE:
            at = rm.to(tl.int64)[:, None] * columns + rn[None, :]
            mask = row_mask if EVEN_COLUMNS else row_mask & (rn < columns)[None, :]
            tl.store(s_out + at, encode(u, turn, turn_low, ACT_OUT, FORMAT_OUT), mask=mask)
        if FINAL:
            s = encode(u, turn, turn_low, ACT_OUT, "float32")
            value = activate(s, omega, turn, turn_low, scale, ACT_OUT, TIER)
            row = rm.to(tl.int64)[:, None] * out_stride_row
            out_at = row + rn.to(tl.int64)[None, :] * out_stride_column
            tl.store(out + out_at, value, mask=row_mask & (rn < outputs)[None, :])


@triton.jit
def halves(values, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Return the left and the right WIDTH columns of `values` [ROWS, 2 WIDTH]; it moves no register."""
    return tl.split(tl.permute(tl.reshape(values, (ROWS, 2, WIDTH)), (0, 2, 1)))


@triton.jit
def load_weight(at, rn, columns, EVEN_COLUMNS: tl.constexpr):
    """Return the weight tile [DEPTH, COLUMNS] at pointers `at`, zero beyond `columns`."""
    if EVEN_COLUMNS:
        return tl.load(at)
    else:
        return tl.load(at, mask=(rn < columns)[None, :], other=0.0)


@triton.jit(do_not_specialize=("rows",))  # one build serves every number of rows
def linear_dx(
    d,
    weight,
    weight_low,
    s_in,
    d_in,
    db_partial,
    rows,
    depth,
    columns,
    inputs,
    omega_in,
    turn_in,
    turn_low_in,
    scale_in,
    ACT_IN: tl.constexpr,
    FORMAT_IN: tl.constexpr,
    PRECISION: tl.constexpr,
    TIER: tl.constexpr,
    WHOLE: tl.constexpr,
    HAS_SUMS: tl.constexpr,
    EVEN_COLUMNS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    PARTS: tl.constexpr,
):
    """``d_in = (d W) act_in'(s_in)``, rounded for the next product unless WHOLE; sums of its columns by tile.

    Shapes: `d` [rows, depth], `weight`, `weight_low` [columns, depth] (W transposed), `s_in`, `d_in`
    [rows, inputs] (inputs = columns but for raw coordinates), `db_partial` [row tiles, columns] fp32. The
    sums are those of the values before rounding. `d_in` may lie over `s_in`: a program reads and writes the
    same tile, every entry before it is written.
    """
    tiles = tl.cdiv(columns, COLUMNS)
    row_tile = tl.program_id(0) // tiles
    first = (tl.program_id(0) % tiles) * COLUMNS
    rm = row_tile * ROWS + tl.arange(0, ROWS)
    rn = first + tl.arange(0, COLUMNS)
    rk = tl.arange(0, DEPTH)
    row_mask = (rm < rows)[:, None]
    d_at = d + rm.to(tl.int64)[:, None] * depth + rk[None, :]
    w_at = weight + rn[None, :] * depth + rk[:, None]
    low_at = weight_low + rn[None, :] * depth + rk[:, None]
    acc = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    tl.assume(depth > 0)
    for _ in range(0, depth, DEPTH):
        d_u = tl.load(d_at, mask=row_mask, other=0.0)
        w = load_weight(w_at, rn, columns, EVEN_COLUMNS)
        w_low = w
        if PRECISION == "fp32":
            w_low = load_weight(low_at, rn, columns, EVEN_COLUMNS)
        acc = dot(d_u, w, w_low, acc, PRECISION)
        d_at += DEPTH
        w_at += DEPTH
        low_at += DEPTH
    store_dx(
        acc, s_in, d_in, db_partial, rm, row_tile, first, rows, columns, inputs,
        omega_in, turn_in, turn_low_in, scale_in,
        ACT_IN, FORMAT_IN, PRECISION, TIER, WHOLE, HAS_SUMS, EVEN_COLUMNS, ROWS, COLUMNS, PARTS,
    )  # fmt: skip


@triton.jit
def store_dx(
    d_h, s_in, d_in, db_partial, rm, row_tile, first, rows, columns, inputs, omega, turn, turn_low, scale,
    ACT_IN: tl.constexpr, FORMAT_IN: tl.constexpr, PRECISION: tl.constexpr, TIER: tl.constexpr,
    WHOLE: tl.constexpr, HAS_SUMS: tl.constexpr, EVEN_COLUMNS: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Store ``d_h act_in'(s_in)`` for COLUMNS columns from `first` and, HAS_SUMS, their sums over rows.

    In PARTS, as `store_fwd`.
    """
    if PARTS > 1:
        WIDTH: tl.constexpr = COLUMNS // 2
        left, right = halves(d_h, ROWS, WIDTH)
        store_dx(
            left, s_in, d_in, db_partial, rm, row_tile, first, rows, columns, inputs,
            omega, turn, turn_low, scale,
            ACT_IN, FORMAT_IN, PRECISION, TIER, WHOLE, HAS_SUMS, EVEN_COLUMNS, ROWS, WIDTH, PARTS // 2,
        )  # fmt: skip
        store_dx(
            right, s_in, d_in, db_partial, rm, row_tile, first + WIDTH, rows, columns, inputs,
            omega, turn, turn_low, scale,
            ACT_IN, FORMAT_IN, PRECISION, TIER, WHOLE, HAS_SUMS, EVEN_COLUMNS, ROWS, WIDTH, PARTS // 2,
        )  # fmt: skip
    else:
        rn = first + tl.arange(0, COLUMNS)
        at = rm.to(tl.int64)[:, None] * inputs + rn[None, :]
        mask = (rm < rows)[:, None]
        if not EVEN_COLUMNS:
            mask = mask & (rn < inputs)[None, :]
        d_u = d_h
        if ACT_IN != "identity":
            s = decode(tl.load(s_in + at, mask=mask, other=0), FORMAT_IN)
            d_u = d_h * derivative(s, omega, turn, turn_low, scale, ACT_IN, TIER)
        if HAS_SUMS:  # rows beyond the last have d_h = 0
            sums = db_partial + row_tile.to(tl.int64) * columns + rn
            tl.store(sums, tl.sum(d_u, axis=0), mask=rn < columns)
        if WHOLE or PRECISION == "fp32":
            tl.store(d_in + at, d_u, mask=mask)
        elif PRECISION == "tf32":
            tl.store(d_in + at, round_tf32(d_u), mask=mask)
        else:
            tl.store(d_in + at, to_bf16(d_u), mask=mask)


@triton.jit(do_not_specialize=("rows", "split_rows"))  # one build serves every number of rows
def linear_dw(
    d,
    s_in,
    dw_partial,
    rows,
    split_rows,
    columns,
    inputs,
    inputs_padded,
    omega_in,
    turn_in,
    turn_low_in,
    scale_in,
    ACT_IN: tl.constexpr,
    FORMAT_IN: tl.constexpr,
    PRECISION: tl.constexpr,
    TIER: tl.constexpr,
    TURNED: tl.constexpr,
    STAGED: tl.constexpr,
    EVEN_COLUMNS: tl.constexpr,
    EVEN_INPUTS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """``dw_partial[s] = d^T act_in(s_in)`` over the rows of split s; TURNED: as the transpose of h^T d.

    Shapes: `d` [rows, columns], `s_in` [rows, inputs], `dw_partial` [splits, columns, inputs_padded] fp32.
    A program makes ROWS x COLUMNS entries of one partial, DEPTH points a step.
    """
    row_tiles = tl.cdiv(columns, ROWS)
    tiles = row_tiles * tl.cdiv(inputs_padded, COLUMNS)
    split = tl.program_id(0) // tiles
    tile = tl.program_id(0) % tiles
    rn = (tile % row_tiles) * ROWS + tl.arange(0, ROWS)
    rk = (tile // row_tiles) * COLUMNS + tl.arange(0, COLUMNS)
    first = split * split_rows
    end = tl.minimum(first + split_rows, rows)
    if TURNED:
        acc = tl.zeros((COLUMNS, ROWS), dtype=tl.float32)
    else:
        acc = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    rm = tl.arange(0, DEPTH)
    row = (first + rm).to(tl.int64)[:, None]
    d_at = d + row * columns + rn[None, :]
    s_at = s_in + row * inputs + rk[None, :]
    tl.assume(end > first)
    for m in range(first, end, DEPTH):
        mask = (rm < end - m)[:, None]
        d_u = tl.load(d_at, mask=mask if EVEN_COLUMNS else mask & (rn < columns)[None, :], other=0.0)
        stored = tl.load(s_at, mask=mask if EVEN_INPUTS else mask & (rk < inputs)[None, :], other=0)
        h = activate(decode(stored, FORMAT_IN), omega_in, turn_in, turn_low_in, scale_in, ACT_IN, TIER)
        if STAGED:
            h = stage(h, mask)
        if PRECISION == "fast":
            h = operand(h, PRECISION, True)
        if TURNED:
            acc = dot_of_rows(h, d_u, acc, PRECISION)
        else:
            acc = dot_of_rows(d_u, h, acc, PRECISION)
        d_at += DEPTH * columns
        s_at += DEPTH * inputs
    base = dw_partial + split.to(tl.int64) * columns * inputs_padded
    if TURNED:
        at = rn[None, :] * inputs_padded + rk[:, None]
        tl.store(base + at, acc, mask=(rk < inputs_padded)[:, None] & (rn < columns)[None, :])
    else:
        at = rn[:, None] * inputs_padded + rk[None, :]
        tl.store(base + at, acc, mask=(rn < columns)[:, None] & (rk < inputs_padded)[None, :])


@triton.jit
def stage(h, mask):
    """Return `h` [rows, columns] where `mask` [rows, 1] and 0 elsewhere: so it passes through shared memory.

    Triton computes an operand in the matrix unit's layout back to its load, unless a run-time number takes
    part. There several warps compute the same numbers (mma) or load four bytes at a time (a turned wgmma).
    """
    return tl.where(mask, h, 0.0)


@triton.jit
def dot_of_rows(a, b, acc, PRECISION: tl.constexpr):
    """Return ``acc + a^T b`` for `a` [DEPTH, rows] and `b` [DEPTH, columns].

    They are operands in ``fast`` and whole fp32 elsewhere: there each is a sum of bf16 numbers, 16 bits in
    two for tf32's 11, 24 bits in three in ``fp32``, at the cost of 1.5 and of three products in tf32. The sum
    runs down the columns of both tiles, where the matrix unit reads 16-bit numbers alone; tf32 would have to
    be turned on the way to shared memory, four bytes at a time. Infinity has the rest NaN, and so the sum.
    """
    if PRECISION == "fp32":
        a_high, rest = split_bf16(a)
        a_mid, rest = split_bf16(rest)
        a_low = to_bf16(rest)
        b_high, rest = split_bf16(b)
        b_mid, rest = split_bf16(rest)
        b_low = to_bf16(rest)
        a_high, a_mid, a_low = tl.trans(a_high), tl.trans(a_mid), tl.trans(a_low)
        part = tl.zeros(acc.shape, dtype=tl.float32)  # of its own for truncated sums, see `operand.dot`
        part = dot(a_mid, b_mid, b_mid, part, "bf16")
        part = dot(a_low, b_high, b_high, part, "bf16")
        part = dot(a_high, b_low, b_low, part, "bf16")
        part = dot(a_mid, b_high, b_high, part, "bf16")
        part = dot(a_high, b_mid, b_mid, part, "bf16")
        return acc + dot(a_high, b_high, b_high, part, "bf16")
    elif PRECISION == "tf32":
        a_high, rest = split_bf16(a)
        a_low = to_bf16(rest)
        b_high, rest = split_bf16(b)
        b_low = to_bf16(rest)
        acc = dot(tl.trans(a_low), b_high, b_high, acc, "bf16")
        acc = dot(tl.trans(a_high), b_low, b_low, acc, "bf16")
        return dot(tl.trans(a_high), b_high, b_high, acc, "bf16")
    else:
        return dot(tl.trans(a), b, b, acc, PRECISION)


@triton.jit
def split_bf16(x):
    """Return the bf16 number nearest to fp32 x, and the rest in fp32."""
    # In integers: a conversion of one number to bf16 is slow, that of pairs at the end is not.
    bits = (x.to(tl.int32, bitcast=True) + 0x8000) & -0x10000
    high = bits.to(tl.float32, bitcast=True)
    return to_bf16(high), x - high
