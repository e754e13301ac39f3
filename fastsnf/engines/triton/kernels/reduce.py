"""Ordered sums of partial results: deterministic, and the same however rows are chunked."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=("count", "group"))  # one build serves every number of rows
def sum_partials_groups(
    partials, count, columns, stride_partial, group, GROUP_ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """``partials[g * group] = sum_(j < group) partials[g * group + j]`` in place, a program a group and tile.

    Shapes: `partials` [count, columns]; the last group may be short.
    """
    tiles = tl.cdiv(columns, COLUMNS)
    tile = tl.program_id(0) % tiles
    first = (tl.program_id(0) // tiles) * group
    end = tl.minimum(first + group, count)
    rc = tile * COLUMNS + tl.arange(0, COLUMNS)
    rp = tl.arange(0, GROUP_ROWS)
    total = tl.zeros((GROUP_ROWS, COLUMNS), dtype=tl.float32)
    for p in range(first, end, GROUP_ROWS):
        at = (p + rp).to(tl.int64)[:, None] * stride_partial + rc[None, :]
        mask = ((p + rp) < end)[:, None] & (rc < columns)[None, :]
        total += tl.load(partials + at, mask=mask, other=0.0)
    # Every load is a term of the sum that is stored: nothing is overwritten before it is read.
    tl.store(partials + first.to(tl.int64) * stride_partial + rc, tl.sum(total, axis=0), mask=rc < columns)


@triton.jit(do_not_specialize=("count",))  # one build serves every number of rows
def sum_partials_ordered(
    partials,
    out,
    count,
    rows,
    columns,
    stride_partial,
    stride_row,
    stride_column,
    out_stride_row,
    out_stride_column,
    ACCUMULATE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    UNROLL: tl.constexpr,
):
    """``out (+)= partials[0] + partials[1] + ...``, from left to right, starting with `out` itself.

    Shapes: `partials` [count, >= rows, >= columns], `out` [rows, columns]. One addition after the other, so
    that the sum of all partials is the same in one call as in many.
    """
    tiles = tl.cdiv(columns, COLUMNS)
    rn = (tl.program_id(0) // tiles) * ROWS + tl.arange(0, ROWS)
    rk = (tl.program_id(0) % tiles) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (rn < rows)[:, None] & (rk < columns)[None, :]
    at = rn.to(tl.int64)[:, None] * stride_row + rk.to(tl.int64)[None, :] * stride_column
    out_at = rn.to(tl.int64)[:, None] * out_stride_row + rk.to(tl.int64)[None, :] * out_stride_column
    if ACCUMULATE:
        total = tl.load(out + out_at, mask=inside, other=0.0)
    else:
        total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for p in range(0, count, UNROLL):
        for j in tl.static_range(UNROLL):  # independent loads in flight, additions in order
            total += tl.load(partials + at, mask=inside & (p + j < count), other=0.0)
            at += stride_partial
    tl.store(out + out_at, total, mask=inside)
