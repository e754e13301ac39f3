"""`empirical_ntk`: the eNTK matrix of a field."""

from __future__ import annotations

from torch import Tensor

from fastsnf import ops
from fastsnf.nn import Field


def empirical_ntk(field: Field, x: Tensor, *, outputs: str = "sum") -> Tensor:
    """Return the eNTK of the trainable parameters at x [N, D] or [B, N, D]: [N, N] or [B, N, N]."""
    weights, biases = field.layer_tensors()
    traced = ops.layer_trace(x, weights, biases, spec=field.spec)
    return ops.ntk_gram(
        [a.detach() for a in traced.inputs],
        [d.detach() for d in traced.cotangents],
        bias=[b is not None for b in biases],
    )
