"""`ntk_gram` and `layer_trace`: blocks of the empirical NTK, and what they are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.ops.check import check_field
from fastsnf.ops.dispatch import AUTO
from fastsnf.ops.registration import own_precision
from fastsnf.reference.ntk import LayerTrace
from fastsnf.spec import FieldSpec


def ntk_gram(
    inputs: Sequence[Tensor],
    cotangents: Sequence[Tensor],
    *,
    bias: bool | Sequence[bool] = True,
    engine: str = AUTO,
) -> Tensor:
    """Return the empirical NTK ``K = sum_l Re[(A_l A_l^H + bias_l) * (D_l D_l^H)]`` [B, n, n], symmetric.

    Args:
        inputs: A, the inputs of every layer, [B, n, fan_in] each (or [n, fan_in], K then being [n, n]).
        cotangents: D, the derivatives of each point's scalar with respect to the layer's affine output,
            [B, n, fan_out] each; complex ones as ``ds/dRe u - i ds/dIm u``.
        bias: whether the layers have biases, for all or one by one.
        engine: ``auto``, ``cuda``, ``native`` or ``reference``.
    """
    has_bias = [bias] * len(inputs) if isinstance(bias, bool) else list(bias)
    return reference.ntk.ntk_gram(inputs, cotangents, has_bias)


def layer_trace(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    d_out: Tensor | None = None,
    engine: str = AUTO,
) -> LayerTrace:
    """Return every layer's inputs and cotangents at x [..., D], for ``s = sum_c d_out_c out_c``.

    Args:
        x, weights, biases, spec: as in `field`.
        d_out: [..., C], or [C] for all points alike; None for ones over sqrt(C), which makes the NTK that of
            the outputs' sum over sqrt(C).
        engine: ``auto``, ``native`` or ``reference``.
    """
    check_field(x, weights, biases, spec)
    channels = weights[-1].shape[0]
    if d_out is None:
        d_out = x.new_full((channels,), channels**-0.5)
    d_out = d_out.expand(*x.shape[:-1], channels)
    with torch.no_grad(), own_precision(x):
        return reference.ntk.layer_trace(x, weights, biases, spec, d_out)
