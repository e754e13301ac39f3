"""What a call must look like before an engine sees it: shapes, dtypes and devices, once for every engine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.spec import FieldSpec

REAL_DTYPES = (torch.float32, torch.float64)
COMPLEX_OF = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def check_dense(what: str, tensor: object) -> None:
    """Raise `InputError` unless `tensor` is a dense tensor; its shape may then be asked for."""
    if not isinstance(tensor, Tensor):
        raise InputError(f"expected {what} as a torch.Tensor; got {type(tensor).__name__}")
    if tensor.layout != torch.strided:
        raise InputError(f"expected {what} as a dense tensor; got {tensor.layout}: use .to_dense()")


def check_field(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None], spec: FieldSpec
) -> None:
    """Raise `InputError` unless the parameters fit the spec, each other and `x`."""
    if len(weights) != spec.layers or len(biases) != spec.layers:
        raise InputError(
            f"expected {spec.layers} weights and biases, one a layer of the spec; "
            f"got {len(weights)} weights and {len(biases)} biases"
        )
    dtype = weights[0].dtype
    if dtype not in REAL_DTYPES:
        raise InputError(
            f"expected weights of float32 or float64; got {dtype}: convert the field with .to(torch.float32)"
        )
    check_dense("x", x)
    if x.dim() == 0:
        raise InputError("expected x of shape [..., in_features]; got a 0-d tensor")
    if x.dtype != dtype:
        raise InputError(
            f"expected x of the weights' dtype {dtype}; got {x.dtype}: convert it with x.to({dtype})"
        )
    fan_in = x.shape[-1]
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        _check_layer(
            layer, weight, bias, fan_in, COMPLEX_OF[dtype] if spec.complex_weights(layer) else dtype, x.device
        )
        fan_in = weight.shape[0]


def _check_layer(
    layer: int, weight: Tensor, bias: Tensor | None, fan_in: int, dtype: torch.dtype, device: torch.device
) -> None:
    if weight.dim() != 2 or weight.shape[1] != fan_in:
        source = "x's last dimension" if layer == 0 else f"layer {layer - 1}'s outputs"
        raise InputError(
            f"expected the weight of layer {layer} to be [fan_out, {fan_in}], as {source}; "
            f"got {list(weight.shape)}"
        )
    if weight.shape[0] == 0 or weight.shape[1] == 0:
        raise InputError(f"expected at least one input and output in layer {layer}; got {list(weight.shape)}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise InputError(
            f"expected the bias of layer {layer} to be [{weight.shape[0]}]; got {list(bias.shape)}"
        )
    for what, tensor in (("weight", weight), ("bias", bias)):
        if tensor is None:
            continue
        if tensor.dtype != dtype:
            raise InputError(f"expected the {what} of layer {layer} as {dtype}; got {tensor.dtype}")
        if tensor.device != device:
            raise InputError(
                f"expected the {what} of layer {layer} on {device}, where x is; got {tensor.device}: "
                "move one with .to()"
            )


def check_targets(x: Tensor, target: Tensor, fan_out: int, sample_weight: Tensor | None) -> None:
    """Raise `InputError` unless the targets [..., C] and sample weights [...] belong to x [..., D]."""
    check_dense("targets", target)
    if sample_weight is not None:
        check_dense("sample weights", sample_weight)
    if target.shape != (*x.shape[:-1], fan_out):
        raise InputError(f"expected targets of shape {[*x.shape[:-1], fan_out]}; got {list(target.shape)}")
    if sample_weight is not None and sample_weight.shape != x.shape[:-1]:
        raise InputError(
            f"expected sample weights of shape {list(x.shape[:-1])}; got {list(sample_weight.shape)}"
        )
    for what, tensor in (("targets", target), ("sample weights", sample_weight)):
        if tensor is None:
            continue
        if tensor.dtype != x.dtype:
            raise InputError(f"expected {what} of dtype {x.dtype}, as x; got {tensor.dtype}")
        if tensor.device != x.device:
            raise InputError(f"expected {what} on {x.device}, where x is; got {tensor.device}")
