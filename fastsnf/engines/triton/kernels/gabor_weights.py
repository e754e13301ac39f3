"""A complex layer's weights as operands of the matrix unit, and its gradients from their partial sums.

Complex tensors come and go as real views [..., 2] of any strides; inside, a matrix is two planes, Re above
Im.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.operand import round_tf32, to_bf16


@triton.jit
def gabor_pack(
    weight,
    bias,
    forward,
    forward_low,
    backward,
    backward_low,
    bias_out,
    fan_out,
    fan_in,
    columns_out,
    columns_in,
    weight_row,
    weight_column,
    weight_part,
    bias_row,
    bias_part,
    PRECISION: tl.constexpr,
    REAL_OUTPUT: tl.constexpr,
    BIAS: tl.constexpr,
    BR: tl.constexpr,
    BC: tl.constexpr,
):
    """weight [fan_out, fan_in, 2] of any strides -> forward [2 F_out, F_in], backward [2 F_in, F_out], bias.

    Rounded to the operands of PRECISION, with the low parts in `fp32`; zeros in the pads. bias_out [2 F_out],
    of Re alone [F_out] with REAL_OUTPUT.
    """
    tiles = tl.cdiv(columns_in, BC)
    ro = (tl.program_id(0) // tiles) * BR + tl.arange(0, BR)
    ri = (tl.program_id(0) % tiles) * BC + tl.arange(0, BC)
    given = (ro < fan_out)[:, None] & (ri < fan_in)[None, :]
    inside = (ro < columns_out)[:, None] & (ri < columns_in)[None, :]
    for part in tl.static_range(2):
        offsets = (
            ro.to(tl.int64)[:, None] * weight_row + ri.to(tl.int64)[None, :] * weight_column
        ) + part * weight_part
        w = tl.load(weight + offsets, mask=given, other=0.0)
        plane = part * columns_out * columns_in
        along = plane + ro[:, None] * columns_in + ri[None, :]
        across = plane + ri[None, :] * columns_out + ro[:, None]
        if PRECISION == "fast":
            tl.store(forward + along, w.to(tl.float16), mask=inside)
            tl.store(backward + across, to_bf16(w), mask=inside)
        else:
            high = round_tf32(w)
            tl.store(forward + along, high, mask=inside)
            tl.store(backward + across, high, mask=inside)
            if PRECISION == "fp32":
                low = round_tf32(w - high)
                tl.store(forward_low + along, low, mask=inside)
                tl.store(backward_low + across, low, mask=inside)
        if part == 0 or not REAL_OUTPUT:
            if tl.program_id(0) % tiles == 0:
                b = tl.zeros((BR,), dtype=tl.float32)
                if BIAS:
                    b = tl.load(bias + ro * bias_row + part * bias_part, mask=ro < fan_out, other=0.0)
                tl.store(bias_out + part * columns_out + ro, b, mask=ro < columns_out)


@triton.jit
def gabor_fold(
    partial,
    out,
    count,
    group,
    fan_out,
    fan_in,
    columns_out,
    columns_in,
    out_row,
    out_column,
    out_part,
    REAL_PARTIAL: tl.constexpr,
    ACCUMULATE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """out [fan_out, fan_in, 2] (+)= the sum of partial [count, 2, F_out, F_in] in order, `group` at a time.

    Every group is summed on its own first, so that a sum of many chunks is that of one. REAL_PARTIAL: there
    is a real plane alone, and the imaginary part is 0.
    """
    element = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    o, i = element // fan_in, element % fan_in
    inside = o < fan_out
    plane = columns_out.to(tl.int64) * columns_in
    for part in tl.static_range(2):
        pointers = out + o * out_row + i * out_column + part * out_part
        total = tl.zeros((BLOCK,), dtype=tl.float32)
        if ACCUMULATE:
            total = tl.load(pointers, mask=inside, other=0.0)
        if part == 0 or not REAL_PARTIAL:
            source = partial + part * plane + o * columns_in + i
            for start in tl.range(0, count, group):
                sums = tl.zeros((BLOCK,), dtype=tl.float32)
                for _ in tl.range(start, tl.minimum(start + group, count)):
                    sums += tl.load(source, mask=inside, other=0.0)
                    source += plane if REAL_PARTIAL else 2 * plane
                total += sums
        tl.store(pointers, total, mask=inside)
