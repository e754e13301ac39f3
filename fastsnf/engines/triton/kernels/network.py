"""A whole field in one kernel: coordinates in, values or bits out, activations never leave the chip.

A program carries BM points through every layer. Their activations are tiles [BM, BC] in registers, the
operands of the next layer's products; weights stream past in tiles [BC, BC], which the compiler loads ahead.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fastsnf.engines.triton.kernels.activation import activate, encode, sinc
from fastsnf.engines.triton.kernels.grid import GRID_INTS, grid_coordinates, loaded_coordinates, store_bits
from fastsnf.engines.triton.kernels.operand import dot, operand
from fastsnf.engines.triton.kernels.sine import INTERPRETED


@triton.jit
def unreduced_sine(x):
    """Return ``sin(x)`` of the special-function unit as it is, with an error of 4e-8 |x| + 4e-7."""
    if INTERPRETED:
        return tl.sin(x)
    else:
        return tl.inline_asm_elementwise(
            "sin.approx.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
        )


@triton.jit
def unreduced_cosine(x):
    """Return ``cos(x)`` of the special-function unit as it is, with an error of 4e-8 |x| + 4e-7."""
    if INTERPRETED:
        return tl.cos(x)
    else:
        return tl.inline_asm_elementwise(
            "cos.approx.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
        )


@triton.jit
def applied(u, act, ACT: tl.constexpr, TIER: tl.constexpr):
    """Return ``act(u)`` for u fp32 and act = (omega, turn, turn_low, scale).

    TIER "accurate" leaves arguments unreduced: that errs by less than fp32's product of omega and u, and a
    reduction would be half of a layer's instructions. No phase is saved here that would need it.
    """
    if TIER == "accurate" and ACT == "sine":
        return unreduced_sine(u * act[0])
    elif TIER == "accurate" and ACT == "sinc":
        v = u * act[0]
        return act[3] * sinc(v, unreduced_sine(v))
    elif TIER == "accurate" and ACT == "gabor-real":
        # exp(-(scale u)^2) in base 2: a register less than in two steps, where there is none to spare.
        return unreduced_cosine(u * act[0]) * tl.exp2(u * u * (act[3] * act[3] * -1.4426950408889634))
    elif TIER == "accurate" and ACT == "finer":
        return unreduced_sine(tl.fma(u, tl.abs(u), u) * act[0])
    elif ACT == "relu":
        return tl.maximum(u, 0.0, propagate_nan=tl.PropagateNan.ALL)
    else:
        s = encode(u, act[1], act[2], ACT, "float32")
        return activate(s, act[0], act[1], act[2], act[3], ACT, TIER)


@triton.jit
def first_layer(x, vectors, column, D: tl.constexpr, WIDTH: tl.constexpr):
    """Return ``W x + b`` [BM, BC] fp32 of columns [BC] by FMA: x D tensors [BM], vectors the rows W^T, b."""
    u = x[0][:, None] * tl.load(vectors + column)[None, :]
    for d in tl.static_range(1, D):
        tl.debug_barrier()  # else every row is loaded at once, and registers spill
        u += x[d][:, None] * tl.load(vectors + d * WIDTH + column)[None, :]
    return u + tl.load(vectors + D * WIDTH + column)[None, :]


@triton.jit
def last_layer(h, vector, lane, KEPT: tl.constexpr, TILES: tl.constexpr, BC: tl.constexpr):
    """Return ``w . h`` [BM] fp32 for a vector w [WIDTH] and kept tiles h."""
    u = tl.sum(released(h[0], KEPT).to(tl.float32) * tl.load(vector + lane)[None, :], axis=1)
    for k in tl.static_range(1, TILES):
        u += tl.sum(released(h[k], KEPT).to(tl.float32) * tl.load(vector + k * BC + lane)[None, :], axis=1)
    return u


@triton.jit
def held(h, PRECISION: tl.constexpr):
    """Return the operand of h as it is kept from layer to layer: fp16 as its bits."""
    h = operand(h, PRECISION, False)
    if PRECISION == "fast" and not INTERPRETED:
        return h.to(tl.int16, bitcast=True)
    else:
        return h


@triton.jit
def released(kept, PRECISION: tl.constexpr):
    """Return the operand of what `held` kept.

    As the result of an operation it enters the product from registers; a value that a loop carries would go
    through shared memory.
    """
    if PRECISION == "fast" and not INTERPRETED:
        return kept.to(tl.float16, bitcast=True)
    else:
        return kept


@triton.jit
def picked(condition, kept, other):
    """Return tile `kept` if the run-time scalar `condition` holds, else `other`; fp16 two at a time."""
    if INTERPRETED or kept.dtype != tl.int16:
        return tl.where(condition, kept, other)
    else:
        return tl.inline_asm_elementwise(
            "{ .reg .pred p; setp.ne.b32 p, $3, 0; selp.b32 $0, $1, $2, p; }",
            "=r,r,r,r",
            [kept, other, condition.to(tl.int16)],
            dtype=tl.int16,
            is_pure=True,
            pack=2,
        )


@triton.jit
def replaced(tiles, index, new, TILES: tl.constexpr):
    """Return TILES tiles with `new` at the run-time `index`."""
    result = ()
    for j in tl.static_range(TILES):
        result = result + (picked(index == j, new, tiles[j]),)
    return result


@triton.jit
def chosen(condition, tiles, others, TILES: tl.constexpr):
    """Return `tiles` if the run-time `condition` holds and `others` otherwise."""
    result = ()
    for j in tl.static_range(TILES):
        result = result + (picked(condition, tiles[j], others[j]),)
    return result


@triton.jit(do_not_specialize=(*GRID_INTS, "hidden_layers", "outputs"))
def network_fwd_kernel(
    x_pointer,
    vectors,
    hidden_weight,
    hidden_low,
    last_bias,
    out_pointer,
    rows,
    hidden_layers,
    outputs,
    threshold,
    omega_first,
    turn_first,
    turn_low_first,
    scale_first,
    omega,
    turn,
    turn_low,
    scale,
    omega_last,
    turn_last,
    turn_low_last,
    scale_last,
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
    WIDTH: tl.constexpr,
    BM: tl.constexpr,
    BC: tl.constexpr,
    STAGES: tl.constexpr,
    ACT_FIRST: tl.constexpr,
    ACT: tl.constexpr,
    ACT_LAST: tl.constexpr,
    PRECISION: tl.constexpr,
    TIER: tl.constexpr,
    DEEP: tl.constexpr,
    GRID: tl.constexpr,
    BITS: tl.constexpr,
):
    """Evaluate ``out = act_last(W_last h + b_last)`` at M points.

    h = act_first(W_first x + b_first),  then  h <- act(W_l h + b_l)  for l = 1 ... L.

    x [M, D] fp32, or the points of a grid from `begin` on with GRID; vectors fp32 [D + 1 + L + C, WIDTH] are
    the columns of W_first, b_first, the hidden biases and the rows of W_last; hidden_weight [L, WIDTH, WIDTH]
    operands (hidden_low: the second part of each in fp32); zero beyond F. last_bias [C] or None. DEEP: L > 0.
    out [M, C] fp32, or with BITS (C = 1) uint8 [ceil(M / 8)].

    The loop is over tiles of BC outputs, layer after layer, so that the next tile of weights is always on its
    way. A layer's finished tiles wait until the last of them needs the inputs no longer.
    """
    start = tl.program_id(0).to(tl.int64) * BM
    offsets = tl.arange(0, BM)
    row = start + offsets
    inside = row < rows
    if GRID:
        x = grid_coordinates(
            start + begin,
            offsets,
            (size0, size1, size2, size3),
            (low0, low1, low2, low3),
            (high0, high1, high2, high3),
            (step0, step1, step2, step3),
            D,
        )
    else:
        x = loaded_coordinates(x_pointer, row, inside, D)

    # Held to the end without a hidden layer, an activation stays whole.
    KEPT: tl.constexpr = PRECISION if DEEP else "fp32"
    TILES: tl.constexpr = WIDTH // BC
    lane = tl.arange(0, BC)
    h = ()
    for n in tl.static_range(TILES):
        tl.debug_barrier()
        u = first_layer(x, vectors, n * BC + lane, D, WIDTH)
        value = applied(u, (omega_first, turn_first, turn_low_first, scale_first), ACT_FIRST, TIER)
        h = h + (held(value, KEPT),)
    if DEEP:
        tl.debug_barrier()
        waiting = h
        place = lane[None, :] * WIDTH + lane[:, None]
        for step in tl.range(0, hidden_layers * TILES, num_stages=STAGES):
            tile = step % TILES
            tile_start = step * (BC * WIDTH)
            acc = tl.zeros((BM, BC), tl.float32)
            for k in tl.static_range(TILES):
                w = tl.load(hidden_weight + (tile_start + k * BC) + place)
                w_low = tl.load(hidden_low + (tile_start + k * BC) + place) if PRECISION == "fp32" else w
                acc = dot(released(h[k], PRECISION), w, w_low, acc, PRECISION)
            acc += tl.load(vectors + (D + 1) * WIDTH + step * BC + lane)[None, :]
            result = applied(acc, (omega, turn, turn_low, scale), ACT, TIER)
            new = held(result, PRECISION)
            if TILES == 1:
                h = (new,)
            else:
                waiting = replaced(waiting, tile, new, TILES)
                h = chosen(tile == TILES - 1, waiting, h, TILES)

    for c in tl.range(0, outputs, num_stages=1):
        final = last_layer(h, vectors + (D + 1 + hidden_layers + c) * WIDTH, lane, KEPT, TILES, BC)
        if last_bias is not None:
            final += tl.load(last_bias + c)
        final = applied(final, (omega_last, turn_last, turn_low_last, scale_last), ACT_LAST, TIER)
        if BITS:
            store_bits(out_pointer, start // 8, final, inside, (rows.to(tl.int64) + 7) // 8, threshold, BM)
        else:
            tl.store(out_pointer + row * outputs + c, final, mask=inside)
