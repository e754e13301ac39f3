"""What a call about the NTK or adjusted residuals must look like before an engine sees it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.ops.check import COMPLEX_OF, REAL_DTYPES, check_dense
from fastsnf.reference.adjusted import Adjustment, Layout

REAL_OF = {dtype: dtype for dtype in REAL_DTYPES} | {pair: dtype for dtype, pair in COMPLEX_OF.items()}
"""The real type of every type that an operand of an NTK may have."""

MOST_SLOTS = 2**40
"""Numbers of slots beyond any memory are refused while they still are numbers to every engine."""


def check_gram(
    inputs: Sequence[Tensor], cotangents: Sequence[Tensor], bias: bool | Sequence[bool]
) -> list[bool]:
    """Return which layers have a bias; raise `InputError` unless the tensors belong together."""
    for what, tensors in (("inputs", inputs), ("cotangents", cotangents)):
        if not isinstance(tensors, (list, tuple)):
            raise InputError(
                f"expected the {what} as a list of tensors, one a layer; got {type(tensors).__name__}"
            )
    if not len(inputs) or len(inputs) != len(cotangents):
        raise InputError(
            "expected inputs and cotangents of the same layers, at least one; "
            f"got {len(inputs)} inputs and {len(cotangents)} cotangents"
        )
    has_bias = [bias] * len(inputs) if isinstance(bias, bool) else []
    if isinstance(bias, (list, tuple)):
        has_bias = list(bias)
    if len(has_bias) != len(inputs) or not all(isinstance(flag, bool) for flag in has_bias):
        raise InputError(f"expected bias as True, False or {len(inputs)} of them, one a layer; got {bias!r}")
    check_dense("the inputs of layer 0", inputs[0])
    rows = inputs[0].shape[:-1]
    if inputs[0].dim() not in (2, 3):
        raise InputError(f"expected inputs of shape [B, n, fan_in] or [n, fan_in]; got {_shape(inputs[0])}")
    for layer, (a, d) in enumerate(zip(inputs, cotangents, strict=True)):
        for what, tensor in ((f"inputs of layer {layer}", a), (f"cotangents of layer {layer}", d)):
            check_dense(f"the {what}", tensor)
            if tensor.dim() != len(rows) + 1 or tensor.shape[:-1] != rows or tensor.shape[-1] == 0:
                raise InputError(
                    f"expected the {what} as [{', '.join(map(str, rows))}, units], as the first inputs; "
                    f"got {_shape(tensor)}"
                )
            _check_kind(what, tensor, inputs[0])
        if a.is_complex() != d.is_complex():
            raise InputError(
                f"expected inputs and cotangents of layer {layer} to be both real or both complex; "
                f"got {a.dtype} and {d.dtype}: convert the real one"
            )
    return has_bias


def _check_kind(what: str, tensor: Tensor, first: Tensor) -> None:
    if tensor.dtype not in REAL_OF:
        raise InputError(
            f"expected the {what} as float32 or float64, or complex of these; got {tensor.dtype}: "
            "convert them with .to(torch.float32)"
        )
    if REAL_OF[tensor.dtype] != REAL_OF[first.dtype]:
        raise InputError(
            f"expected the {what} in {REAL_OF[first.dtype]}, as the first inputs; got {tensor.dtype}"
        )
    if tensor.device != first.device:
        raise InputError(
            f"expected the {what} on {first.device}, where the first inputs are; got {tensor.device}: "
            "move them with .to()"
        )


def check_cotangent(d_out: Tensor, x: Tensor, channels: int) -> None:
    """Raise `InputError` unless d_out is [C] or [..., C] beside x [..., D]."""
    check_dense("d_out", d_out)
    if d_out.shape not in ((channels,), (*x.shape[:-1], channels)):
        raise InputError(
            f"expected d_out of shape [{channels}] or {[*x.shape[:-1], channels]}; got {_shape(d_out)}"
        )
    _check_like_x("d_out", d_out, x)


def check_adjustment(x: Tensor, adjustment: Adjustment) -> None:
    """Raise `InputError` unless layout, vectors and coefficients belong to the points x [..., D].

    What the slots hold is for `check_slots`.
    """
    (groups, offsets, slots), vectors, coefficients = adjustment
    points = x.shape[:-1].numel()
    if not (isinstance(groups, int) and isinstance(offsets, int)) or groups < 1 or offsets < 1:
        raise InputError(f"expected at least one group and one offset; got {groups} and {offsets}")
    if groups * offsets > MOST_SLOTS:
        raise InputError(f"expected at most 2^40 slots; got {groups} groups x {offsets} offsets")
    if slots is not None:
        check_dense("slots", slots)
    if slots is None:
        if points != groups * offsets:
            raise InputError(
                f"expected {groups * offsets} points, {groups} groups of {offsets}; got {points}: "
                "say in the layout's slots which of them are there"
            )
    elif slots.shape != (points,) or slots.dtype != torch.int64 or slots.device != x.device:
        raise InputError(
            f"expected slots of shape [{points}], one a point, int64, on {x.device}; "
            f"got {_shape(slots)}, {slots.dtype}, on {slots.device}"
        )
    check_dense("vectors", vectors)
    check_dense("coefficients", coefficients)
    if vectors.dim() != 2 or vectors.shape[0] != groups or coefficients.shape != vectors.shape[1:]:
        raise InputError(
            f"expected vectors [{groups}, k], one row a group, and coefficients [k]; "
            f"got {_shape(vectors)} and {_shape(coefficients)}"
        )
    _check_like_x("vectors", vectors, x)
    _check_like_x("coefficients", coefficients, x)


def check_slots(layout: Layout) -> None:
    """Raise `InputError` unless the slots ascend within groups * offsets.

    On a GPU nobody looks: an answer would wait for all work before it. `fastsnf.ntk.Groups` makes them so.
    """
    groups, offsets, slots = layout
    if slots is None or slots.device.type != "cpu" or len(slots) == 0:
        return
    if not bool((slots[1:] > slots[:-1]).all()) or int(slots[0]) < 0 or int(slots[-1]) >= groups * offsets:
        raise InputError(
            f"expected slots that ascend from 0 or more to less than {groups * offsets} = {groups} groups x "
            f"{offsets} offsets; got {int(slots.min())} to {int(slots.max())}"
            f"{'' if bool((slots[1:] > slots[:-1]).all()) else ', not ascending'}: sort the points by slot"
        )


def _check_like_x(what: str, tensor: Tensor, x: Tensor) -> None:
    if tensor.dtype != x.dtype:
        raise InputError(f"expected {what} of dtype {x.dtype}, as x; got {tensor.dtype}")
    if tensor.device != x.device:
        raise InputError(f"expected {what} on {x.device}, where x is; got {tensor.device}")


def _shape(tensor: Tensor) -> list[int]:
    return list(tensor.shape)
