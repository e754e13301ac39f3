"""The real hidden layer on the host: tensors in, one launch each; outputs are arguments.

Shapes: `rows` points; F features are padded to Fp columns (`tile_table.padded`). A saved tensor [rows, Fp]
holds a layer's pre-activations in the format of `parameters.saved_format`, a cotangent `d` [rows, Fp] is
dL/du: fp32 in ``fp32``, fp32 rounded to tf32 in ``tf32``, bf16 in ``fast``. Contiguous unless said otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fastsnf.engines.triton.kernels import linear, reduce
from fastsnf.engines.triton.kernels.pack import pack_weight
from fastsnf.engines.triton.launch import launch
from fastsnf.engines.triton.parameters import TIERS, parameters
from fastsnf.engines.triton.tile_table import Tile, find, padded
from fastsnf.spec import Activation


class Packed(NamedTuple):
    """A layer's parameters as operands, padded with zeros to rows_padded x columns_padded.

    Attributes:
        forward: W [rows_padded, columns_padded]: one tensor in tf32 or fp16, or W = high + low in ``fp32``.
        backward: W transposed, [columns_padded, rows_padded]: in tf32 or bf16, or high and low. The matrix
            unit reads tf32 operands only along the sum, so the product with W needs it turned.
        bias: fp32 [rows_padded].
    """

    forward: tuple[Tensor, ...]
    backward: tuple[Tensor, ...]
    bias: Tensor


def pack(
    weight: Tensor, bias: Tensor | None, precision: str, *, rows_padded: int, cols_padded: int
) -> Packed:
    """Return `weight` [fan_out, fan_in] and `bias` [fan_out] (fp32, any strides) as operands."""
    count = 2 if precision == "fp32" else 1
    kinds = (torch.float16, torch.bfloat16) if precision == "fast" else (torch.float32, torch.float32)
    forward = tuple(weight.new_empty(rows_padded, cols_padded, dtype=kinds[0]) for _ in range(count))
    backward = tuple(weight.new_empty(cols_padded, rows_padded, dtype=kinds[1]) for _ in range(count))
    packed = Packed(forward, backward, weight.new_empty(rows_padded))
    tile = find("pack", precision, act="identity", columns=cols_padded, depth=rows_padded)
    arguments = {
        "weight": weight,
        "bias": bias,
        "forward": forward[0],
        "forward_low": forward[-1],
        "backward": backward[0],
        "backward_low": backward[-1],
        "bias_out": packed.bias,
        "rows": weight.shape[0],
        "columns": weight.shape[1],
        "stride_row": weight.stride(0),
        "stride_column": weight.stride(1),
        "bias_stride": 0 if bias is None else bias.stride(0),
        "rows_padded": rows_padded,
        "columns_padded": cols_padded,
    }
    constants = {
        "PRECISION": precision,
        "HAS_BIAS": bias is not None,
        "ROWS": tile.rows,
        "COLUMNS": tile.columns,
    }
    grid = (_tiles(rows_padded, tile.rows) * _tiles(cols_padded, tile.columns),)
    reads, writes = (weight, bias), (*forward, *backward, packed.bias)
    launch(
        pack_weight,
        grid,
        arguments,
        constants,
        warps=tile.warps,
        stages=tile.stages,
        reads=reads,
        writes=writes,
    )
    return packed


def linear_fwd(
    s_in: Tensor,
    act_in: Activation,
    packed: Packed,
    s_out: Tensor | None,
    act_out: Activation,
    precision: str,
    *,
    format_in: str,
    format_out: str,
    out: Tensor | None = None,
) -> None:
    """``u = act_in(s_in) W^T + b``: write what is saved of u to `s_out`, ``act_out(u)`` to `out`, or both.

    Args:
        s_in: [rows, columns_padded] saved with `act_in`, or raw coordinates [rows, D] with ``Identity``.
        s_out: [rows, rows_padded] in `format_out`.
        out: fp32 [rows, fan_out], any strides.
    """
    columns, depth = packed.forward[0].shape
    rows = s_in.shape[0]
    tile = find("linear_fwd", precision, act=act_in.name, columns=columns, depth=depth)
    arguments = {
        "s_in": s_in,
        "weight": packed.forward[0],
        "weight_low": packed.forward[-1],
        "bias": packed.bias,
        "s_out": s_out,
        "out": out,
        "rows": rows,
        "inputs": s_in.shape[1],
        "depth": depth,
        "columns": columns,
        "outputs": 0 if out is None else out.shape[1],
        "out_stride_row": 0 if out is None else out.stride(0),
        "out_stride_column": 0 if out is None else out.stride(1),
        **parameters(act_in, "_in"),
        **parameters(act_out, "_out"),
    }
    constants = {
        "ACT_IN": act_in.name,
        "ACT_OUT": act_out.name,
        "FORMAT_IN": format_in,
        "FORMAT_OUT": format_out,
        "PRECISION": precision,
        "TIER": TIERS[precision],
        "SAVE": s_out is not None,
        "FINAL": out is not None,
        "EVEN_DEPTH": s_in.shape[1] == depth,
        "EVEN_COLUMNS": columns % tile.columns == 0,
        **_sizes(tile),
        "PARTS": tile.options.get("parts", 1),
        "STAGED": tile.options.get("staged", False),
    }
    launch(
        linear.linear_fwd,
        (_tiles(columns, tile.columns) * _tiles(rows, tile.rows),),
        arguments,
        constants,
        warps=tile.warps,
        stages=tile.stages,
        flops=2 * rows * s_in.shape[1] * (columns if out is None else out.shape[1]),
        reads=(s_in, *packed.forward, packed.bias),
        writes=(s_out, out),
    )


def linear_dx_rows(act_in: Activation, precision: str, *, columns: int, depth: int) -> int:
    """Return how many rows a row of `linear_dx`'s `db_partial` sums, for d_in [., columns], d [., depth]."""
    return find("linear_dx", precision, act=act_in.name, columns=padded(columns), depth=depth).rows


