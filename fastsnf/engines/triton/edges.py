"""The edges of a field on the GPU: the first layer by FMA, the last by sums over features, and cotangents.

One launch each; buffers are arguments. M points, D inputs, F features, C outputs, Fp = `padded` (F); matrices
are contiguous. Rows are summed in splits of split_rows rows, in an order that no chunk of whole splits
changes. A complex weight or bias comes as ``torch.view_as_real`` has it, with a last dimension of (re, im).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastsnf.engines.triton.kernels import cotangent as cotangent_kernel
from fastsnf.engines.triton.kernels import first as first_kernels
from fastsnf.engines.triton.kernels import last as last_kernels
from fastsnf.engines.triton.launch import launch
from fastsnf.engines.triton.parameters import TIERS, parameters
from fastsnf.engines.triton.tile_table import Tile, find
from fastsnf.spec import Activation, Identity

IDENTITY = Identity()


class Mse(NamedTuple):
    """The weighted squared error of a chunk, whose gradient a training step starts from.

    Attributes:
        target: [M, C].
        sample_weight: [M], None for ones; a point of weight 0 is not there, its target may be NaN.
        scale: 0-d, 2 / (C sum of all weights).
        loss_partial: [S], takes ``sum_m w_m sum_c (out - target)^2`` of each split.
    """

    target: Tensor
    sample_weight: Tensor | None
    scale: Tensor
    loss_partial: Tensor


def first_fwd(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    s_out: Tensor,
    act: Activation,
    *,
    format_out: str,
    precision: str = "fp32",
    final: bool = False,
) -> None:
    """Write the first layer's pre-activations u = x W^T + b, D <= 8, in fp32 whatever the precision.

    Args:
        x: [M, D]; weight: [F, D]; bias: [F] or None.
        s_out: [M, Fp], takes the saved form of act; columns beyond F that of u = 0. With `final`, fp32 and
            of any width from F and any row stride, takes ``act(u)``.
        precision: of the activation where `final`.
    """
    rows, inputs = x.shape
    features, width = weight.shape[0], s_out.shape[1]
    tile = find("first_fwd", precision, act=act.name, columns=width, depth=1)
    columns = min(tile.columns, _power_of_two(width))
    launch(
        first_kernels.first_fwd,
        (-(-rows // tile.rows), -(-width // columns)),
        {"x": x, "weight": weight, "bias": bias, "s_out": s_out}
        | {"M": rows, "F": features, "width": width, "stride_out": s_out.stride(0)}
        | parameters(act),
        {"D": inputs, "ACT": act.name, "FORMAT": format_out, "TIER": TIERS[precision]}
        | {"FINAL": final, "BM": tile.rows, "BN": columns},
        warps=tile.warps,
        flops=2 * rows * inputs * features,
        reads=(x, weight, bias),
        writes=(s_out,),
    )


def first_dw(x: Tensor, d0: Tensor, partial: Tensor, split_rows: int) -> None:
    """Write the first layer's weight and bias gradient of each split, ``sum_m d0[m, f] (x[m], 1)``.

    Args:
        x: [M, D]; d0: [M, Fp] fp32 or bf16.
        partial: [S, F, D + 1] fp32; the last column is the bias gradient.
    """
    rows, inputs = x.shape
    features, width = partial.shape[1], d0.shape[1]
    tile = find("first_dw", _precision(d0), act="identity", columns=width, depth=1)
    columns = min(tile.columns, _power_of_two(width))
    launch(
        first_kernels.first_dw,
        (-(-rows // split_rows), -(-width // columns)),
        {"x": x, "d0": d0, "partial": partial, "M": rows, "F": features, "width": width}
        | {"split_rows": split_rows},
        {"D": inputs, "ROWS": tile.rows, "BN": columns, "STAGES": tile.stages},
        warps=tile.warps,
        stages=tile.stages,
        flops=2 * rows * (inputs + 1) * features,
        reads=(x, d0),
        writes=(partial,),
    )


def first_dx(d0: Tensor, weight: Tensor, d_x: Tensor) -> None:
    """Write ``d_x [M, D] = d0 W`` for d0 [M, Fp] fp32 or bf16 and weight [F, D], D <= 8.

    It is a last layer of D outputs without an activation.
    """
    strides = (weight.stride(1), weight.stride(0))
    _last_fwd(d0, IDENTITY, weight, strides, None, d_x, IDENTITY, _precision(d0), "float32")


def last_fwd(
    s_in: Tensor,
    act_in: Activation,
    weight: Tensor,
    bias: Tensor | None,
    out: Tensor,
    act: Activation,
    precision: str,
    *,
    format_in: str,
) -> None:
    """Write ``out = act(Re(W act_in(s_in) + b))`` for C <= 8 outputs.

    Args:
        s_in: [M, Fp] in the saved form of act_in (Gabor: real u of the first layer), or planar [M, 2 Fp];
            any [M, F] of fp32 under an identity.
        weight: [C, F], or [C, F, 2] where act_in is complex; bias: [C], [C, 2] or None.
        out: [M, C] fp32, any row stride.
    """
    parts = 2 if act_in.is_complex else 1
    strides = (parts * weight.shape[1], parts)
    _last_fwd(s_in, act_in, weight, strides, bias, out, act, precision, format_in)


def last_step(
    s_in: Tensor,
    act_in: Activation,
    weight: Tensor,
    bias: Tensor | None,
    act: Activation,
    d_in: Tensor | None,
    partial: Tensor,
    db_in_partial: Tensor | None,
    split_rows: int,
    precision: str,
    *,
    format_in: str,
    mse: Mse | None = None,
    d_out: Tensor | None = None,
    out: Tensor | None = None,
) -> None:
    """Run the last layer forward and backward, C <= 8 outputs, in one read of s_in.

    Args:
        s_in, act_in, weight, bias: as in `last_fwd`.
        d_in: shaped as s_in, in the cotangent's type of the precision: takes the cotangent of the layer
            below's pre-activations, 0 in pads. May be the memory of s_in where elements have one size. None
            where it is not wanted.
        partial: [S, C, F + 1], takes (dW | db) of each split; complex: [S, C, 2 (F + 1)], real
            parts before imaginary ones.
        db_in_partial: [S, columns of s_in], takes the column sums of d_in before its rounding; None with
            d_in.
        mse: what the cotangent of the outputs comes from, or else d_out: [M, C], that cotangent.
        out: [M, C], takes the outputs where it is given.
    """
    outputs, features = weight.shape[:2]
    shape = _Rows(s_in, act_in, weight.shape[1])
    tile = find("last_step", precision, act=act_in.name, columns=outputs * shape.parts, depth=shape.block)
    target, sample_weight, scale, loss_partial = mse if mse is not None else (None, None, None, None)
    given = (target, sample_weight, d_out)
    launch(
        last_kernels.last_step,
        (-(-s_in.shape[0] // split_rows),),
        {"s_in": s_in, "weight": weight, "bias": bias, "target": target, "sample_weight": sample_weight}
        | {"mse_scale": scale, "d_out": d_out, "out": out, "d_in": d_in, "partial": partial}
        | {"db_in_partial": db_in_partial, "loss_partial": loss_partial, "split_rows": split_rows}
        | {**shape.sizes(), **parameters(act_in, "_in"), **parameters(act, "_out")},
        {"C": outputs, "ACT_IN": act_in.name, "ACT_OUT": act.name, "FORMAT": format_in}
        | {"PRECISION": precision, "TIER": TIERS[precision]}
        | {**shape.constants(tile), "STAGES": tile.stages},
        warps=tile.warps,
        stages=tile.stages,
        flops=6 * s_in.shape[0] * outputs * features * shape.parts,
        reads=(s_in, weight, bias, *given),
        writes=(d_in, out, partial, db_in_partial, loss_partial),
    )


def cotangent(
    out: Tensor | None,
    act: Activation,
    s_last: Tensor | None,
    d: Tensor,
    db_partial: Tensor | None,
    split_rows: int,
    precision: str,
    *,
    format_last: str = "float32",
    mse: Mse | None = None,
    d_out: Tensor | None = None,
) -> None:
    """Write the cotangent of a last layer's pre-activations, elementwise.

    Args:
        out: [M, C or more], any row stride: the outputs; None with d_out, or to compute them from s_last.
        s_last: [M, C or more] in the saved form of act; None under an identity.
        d: [M, Cp] in the cotangent's type of the precision, 0 in pads.
        db_partial: [S, Cp], takes the column sums of d before its rounding, or None.
        mse, d_out: as in `last_step`.
    """
    target, sample_weight, scale, loss_partial = mse if mse is not None else (None, None, None, None)
    given = target if d_out is None else d_out
    assert given is not None
    assert s_last is not None or act == IDENTITY
    rows, outputs = given.shape
    width = d.shape[1]
    tile = find("cotangent", precision, act=act.name, columns=width, depth=1)
    out = out if d_out is None else None
    launch(
        cotangent_kernel.cotangent,
        (-(-rows // split_rows),),
        {"out": out, "s_last": s_last, "target": target, "sample_weight": sample_weight}
        | {"mse_scale": scale, "d_out": d_out, "d": d, "db_partial": db_partial}
        | {"loss_partial": loss_partial, "M": rows, "C": outputs, "width": width}
        | {"stride_out": _row(out), "stride_s": _row(s_last), "split_rows": split_rows, **parameters(act)},
        {"ACT": act.name, "FORMAT": format_last, "PRECISION": precision, "TIER": TIERS[precision]}
        | {"ROWS": tile.rows, "BN": min(tile.columns, _power_of_two(width)), "STAGES": tile.stages},
        warps=tile.warps,
        stages=tile.stages,
        flops=2 * rows * outputs,
        reads=(out, s_last, given, sample_weight),
        writes=(d, db_partial, loss_partial),
    )


class _Rows:
    """How a kernel of the last layer holds rows of s_in."""

    def __init__(self, s_in: Tensor, act_in: Activation, features: int) -> None:
        self.parts = 2 if act_in.is_complex else 1
        self.features = features
        self.rows, self.stride = s_in.shape
        self.planar = act_in.is_complex and self.stride >= 2 * features
        self.width = self.stride // 2 if self.planar else self.stride
        self.block = max(16, _power_of_two(self.width))
        self.lane = min(self.block, 32 * 16 // s_in.element_size())  # 16 bytes a thread, a warp side by side

    def sizes(self) -> Mapping[str, int]:
        """Return the run-time sizes."""
        return {"M": self.rows, "F": self.features, "width": self.width, "stride_in": self.stride}

    def constants(self, tile: Tile) -> Mapping[str, Any]:
        """Return the compile-time constants of a block of `elements` places at most."""
        return {
            "PLANAR": self.planar,
            "PADDED": self.features != self.width,
            "EVEN": self.block == self.width,
            "FB": self.block,
            "LANE": self.lane,
            "ROWS": max(1, tile.options["elements"] // self.block),
        }


def _last_fwd(
    s_in: Tensor,
    act_in: Activation,
    weight: Tensor,
    strides: Sequence[int],
    bias: Tensor | None,
    out: Tensor,
    act: Activation,
    precision: str,
    format_in: str,
) -> None:
    """Launch `last_fwd` for a weight whose entry (c, f) is at strides (c, f)."""
    outputs, features = out.shape[1], weight.numel() // (out.shape[1] * (2 if act_in.is_complex else 1))
    shape = _Rows(s_in, act_in, features)
    tile = find("last_fwd", precision, act=act_in.name, columns=outputs * shape.parts, depth=shape.block)
    rows = s_in.shape[0]
    launch(
        last_kernels.last_fwd,
        (-(-rows // tile.rows),),
        {"s_in": s_in, "weight": weight, "bias": bias, "out": out, "program_rows": tile.rows}
        | {"stride_c": strides[0], "stride_f": strides[1], "stride_out": out.stride(0)}
        | {**shape.sizes(), **parameters(act_in, "_in"), **parameters(act, "_out")},
        {"C": outputs, "ACT_IN": act_in.name, "ACT_OUT": act.name, "FORMAT": format_in}
        | {"TIER": TIERS[precision], **shape.constants(tile), "STAGES": tile.stages},
        warps=tile.warps,
        stages=tile.stages,
        flops=2 * rows * outputs * features * shape.parts,
        reads=(s_in, weight, bias),
        writes=(out,),
    )


def _precision(d: Tensor) -> str:
    """Return a precision whose cotangents are of the type of d."""
    return "fast" if d.dtype == torch.bfloat16 else "fp32"


def _power_of_two(width: int) -> int:
    """Return the smallest power of two that is at least `width`."""
    return 1 << max(0, width - 1).bit_length()


def _row(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.stride(0)
