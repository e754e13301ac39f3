"""Blocks of the empirical NTK, and the inputs and cotangents of every layer that make them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsnf.engines.native.call import dense, prepare, reasons_of
from fastsnf.engines.native.extension import module, threads, variant
from fastsnf.spec import FieldSpec


def layer_trace(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    d_out: Tensor,
) -> tuple[list[Tensor], list[Tensor]]:
    """Return every layer's inputs [N, fan_in] and cotangents [N, fan_out] for ``s = sum_c d_out_c out_c``.

    The first layer's inputs are `x` itself. Cotangents are ``ds/dRe u - i ds/dIm u``; both are complex where
    the layer's weights are.
    """
    points, layers, _kept = prepare(x, weights, biases, spec)
    d_out = d_out.contiguous()
    inputs, cotangents = [x], []
    for i, weight in enumerate(weights):
        fan_out, fan_in = weight.shape
        inputs += [x.new_empty(len(x), fan_in, dtype=weight.dtype)] if i else []
        cotangents.append(x.new_empty(len(x), fan_out, dtype=weight.dtype))
    outputs = [(a.data_ptr(), d.data_ptr()) for a, d in zip(inputs, cotangents, strict=True)]
    outputs[0] = (0, outputs[0][1])
    module().trace(variant(), layers, len(x), points.data_ptr(), d_out.data_ptr(), outputs, threads())
    return inputs, cotangents


def gram_reasons(device: torch.device, dtype: torch.dtype, shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """Return why `gram` cannot take operands of a real `dtype` on `device`, nothing when it can.

    `shapes` are the layers' (fan_in, fan_out).
    """
    why = reasons_of(device.type, dtype)
    if any(0 in shape for shape in shapes):
        why.append("a layer has no inputs or no outputs")
    return why


def gram(inputs: Sequence[Tensor], cotangents: Sequence[Tensor], bias: Sequence[bool]) -> Tensor:
    """Return ``K = sum_l Re[(A_l A_l^H + bias_l) * (D_l D_l^H)]`` [B, n, n], symmetric to the last bit.

    A [B, n, fan_in] and D [B, n, fan_out] are float32 or complex64. The same bits for every thread count.
    """
    blocks, n = inputs[0].shape[:2]
    out = inputs[0].new_empty(blocks, n, n, dtype=torch.float32)
    layers, kept = [], []
    for a, d, has_bias in zip(inputs, cotangents, bias, strict=True):
        a, d = dense(a), dense(d)
        kept += [a, d]
        layers.append(
            (
                a.shape[2],
                d.shape[2],
                a.is_complex(),
                d.is_complex(),
                bool(has_bias),
                a.data_ptr(),
                d.data_ptr(),
            )
        )
    if blocks:
        module().gram(variant(), layers, blocks, n, out.data_ptr(), threads())
    return out