def linear_dx(
    d: Tensor,
    packed: Packed,
    s_in: Tensor | None,
    act_in: Activation,
    d_in: Tensor,
    db_partial: Tensor | None,
    precision: str,
    *,
    format_in: str,
) -> None:
    """Write ``d_in = (d W) act_in'(s_in)`` and, in `db_partial`, its sums over every `linear_dx_rows` rows.

    Args:
        d: [rows, rows_padded], the cotangent of this layer's pre-activations.
        s_in: what the layer below saved; None for the coordinates' gradient, which is stored as it is.
        d_in: [rows, columns_padded], or fp32 [rows, D] without `s_in`; may be the memory of `s_in` when
            elements have the same size.
        db_partial: fp32 [ceil(rows / linear_dx_rows), columns_padded]; sums of values not yet rounded.
    """
    columns, depth = packed.backward[0].shape
    rows, inputs = d_in.shape
    tile = find("linear_dx", precision, act=act_in.name, columns=columns, depth=depth)
    arguments = {
        "d": d,
        "weight": packed.backward[0],
        "weight_low": packed.backward[-1],
        "s_in": s_in,
        "d_in": d_in,
        "db_partial": db_partial,
        "rows": rows,
        "depth": depth,
        "columns": columns,
        "inputs": inputs,
        **parameters(act_in, "_in"),
    }
    constants = {
        "ACT_IN": act_in.name,
        "FORMAT_IN": format_in,
        "PRECISION": precision,
        "TIER": TIERS[precision],
        "WHOLE": s_in is None,
        "HAS_SUMS": db_partial is not None,
        "EVEN_COLUMNS": inputs % tile.columns == 0,
        **_sizes(tile),
        "PARTS": tile.options.get("parts", 1),
    }
    launch(
        linear.linear_dx,
        (_tiles(columns, tile.columns) * _tiles(rows, tile.rows),),
        arguments,
        constants,
        warps=tile.warps,
        stages=tile.stages,
        flops=2 * rows * depth * inputs,
        reads=(d, *packed.backward, s_in),
        writes=(d_in, db_partial),
    )


