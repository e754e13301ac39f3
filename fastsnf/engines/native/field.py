"""Fields on the CPU: values, gradients, and the mean squared error with its gradients in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsnf.engines.native.call import address, empty_gradients, prepare
from fastsnf.engines.native.extension import module, threads, variant
from fastsnf.spec import FieldSpec

MOST_GROUPS = 4096
"""The most groups of `adjusted_mse_value_and_grad`, whose tile is all of an offset's points. From some 700 on
a tile leaves the second-level cache; that was measured to cost less than a second forward pass."""


def forward(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    *,
    precision: str = "fp32",
) -> Tensor:
    """Return the field's output [N, C] at x [N, D]; the only `precision` is ``fp32``, here and below."""
    x, layers, _kept = prepare(x, weights, biases, spec)
    out = x.new_empty(x.shape[0], weights[-1].shape[0])
    module().forward(variant(), layers, x.shape[0], x.data_ptr(), out.data_ptr(), threads())
    return out


def backward(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    d_out: Tensor,
    *,
    need_x: bool = True,
    need_params: bool = True,
    precision: str = "fp32",
) -> tuple[Tensor | None, list[Tensor], list[Tensor | None]]:
    """Return the gradients of x, the weights and the biases for the cotangent d_out [N, C].

    Activations are recomputed, a tile at a time. Without `need_x` the first is None, without `need_params`
    the lists are empty.
    """
    d_weights, d_biases = empty_gradients(weights, biases) if need_params else ([], [])
    x, layers, _kept = prepare(x, weights, biases, spec, d_weights, d_biases)
    d_out = d_out.contiguous()
    d_x = torch.empty_like(x) if need_x else None
    module().backward(
        variant(),
        layers,
        x.shape[0],
        x.data_ptr(),
        d_out.data_ptr(),
        address(d_x),
        threads(),
    )
    return d_x, d_weights, d_biases


def mse_value_and_grad(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    sample_weight: Tensor | None = None,
    *,
    precision: str = "fp32",
) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Return the weighted MSE and its gradients in one pass over the points."""
    d_weights, d_biases = empty_gradients(weights, biases)
    x, layers, _kept = prepare(x, weights, biases, spec, d_weights, d_biases)
    target = target.contiguous()
    sample_weight = None if sample_weight is None else sample_weight.contiguous()
    loss = module().mse(
        variant(),
        layers,
        x.shape[0],
        x.data_ptr(),
        target.data_ptr(),
        address(sample_weight),
        threads(),
    )
    return torch.tensor(loss, dtype=torch.float32), d_weights, d_biases


def adjusted_mse_value_and_grad(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    groups: int,
    offsets: int,
    slots: Tensor | None,
    vectors: Tensor,
    coefficients: Tensor,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor | None], Tensor]:
    """Return the weighted MSE, gradients of residuals that S = I - V diag(a) V^T has adjusted, and `largest`.

    One pass over the points, some whole offsets at a time, so that the correction stays inside a tile, up to
    `MOST_GROUPS` groups. `slots` [N] int64 ascends and is None where every group
    has every offset, `vectors` V are [groups, k], `coefficients` a [k]. `largest` [groups] holds the row of
    each group's largest ``sum_c |sqrt(w) r_c|`` before the adjustment, row 0 for a group without points.

    Raises:
        ValueError: when the points do not lie as the layout says, or V and a do not fit it.
    """
    d_weights, d_biases = empty_gradients(weights, biases)
    x, layers, _kept = prepare(x, weights, biases, spec, d_weights, d_biases)
    if vectors.shape != (groups, len(coefficients)):
        raise ValueError(
            f"expected vectors [{groups}, {len(coefficients)}]: a row a group and a column a coefficient; "
            f"got {list(vectors.shape)}"
        )
    if slots is not None and slots.shape != x.shape[:1]:
        raise ValueError(f"expected a slot of each of the {len(x)} points; got {list(slots.shape)}")
    target = target.contiguous()
    vectors, coefficients = (t.to(torch.float32).contiguous() for t in (vectors, coefficients))
    slots = None if slots is None else slots.to(torch.int64).contiguous()
    sample_weight = None if sample_weight is None else sample_weight.contiguous()
    largest = x.new_empty(groups, dtype=torch.int64)
    loss = module().adjusted_mse(
        variant(),
        layers,
        x.shape[0],
        x.data_ptr(),
        target.data_ptr(),
        address(sample_weight),
        groups,
        offsets,
        address(slots),
        len(coefficients),
        vectors.data_ptr(),
        coefficients.data_ptr(),
        largest.data_ptr(),
        threads(),
    )
    return torch.tensor(loss, dtype=torch.float32), d_weights, d_biases, largest
