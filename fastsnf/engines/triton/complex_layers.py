"""The complex Gabor layer on the GPU: packed weights, forward, input and weight gradient, and their sums.

Activations and cotangents are planar: [M, 2 F] = [re | im] with F padded. Every function takes its output
buffers. `first_below`: the layer below is the field's first, whose pre-activations are real, [M, F].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastsnf.engines.triton.kernels import gabor
from fastsnf.engines.triton.launch import launch
from fastsnf.engines.triton.layers import Packed, pack, sum_partials
from fastsnf.engines.triton.parameters import TIERS, parameters
from fastsnf.engines.triton.tile_table import Tile, find
from fastsnf.spec import Activation


class PackedComplex(NamedTuple):
    """A complex layer's parameters as operands of the matrix unit.

    Attributes:
        real, imag: the planes of W and b, as those of a real layer.
        real_output: whether the layer gives the real part of u alone, as a field's last one does.
    """

    real: Packed
    imag: Packed
    real_output: bool

    @property
    def forward(self) -> tuple[Tensor, ...]:
        """Every tensor that the forward pass reads of W."""
        return (*self.real.forward, *self.imag.forward)

    @property
    def backward(self) -> tuple[Tensor, ...]:
        """Every tensor that the input gradient reads of W."""
        return (*self.real.backward, *self.imag.backward)


def pack_complex(
    weight: Tensor,
    bias: Tensor | None,
    precision: str,
    *,
    rows_padded: int,
    cols_padded: int,
    real_output: bool = False,
) -> PackedComplex:
    """Return complex64 `weight` [fan_out, fan_in] and `bias` [fan_out], of any strides, as operands."""
    weights = torch.view_as_real(weight.resolve_conj())
    biases = None if bias is None else torch.view_as_real(bias.resolve_conj())
    real, imag = (
        pack(
            weights[..., part],
            None if biases is None else biases[..., part],
            precision,
            rows_padded=rows_padded,
            cols_padded=cols_padded,
        )
        for part in range(2)
    )
    return PackedComplex(real, imag, real_output)


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
    rows = s_in.shape[0]
    launch(
        gabor.complex_fwd,
        (-(-rows // tile.rows) * -(-columns_out // tile.columns),),
        {
            "s_in": s_in,
            **_planes("weight", packed.real.forward[0], packed.imag.forward[0]),
            **_planes("low", packed.real.forward[-1], packed.imag.forward[-1]),
            **_planes("bias", packed.real.bias, packed.imag.bias),
            "s_out": s_out,
            "out": out,
            "rows": rows,
            "columns_in": columns_in,
            "columns_out": columns_out,
            "outputs": 0 if out is None else out.shape[1],
            "out_stride_row": 0 if out is None else out.stride(0),
            "out_stride_column": 0 if out is None else out.stride(1),
            "scalars": _scalars(act_in, s_in),
        },
        {
            **_constants(tile, precision, first_below, packed.real_output),
            "EVEN_COLUMNS": columns_out % tile.columns == 0,
            "SAVE": s_out is not None,
            "FINAL": out is not None,
        },
        warps=tile.warps,
        stages=tile.stages,
        flops=_flops(rows, columns_in, columns_out, packed.real_output),
        reads=(s_in, *packed.forward, packed.real.bias, None if packed.real_output else packed.imag.bias),
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
        gabor.complex_dx,
        (-(-rows // tile.rows) * -(-columns_in // tile.columns),),
        {
            "d": d,
            **_planes("weight", packed.real.backward[0], packed.imag.backward[0]),
            **_planes("low", packed.real.backward[-1], packed.imag.backward[-1]),
            "s_in": s_in,
            "d_in": d_in,
            "db_partial": packed.real.bias if db_partial is None else db_partial,
            "rows": rows,
            "columns_in": columns_in,
            "columns_out": columns_out,
            **parameters(act_in),
        },
        {
            **_constants(tile, precision, first_below, packed.real_output),
            "EVEN_COLUMNS": columns_in % tile.columns == 0,
            "PARTS": tile.options.get("parts", 1),
            "HAS_SUMS": db_partial is not None,
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
        dw_partial: fp32 [S, F_out, 2 F_in], Re and Im alternating, S = ceil(M / split_rows): for `fold_dw`.
    """
    splits, columns_out, columns_in = dw_partial.shape[0], dw_partial.shape[1], dw_partial.shape[2] // 2
    real_output = d.shape[1] == columns_out
    widest = max(columns_in, columns_out)
    tile = find("complex_dw", precision, act=act_in.name, columns=widest, depth=0)
    tiles = -(-columns_out // tile.rows) * -(-columns_in // tile.columns)
    launch(
        gabor.complex_dw,
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
        {
            **_constants(tile, precision, first_below, real_output),
            "TURNED": tile.options.get("turned", False),
            "EVEN_COLUMNS": columns_out % tile.rows == 0,
            "EVEN_INPUTS": columns_in % tile.columns == 0,
        },
        warps=tile.warps,
        stages=tile.stages,
        flops=_flops(d.shape[0], columns_in, columns_out, real_output),
        reads=(d, s_in),
        writes=(dw_partial,),
    )


def fold_dw(dw_partial: Tensor, d_weight: Tensor, *, accumulate: bool) -> None:
    """Write or add the ordered sum of `complex_dw`'s partials to `d_weight` complex64 [fan_out, fan_in]."""
    sum_partials(dw_partial, torch.view_as_real(d_weight).flatten(-2), accumulate=accumulate)


def fold_db(
    db_partial: Tensor, d_bias: Tensor, *, accumulate: bool, group: int, real_output: bool = False
) -> None:
    """Write or add the ordered sum of column sums, `group` at a time, to `d_bias` complex64 [fan_out].

    Args:
        db_partial: [R, 2 F] planar, or [R, F] of a layer that gives Re u alone; overwritten as
            `sum_partials` does.
    """
    planes = torch.view_as_real(d_bias).T  # [2, fan_out]
    if real_output:
        sum_partials(db_partial, planes[0], accumulate=accumulate, group=group)
        if not accumulate:
            planes[1].zero_()
        return
    sum_partials(db_partial.view(len(db_partial), 2, -1), planes, accumulate=accumulate, group=group)


def _scalars(act: Activation, like: Tensor) -> Tensor:
    """Return omega, turn, turn_low and scale of `act` as fp32 [4] beside `like`, for `kernels.gabor.spread`.

    Written by a kernel and kept nowhere, so that a call may be captured into any CUDA graph.
    """
    out = like.new_empty(4, dtype=torch.float32)
    launch(gabor.store_scalars, (1,), {"out": out, **parameters(act)}, {}, warps=1, writes=(out,))
    return out


def _dx_tile(act_in: Activation, packed: PackedComplex, precision: str) -> Tile:
    columns_in, columns_out = _columns(packed)
    return find("complex_dx", precision, act=act_in.name, columns=columns_in, depth=columns_out)


def _planes(name: str, real: Tensor, imag: Tensor) -> dict[str, Tensor]:
    return {f"{name}_re": real, f"{name}_im": imag}


def _columns(packed: PackedComplex) -> tuple[int, int]:
    """Return the padded complex features below and above."""
    return packed.real.backward[0].shape[0], packed.real.backward[0].shape[1]


def _constants(tile: Tile, precision: str, first_below: bool, real_output: bool) -> dict[str, Any]:
    """Return the compile-time constants that the three products share."""
    return {
        "PRECISION": precision,
        "TIER": TIERS[precision],
        "FIRST_BELOW": first_below,
        "REAL_OUTPUT": real_output,
        "ROWS": tile.rows,
        "COLUMNS": tile.columns,
        "DEPTH": tile.depth,
    }


def _flops(rows: int, columns_in: int, columns_out: int, real_output: bool) -> int:
    """Return 2 a real product: a complex one is 4, of which a real output takes 2."""
    return (4 if real_output else 8) * rows * columns_in * columns_out