def linear_dw(
    d: Tensor,
    s_in: Tensor,
    act_in: Activation,
    dw_partial: Tensor,
    split_rows: int,
    precision: str,
    *,
    format_in: str,
) -> None:
    """Write ``dw_partial[s] = d^T act_in(s_in)`` over rows s split_rows ... (s + 1) split_rows.

    Args:
        d: [rows, rows_padded].
        s_in: [rows, columns_padded] saved with `act_in`, or raw coordinates [rows, D] with ``Identity``.
        dw_partial: fp32 [ceil(rows / split_rows), rows_padded, columns_padded].
        split_rows: rows of one partial sum.
    """
    splits, columns, inputs_padded = dw_partial.shape
    rows, inputs = s_in.shape
    tile = find("linear_dw", precision, act=act_in.name, columns=max(columns, inputs_padded), depth=0)
    arguments = {
        "d": d,
        "s_in": s_in,
        "dw_partial": dw_partial,
        "rows": rows,
        "split_rows": split_rows,
        "columns": columns,
        "inputs": inputs,
        "inputs_padded": inputs_padded,
        **parameters(act_in, "_in"),
    }
    constants = {
        "ACT_IN": act_in.name,
        "FORMAT_IN": format_in,
        "PRECISION": precision,
        "TIER": TIERS[precision],
        "TURNED": tile.options.get("turned", False),
        "STAGED": tile.options.get("staged", False),
        "EVEN_COLUMNS": columns % tile.rows == 0,
        "EVEN_INPUTS": inputs % tile.columns == 0,
        **_sizes(tile),
    }
    launch(
        linear.linear_dw,
        (_tiles(columns, tile.rows) * _tiles(inputs_padded, tile.columns) * splits,),
        arguments,
        constants,
        warps=tile.warps,
        stages=tile.stages,
        flops=2 * rows * columns * inputs,
        reads=(d, s_in),
        writes=(dw_partial,),
    )


def sum_partials(partials: Tensor, out: Tensor, *, accumulate: bool, group: int = 1) -> None:
    """``out (+)= partials[0] + partials[1] + ...`` in order: the same bits in one call as in many.

    Args:
        partials: fp32 [S], [S, columns] or [S, rows, columns], any strides.
        out: fp32 with one dimension less, any strides; the leading part of each partial that it covers is
            summed.
        accumulate: whether to add to `out`.
        group: how many partials (each of them dense) are one term of the ordered sum. Those of a group are
            added in parallel first, in place of its first one: `partials` is overwritten.
    """
    count = partials.shape[0]
    step = partials.stride(0)
    if group > 1:
        _sum_groups(partials, group)
        count, step = _tiles(count, group), step * group
    p, o = _expanded(partials, 3), _expanded(out, 2)
    rows, columns = o.shape
    tile = find("sum_partials", "fp32", act="identity", columns=columns, depth=0)
    arguments = {
        "partials": p,
        "out": o,
        "count": count,
        "rows": rows,
        "columns": columns,
        "stride_partial": step,
        "stride_row": p.stride(1),
        "stride_column": p.stride(2),
        "out_stride_row": o.stride(0),
        "out_stride_column": o.stride(1),
    }
    constants = {
        "ACCUMULATE": accumulate,
        "ROWS": tile.rows,
        "COLUMNS": tile.columns,
        "UNROLL": tile.options["unroll"],
    }
    launch(
        reduce.sum_partials_ordered,
        (_tiles(rows, tile.rows) * _tiles(columns, tile.columns),),
        arguments,
        constants,
        warps=tile.warps,
        stages=tile.stages,
        flops=count * rows * columns,
        reads=(p[::group, :rows, :columns],),
        writes=(out,),
    )


def _sum_groups(partials: Tensor, group: int) -> None:
    """Put the sum of every `group` partials [R, ...], each of them dense, in the first of the group."""
    count, columns = partials.shape[0], partials[0].numel()
    tile = find("sum_partials", "fp32", act="identity", columns=columns, depth=0)
    arguments = {
        "partials": partials,
        "count": count,
        "columns": columns,
        "stride_partial": partials.stride(0),
        "group": group,
    }
    constants = {"GROUP_ROWS": tile.options["group_rows"], "COLUMNS": tile.options["group_columns"]}
    launch(
        reduce.sum_partials_groups,
        (_tiles(columns, tile.options["group_columns"]) * _tiles(count, group),),
        arguments,
        constants,
        warps=tile.warps,
        stages=tile.stages,
        flops=count * columns,
        reads=(partials,),
        writes=(partials[::group],),
    )


def _expanded(tensor: Tensor, dimensions: int) -> Tensor:
    """Return `tensor` with dimensions of size 1 before its last one, or before none of it."""
    lead = dimensions - 2
    while tensor.dim() < dimensions:
        tensor = tensor.unsqueeze(lead)
    return tensor


def _sizes(tile: Tile) -> dict[str, int]:
    return {"ROWS": tile.rows, "COLUMNS": tile.columns, "DEPTH": tile.depth}


def _tiles(size: int, tile: int) -> int:
    return -(-size // tile)
