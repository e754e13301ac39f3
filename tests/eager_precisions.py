"""Eager PyTorch in the engine's precisions: operands of every product rounded, everything else as it is.

It is what `torch.backends.cuda.matmul.fp32_precision = "tf32"` computes, and `torch.autocast` with fp16
operands forward and bf16 ones backward, where what a layer's product passes on is of 16 bits too. Float64
stays exact, so that the same run gives the exact result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.emulated_quality import ROUNDINGS, Round
from fastsnf import reference
from fastsnf.spec import FieldSpec
from tests import cases, judge
from tests.judge import Result, Run


class RoundedLinear(torch.autograd.Function):
    """``h W^T`` whose three products take rounded operands."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, precision: str) -> Tensor:
        ctx.save_for_backward(h, weight)
        ctx.precision = precision
        round_operand = _rounding(precision, 0)
        return _passed_on(functional.linear(round_operand(h), round_operand(weight)), precision, 0)

    @staticmethod
    def backward(ctx: Any, d_u: Tensor) -> tuple[Tensor, Tensor, None]:
        (h, weight), round_operand = ctx.saved_tensors, _rounding(ctx.precision, 1)
        d_u, h, weight = round_operand(d_u), round_operand(h), round_operand(weight)
        return _passed_on(d_u @ weight.conj(), ctx.precision, 1), d_u.T @ h.conj(), None


def _passed_on(product: Tensor, precision: str, direction: int) -> Tensor:
    return _rounding(precision, direction)(product) if precision == "fast" else product


def _rounding(precision: str, direction: int) -> Round:
    one = ROUNDINGS[precision][direction]

    def both(x: Tensor) -> Tensor:
        if x.dtype not in (torch.float32, torch.complex64):
            return x
        return torch.complex(one(x.real), one(x.imag)) if x.is_complex() else one(x)

    return both


def forward(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None], spec: FieldSpec, precision: str
) -> Tensor:
    """Return the field's output; its products take rounded operands where x is float32."""
    h = x
    for weight, bias, act in zip(weights, biases, spec.activations, strict=True):
        u = RoundedLinear.apply(h.to(weight.dtype), weight, precision)
        h = reference.activations.value(act, u if bias is None else u + bias)
    return h.real if spec.is_complex else h


def forward_run(spec: FieldSpec, values: Callable[..., Tensor]) -> Run:
    """Return the run of (x,) that gives the output alone; `values` takes (x, weights, biases, spec)."""
    return lambda rows, weights, biases: Result([values(rows[0], weights, biases, spec)], [], [], [])


def field_run(spec: FieldSpec, precision: str) -> Run:
    """Return the run of (x, d_out) that gives out, d_x and the parameters' gradients by autograd."""
    return judge.field_run(spec, lambda x, w, b: forward(x, w, b, spec, precision))


def mse_run(spec: FieldSpec, precision: str) -> Run:
    """Return the run of (x, target, sample_weight) that gives the weighted MSE and its gradients."""

    def value_and_grad(
        x: Tensor,
        target: Tensor,
        weights: list[Tensor],
        biases: list[Tensor | None],
        sample_weight: Tensor,
    ) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
        w, b = cases.leaves(weights), cases.leaves(biases)
        squared = torch.where(
            sample_weight[:, None] != 0, forward(x, w, b, spec, precision) - target, 0.0
        ).square()
        total = sample_weight.sum()
        norm = target.shape[1] * torch.where(total == 0, 1.0, total)
        loss = (sample_weight[:, None] * squared).sum() / norm
        given = [t for t in b if t is not None]
        grads = torch.autograd.grad(loss, [*w, *given])
        d_biases = iter(grads[len(w) :])
        return loss.detach(), list(grads[: len(w)]), [None if t is None else next(d_biases) for t in b]

    return judge.mse_run(spec, value_and_grad)
