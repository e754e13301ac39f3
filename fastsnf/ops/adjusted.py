"""`adjusted_mse_value_and_grad`: the training step of inductive gradient adjustment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastsnf.engines import native
from fastsnf.ops.check import check_field, check_targets
from fastsnf.ops.check_ntk import check_adjustment, check_slots
from fastsnf.ops.dispatch import AUTO, Choice, choose
from fastsnf.ops.exact import full_float32
from fastsnf.ops.field import field
from fastsnf.ops.mse import mse_value_and_grad
from fastsnf.ops.ntk_registration import field_adjusted_mse
from fastsnf.ops.registration import (
    evaluate_keeping,
    field_bwd,
    field_bwd_kept,
    flatten,
    own_precision,
    unflatten,
)
from fastsnf.reference.adjusted import AdjustedResult, Adjusting, Adjustment, cotangent, largest_rows
from fastsnf.reference.field import backward, trace
from fastsnf.spec import FieldSpec


def adjusted_mse_value_and_grad(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    adjustment: Adjusting,
    sample_weight: Tensor | None = None,
    need_largest: bool = True,
    engine: str = AUTO,
    precision: str = AUTO,
) -> AdjustedResult:
    """Return the MSE, gradients of residuals that S has adjusted, and each group's largest residual.

    loss is that of `mse_value_and_grad`; its cotangent is  d_out = 2 sqrt(w) S sqrt(w) r / (C sum w)  in its
    place (IGA, Eq. 4 to 9), S acting on the groups at each offset and in each channel alone. An adjustment
    without coefficients is S = I, and gives the bits of `mse_value_and_grad`.

    The CPU engine does it in one pass, tile by tile, up to `engines.native.MOST_GROUPS` groups. With
    more, and on the other engines, every residual is needed first: forward, adjustment, backward.

    Args:
        x, target, weights, biases, spec, sample_weight, engine, precision: as in `mse_value_and_grad`; the
            points lie as `adjustment.layout` says.
        adjustment: S, or a function that returns it, given the residuals sqrt(w) r [N, C] of this pass; it is
            called once, between the forward and the backward pass, which then are not one. What slots hold is
            looked at on the CPU only.
        need_largest: whether to return `largest`; without it S = I costs no more than the plain step.

    Raises:
        InputError: as `field`, and when the adjustment does not belong to the points.
        EngineError: as `field`.
    """
    check_field(x, weights, biases, spec)
    check_targets(x, target, weights[-1].shape[0], sample_weight)
    chosen = choose(engine, x, weights, spec, precision)
    points, targets = x.reshape(-1, x.shape[-1]), target.reshape(-1, target.shape[-1])
    w = None if sample_weight is None else sample_weight.reshape(-1)
    made = _checking(adjustment, points)
    with torch.no_grad(), own_precision(x):
        if isinstance(made, Adjustment) and made.coefficients.numel() == 0:
            given: dict[str, Any] = {"spec": spec, "engine": engine, "precision": precision}
            plain = mse_value_and_grad(x, target, weights, biases, sample_weight=sample_weight, **given)
            if not need_largest:
                return AdjustedResult(*plain, largest=None)
            out = field(points, weights, biases, **given)
            return AdjustedResult(*plain, largest=_largest(out, targets, made, w))
        if chosen.engine == "reference":
            return _by_reference(points, targets, weights, biases, spec, made, w)
        params, has_bias = flatten(weights, biases)
        if isinstance(made, Adjustment) and len(points) and _one_pass(chosen.engine, made.layout.groups):
            return _fused(points, targets, params, has_bias, spec, made, w, chosen.engine)
        return _composed(points, targets, params, has_bias, spec, made, w, chosen, need_largest)


def adjusts_in_one_pass(
    x: Tensor,
    weights: Sequence[Tensor],
    *,
    spec: FieldSpec,
    groups: int,
    engine: str = AUTO,
    precision: str = AUTO,
) -> bool:
    """Return whether `adjusted_mse_value_and_grad` runs as one pass, given an `Adjustment` of some groups."""
    return _one_pass(choose(engine, x, weights, spec, precision).engine, groups)


def _one_pass(engine: str, groups: int) -> bool:
    return engine == "native" and groups <= native.MOST_GROUPS


def _checking(adjustment: Adjusting, x: Tensor) -> Adjusting:
    """Return the adjustment, checked now where it is there, else once it is made."""

    def checked(made: Adjustment) -> Adjustment:
        check_adjustment(x, made)
        if not torch.compiler.is_compiling():
            check_slots(made.layout)
        return made

    if isinstance(adjustment, Adjustment):
        return checked(adjustment)
    return lambda residual: checked(adjustment(residual))


def _largest(out: Tensor, target: Tensor, adjustment: Adjustment, sample_weight: Tensor | None) -> Tensor:
    return largest_rows(cotangent(out, target, adjustment, sample_weight).residual, adjustment.layout)


def _by_reference(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    adjustment: Adjusting,
    sample_weight: Tensor | None,
) -> AdjustedResult:
    """`reference.adjusted`: the field as exact as torch is told to be, the correction in full float32."""
    kept = trace(x, weights, biases, spec)
    with full_float32(x):
        loss, d_out, residual, layout = cotangent(kept.out, target, adjustment, sample_weight)
    _, d_weights, d_biases = backward(kept, weights, biases, spec, d_out)
    return AdjustedResult(loss, d_weights, d_biases, largest_rows(residual, layout))


def _fused(
    x: Tensor,
    target: Tensor,
    params: list[Tensor],
    has_bias: list[bool],
    spec: FieldSpec,
    adjustment: Adjustment,
    sample_weight: Tensor | None,
    engine: str,
) -> AdjustedResult:
    """One pass whose tile is all groups at one offset, so that the adjustment stays inside it."""
    (groups, offsets, slots), vectors, coefficients = adjustment
    loss, largest, *grads = field_adjusted_mse(
        x, target, params, vectors, coefficients, slots, groups, offsets, sample_weight, spec.key, has_bias,
        engine,
    )  # fmt: skip
    return AdjustedResult(loss, *unflatten(grads, has_bias), largest)


def _composed(
    x: Tensor,
    target: Tensor,
    params: list[Tensor],
    has_bias: list[bool],
    spec: FieldSpec,
    adjustment: Adjusting,
    sample_weight: Tensor | None,
    chosen: Choice,
    need_largest: bool,
) -> AdjustedResult:
    """Forward pass, the adjustment of all residuals, backward pass."""
    call = spec.key, has_bias, *chosen
    out, kept = evaluate_keeping(x, params, *call)
    with full_float32(x):
        loss, d_out, residual, layout = cotangent(out, target, adjustment, sample_weight)
    if kept is None:
        grads = field_bwd(x, params, d_out, *call, False, True)
    else:
        grads = field_bwd_kept(x, params, d_out, kept, *call, False, True)
    largest = largest_rows(residual, layout) if need_largest else None
    return AdjustedResult(loss, *unflatten(grads, has_bias), largest)
