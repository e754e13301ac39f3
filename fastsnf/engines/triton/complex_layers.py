"""The complex Gabor layer on the GPU: packed weights, forward, input and weight gradient, and their sums.

Complex tensors of the engine are planar: [M, 2 F] = [re | im] with F padded, weights [2 F_out, F_in], Re
above Im. Every function takes its output buffers and makes one launch. `first_below`: the layer below is the
field's first, whose pre-activations are real, [M, F].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastsnf.engines.triton.config import Tile, find
from fastsnf.engines.triton.kernels import gabor, gabor_weights
from fastsnf.engines.triton.launch import launch
from fastsnf.engines.triton.parameters import TIERS, parameters
from fastsnf.spec import Activation


class PackedComplex(NamedTuple):
    """A complex layer's weights as operands of the matrix unit, padded with zeros.

    Attributes:
        forward: W [2 rows_padded, cols_padded] = Re above Im: fp16 in ``fast``, fp32 rounded to tf32 in
            ``tf32``, such a number and what it leaves in ``fp32``.
        backward: W transposed plane by plane, [2 cols_padded, rows_padded]; bf16 in ``fast``.
        bias: fp32 [2 rows_padded], or [rows_padded] where the layer gives the real part alone.
        real_output: whether it does.
    """

    forward: tuple[Tensor, ...]
    backward: tuple[Tensor, ...]
    bias: Tensor
    real_output: bool


def pack_complex(
    weight: Tensor,
    bias: Tensor | None,
    precision: str,
    *,
    rows_padded: int,
    cols_padded: int,
    real_output: bool = False,
) -> PackedComplex:
    """Return the operands of a layer with `weight` complex64 [F_out, F_in] and `bias` [F_out] or None.

    Any strides, conjugate views too. `real_output`: the layer gives Re u alone, as a field's last one does.
    """
    planes = torch.view_as_real(weight.resolve_conj())
    shifts = None if bias is None else torch.view_as_real(bias.resolve_conj())
    types = (torch.float16, torch.bfloat16) if precision == "fast" else (torch.float32, torch.float32)
    parts = 2 if precision == "fp32" else 1
    ahead = tuple(weight.new_empty(2 * rows_padded, cols_padded, dtype=types[0]) for _ in range(parts))
    back = tuple(weight.new_empty(2 * cols_padded, rows_padded, dtype=types[1]) for _ in range(parts))
    packed_bias = weight.new_empty(rows_padded if real_output else 2 * rows_padded, dtype=torch.float32)
    block = 32
    launch(
        gabor_weights.gabor_pack,
        (-(-rows_padded // block) * -(-cols_padded // block),),
        {
            "weight": planes,
            "bias": packed_bias if shifts is None else shifts,
            "forward": ahead[0],
            "forward_low": ahead[-1],
            "backward": back[0],
            "backward_low": back[-1],
            "bias_out": packed_bias,
            "fan_out": weight.shape[0],
            "fan_in": weight.shape[1],
            "columns_out": rows_padded,
            "columns_in": cols_padded,
            "weight_row": planes.stride(0),
            "weight_column": planes.stride(1),
            "weight_part": planes.stride(2),
            "bias_row": 0 if shifts is None else shifts.stride(0),
            "bias_part": 0 if shifts is None else shifts.stride(1),
        },
        {
            "PRECISION": precision,
            "REAL_OUTPUT": real_output,
            "BIAS": shifts is not None,
            "BR": block,
            "BC": block,
        },
        warps=4,
        reads=(planes, shifts),
        writes=(*ahead, *back, packed_bias),
    )
    return PackedComplex(ahead, back, packed_bias, real_output)


def complex_fwd(
    s_in: Tensor,
    act_in: Activation,
    packed: PackedComplex,
    s_out: Tensor | None,
    precision: str,
    *,
    first_below: bool,
    out: Tensor | None = None,
) -> None:
    """Write ``u = W h + b`` into `s_out` and, of a layer that gives Re u alone, into `out`, either or both.

    Args:
        s_in: saved by the layer below, fp32 or fp16: [M, F_in] where it is the first, else [M, 2 F_in].
        act_in: that layer's Gabor.
        packed: from `pack_complex`.
        s_out: [M, 2 F_out], or [M, F_out] of a real output; fp32 or fp16, None where only `out` is wanted.
        out: fp32 [M, C] of any strides, not padded.
    """
    columns_in, columns_out = _columns(packed)
    tile = find("complex_fwd", precision, act=act_in.name, columns=columns_out, depth=columns_in)
    target = s_out if s_out is not None else out
    if target is None or (out is not None and not packed.real_output):
        raise ValueError("expected s_out, or out of a layer that gives real parts alone")
    rows = s_in.shape[0]
    launch(
        gabor.gabor_fwd,
        (-(-rows // tile.rows) * -(-columns_out // tile.columns),),
        {
            "s_in": s_in,
            "weight": packed.forward[0],
            "weight_low": packed.forward[-1],
            "bias": packed.bias,
            "s_out": target,
            "out": target if out is None else out,
            "rows": rows,
            "columns_in": columns_in,
            "columns_out": columns_out,
            "outputs": 0 if out is None else out.shape[1],
            "out_row": 0 if out is None else out.stride(0),
            "out_column": 0 if out is None else out.stride(1),
            **parameters(act_in),
        },
        {
            **_constants(tile, precision, columns_out, first_below, packed.real_output),
            "SAVED": s_out is not None,
            "FINAL": out is not None,
        },
        warps=tile.warps,
        stages=tile.stages,
        flops=_flops(rows, columns_in, columns_out, packed.real_output),
        reads=(s_in, *packed.forward, packed.bias),
        writes=(s_out, out),
    )


def complex_dx_blocks(
    rows: int, act_in: Activation, packed: PackedComplex, precision: str
) -> tuple[int, int]:
    """Return the number of row blocks of `complex_dx` over `rows` rows, and the rows of a block."""
    size = _dx_tile(act_in, packed, precision).rows
    return -(-rows // size), size


def complex_dx(
    d: Tensor,
    packed: PackedComplex,
    s_in: Tensor,
    act_in: Activation,
    d_in: Tensor,
    db_partial: Tensor | None,
    precision: str,
    *,
    first_below: bool,
) -> None:
    """Write the cotangent of the layer below's pre-activations: the vjp of its Gabor for ``d_h = W^H d``.

    Args:
        d: [M, 2 F_out] planar, or [M, F_out] of a real output: fp32 (rounded in ``tf32``) or bf16 (``fast``).
        packed: from `pack_complex`.
        s_in, act_in: as in `complex_fwd`.
        d_in: shaped as `s_in`, in the dtype of `d`; may be the memory of `s_in` where element sizes agree.
        db_partial: fp32 [R, columns of d_in] for the column sums of each of R row blocks, or None.
    """
    columns_in, columns_out = _columns(packed)
    tile = _dx_tile(act_in, packed, precision)
    rows = d.shape[0]
    launch(
        gabor.gabor_dx,
        (-(-rows // tile.rows) * -(-columns_in // tile.columns),),
        {
            "d": d,
            "weight": packed.backward[0],
            "weight_low": packed.backward[-1],
            "s_in": s_in,
            "d_in": d_in,
            "db_partial": packed.bias if db_partial is None else db_partial,
            "rows": rows,
            "columns_in": columns_in,
            "columns_out": columns_out,
            **parameters(act_in),
        },
        {
            **_constants(tile, precision, columns_in, first_below, packed.real_output),
            "BIAS": db_partial is not None,
        },
        warps=tile.warps,
        stages=tile.stages,
        flops=_flops(rows, columns_in, columns_out, packed.real_output),
        reads=(d, *packed.backward, s_in),
        writes=(d_in, db_partial),
    )


def complex_dw(
    d: Tensor,
    s_in: Tensor,
    act_in: Activation,
    dw_partial: Tensor,
    split_rows: int,
    precision: str,
    *,
    first_below: bool,
) -> None:
    """Write ``d_W = sum of d h^H`` over each split of `split_rows` rows.

    Args:
        d: as in `complex_dx`.
        s_in, act_in: as in `complex_fwd`.
        dw_partial: fp32 [S, 2 F_out, F_in] = Re above Im, S = ceil(M / split_rows); `fold_dw` adds them up.
    """
    splits, columns_out, columns_in = dw_partial.shape[0], dw_partial.shape[1] // 2, dw_partial.shape[2]
    real_output = d.shape[1] == columns_out
    tile = find("complex_dw", precision, act=act_in.name, columns=columns_in, depth=split_rows)
    tiles = -(-columns_out // tile.rows) * -(-columns_in // tile.columns)
    constants = _constants(tile, precision, columns_in, first_below, real_output)
    constants["EVEN"] = constants["EVEN"] and columns_out % tile.rows == 0
    launch(
        gabor.gabor_dw,
        (splits * tiles,),
        {
            "d": d,
            "s_in": s_in,
            "dw_partial": dw_partial,
            "rows": d.shape[0],
            "columns_in": columns_in,
            "columns_out": columns_out,
            "split_rows": split_rows,
            **parameters(act_in),
        },
        constants,
        warps=tile.warps,
        stages=tile.stages,
        flops=_flops(d.shape[0], columns_in, columns_out, real_output),
        reads=(d, s_in),
        writes=(dw_partial,),
    )


def fold_dw(dw_partial: Tensor, d_weight: Tensor, *, accumulate: bool) -> None:
    """Write or add the sum of `dw_partial` [S, 2 F_out, F_in], in order, to `d_weight` [fan_out, fan_in]."""
    rows, columns = dw_partial.shape[1] // 2, dw_partial.shape[2]
    _fold(dw_partial, d_weight, rows, columns, group=1, accumulate=accumulate, real_partial=False)


def fold_db(
    db_partial: Tensor, d_bias: Tensor, *, accumulate: bool, group: int, real_output: bool = False
) -> None:
    """Write or add the sum of column sums `db_partial` [R, 2 F], `group` at a time, to `d_bias` [fan_out].

    `real_output`: the sums are [R, F], of the real part alone; the imaginary part is 0.
    """
    columns = db_partial.shape[1] if real_output else db_partial.shape[1] // 2
    _fold(
        db_partial,
        d_bias.unsqueeze(0),
        1,
        columns,
        group=group,
        accumulate=accumulate,
        real_partial=real_output,
    )


def _fold(
    partial: Tensor,
    out: Tensor,
    columns_out: int,
    columns_in: int,
    *,
    group: int,
    accumulate: bool,
    real_partial: bool,
) -> None:
    tile = find("fold_dw", "fp32", act="gabor", columns=columns_in, depth=1)
    planes = torch.view_as_real(out)
    launch(
        gabor_weights.gabor_fold,
        (-(-out.numel() // tile.columns),),
        {
            "partial": partial,
            "out": planes,
            "count": partial.shape[0],
            "group": group,
            "fan_out": out.shape[0],
            "fan_in": out.shape[1],
            "columns_out": columns_out,
            "columns_in": columns_in,
            "out_row": planes.stride(0),
            "out_column": planes.stride(1),
            "out_part": planes.stride(2),
        },
        {"REAL_PARTIAL": real_partial, "ACCUMULATE": accumulate, "BLOCK": tile.columns},
        warps=tile.warps,
        stages=tile.stages,
        flops=partial.numel(),
        reads=(partial, planes if accumulate else None),
        writes=(planes,),
    )


def _dx_tile(act_in: Activation, packed: PackedComplex, precision: str) -> Tile:
    columns_in, columns_out = _columns(packed)
    return find("complex_dx", precision, act=act_in.name, columns=columns_in, depth=columns_out)


def _columns(packed: PackedComplex) -> tuple[int, int]:
    """Return the padded complex features below and above."""
    return packed.forward[0].shape[1], packed.forward[0].shape[0] // 2


def _constants(
    tile: Tile, precision: str, columns: int, first_below: bool, real_output: bool
) -> dict[str, Any]:
    """Return the compile-time constants that the three products share; `columns` of the tiled output."""
    return {
        "PRECISION": precision,
        "TIER": TIERS[precision],
        "FIRST_BELOW": first_below,
        "REAL_OUTPUT": real_output,
        "EVEN": columns % tile.columns == 0,
        "BM": tile.rows,
        "BN": tile.columns,
        "BK": tile.depth,
        **tile.options,
    }


def _flops(rows: int, columns_in: int, columns_out: int, real_output: bool) -> int:
    """Return 2 a real product: a complex one is 4, of which a real output takes 2."""
    return (4 if real_output else 8) * rows * columns_in * columns_out
