"""Coordinates of a regular grid from a point's index, and values packed into bits: nothing is materialised.

Point i of a grid of `sizes`, the last axis fastest, lies at ``linspace(low_a, high_a, size_a)[i_a]`` on each
axis a, as torch computes it: see `linspace`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.sine import fma


@triton.jit
def linspace(i, low, high, step, size):
    """Return ``torch.linspace(low, high, size)[i]`` for int32 i: from the nearer end, in one fma.

    torch's CPU kernel, where it has FMA instructions (ATen/native/cpu/RangeFactoriesKernel.cpp): low + step i
    for i < size // 2, high - step (size - 1 - i) from there on; step = (high - low) / (size - 1) in fp32.
    """
    rising = i < size // 2
    steps = tl.where(rising, i, size - 1 - i).to(tl.float32)
    slope = tl.where(rising, step, -step).to(tl.float32)
    end = tl.where(rising, low, high).to(tl.float32)
    return fma(slope, steps, end)


@triton.jit
def grid_coordinates(first, offsets, sizes, lows, highs, steps, D: tl.constexpr):
    """Return D coordinates, each shaped as `offsets`, of the grid's points ``first + offsets``.

    `first` is an int64 index, `offsets` are int32 and small; sizes, lows, highs and steps are tuples of one
    scalar an axis. One 64-bit division an axis is of the scalar; those of the offsets are in 32 bits.
    """
    x = ()
    carry = offsets
    for axis in tl.static_range(D - 1, -1, -1):
        size = sizes[axis]
        i = carry + (first % size).to(tl.int32)
        first = first // size
        carry = i // size
        x = (linspace(i - carry * size, lows[axis], highs[axis], steps[axis], size),) + x
    return x


@triton.jit
def loaded_coordinates(x_pointer, row, inside, D: tl.constexpr):
    """Return D coordinates, each shaped as `row` (int64), of the points x [M, D]; 0 outside."""
    x = ()
    for d in tl.static_range(D):
        x = x + (tl.load(x_pointer + row * D + d, mask=inside, other=0.0),)
    return x


@triton.jit
def store_bits(out_pointer, first_byte, value, inside, bytes_out, threshold, BM: tl.constexpr):
    """Store ``value > threshold`` [BM] as BM / 8 bytes, bit j of byte i for point 8 i + j; 0 outside."""
    bit = ((value > threshold) & inside).to(tl.int32)
    place = tl.arange(0, 8)
    packed = tl.sum(tl.reshape(bit, (BM // 8, 8)) << place[None, :], axis=1)
    byte = first_byte + tl.arange(0, BM // 8)
    tl.store(out_pointer + byte, packed.to(tl.uint8), mask=byte < bytes_out)


GRID_INTS = ("begin", "rows", "size0", "size1", "size2", "size3")
"""Run-time ints for which no kernel is built anew when they are 1 or a multiple of 16."""


@triton.jit(do_not_specialize=GRID_INTS)
def grid_points_kernel(
    out_pointer,
    rows,
    begin,
    size0,
    size1,
    size2,
    size3,
    low0,
    low1,
    low2,
    low3,
    high0,
    high1,
    high2,
    high3,
    step0,
    step1,
    step2,
    step3,
    D: tl.constexpr,
    BM: tl.constexpr,
):
    """out [rows, D] = coordinates of the grid's points begin ... begin + rows - 1."""
    start = tl.program_id(0).to(tl.int64) * BM
    offsets = tl.arange(0, BM)
    x = grid_coordinates(
        start + begin,
        offsets,
        (size0, size1, size2, size3),
        (low0, low1, low2, low3),
        (high0, high1, high2, high3),
        (step0, step1, step2, step3),
        D,
    )
    row = start + offsets
    for d in tl.static_range(D):
        tl.store(out_pointer + row * D + d, x[d], mask=row < rows)


@triton.jit(do_not_specialize=("rows",))
def grid_bits_kernel(value_pointer, out_pointer, rows, threshold, BM: tl.constexpr):
    """out uint8 [ceil(rows / 8)] = values [rows] > threshold, eight points a byte, the first lowest."""
    start = tl.program_id(0).to(tl.int64) * BM
    row = start + tl.arange(0, BM)
    inside = row < rows
    value = tl.load(value_pointer + row, mask=inside, other=0.0)
    bytes_out = (rows.to(tl.int64) + 7) // 8
    store_bits(out_pointer, start // 8, value, inside, bytes_out, threshold, BM)
