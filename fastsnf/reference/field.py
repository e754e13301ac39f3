"""The mathematics of a field, one equation a line: the slow, obvious twin of every engine.

A field is  h_0 = x,  u_l = W_l h_(l-1) + b_l,  h_l = act_l(u_l),  out = Re h_n.
Shapes: `x` [..., D]; `weights[l]` [fan_out, fan_in]; `biases[l]` [fan_out] or None; out [..., C], real. Any
floating dtype; in a complex field (`Gabor`) the first layer is real and the weights after it are complex.
Gradients of a real loss L with respect to complex tensors are torch's, ``dL/dRe + i dL/dIm``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fastsnf.reference import activations
from fastsnf.spec import Activation, FieldSpec

Biases = Sequence[Tensor | None]


class Trace(NamedTuple):
    """What a forward pass leaves for the backward pass: per layer its input and its pre-activation."""

    inputs: list[Tensor]
    """h_(l-1), [..., fan_in] each."""

    pre_activations: list[Tensor]
    """u_l, [..., fan_out] each."""

    out: Tensor
    """[..., C], real."""


def linear_act(x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation) -> Tensor:
    """Return ``activation(x W^T + b)`` [..., fan_out] for `x` [..., fan_in]."""
    return activations.value(activation, functional.linear(x, weight, bias))


def linear_act_vjp(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation, d_h: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return ``(d_x, d_weight, d_bias)`` of `linear_act` for the cotangent `d_h` [..., fan_out]."""
    d_u = activations.vjp(activation, functional.linear(x, weight, bias), d_h)
    return _linear_vjp(x, weight, bias, d_u)


def forward(x: Tensor, weights: Sequence[Tensor], biases: Biases, spec: FieldSpec) -> Tensor:
    """Return the field's output [..., C] at `x` [..., D]."""
    h = x
    for weight, bias, act in zip(weights, biases, spec.activations, strict=True):
        h = linear_act(h, weight, bias, act)
    return h.real if spec.is_complex else h


def trace(x: Tensor, weights: Sequence[Tensor], biases: Biases, spec: FieldSpec) -> Trace:
    """Run `forward`, keeping what the backward pass reads."""
    inputs, pre_activations, h = [], [], x
    for weight, bias, act in zip(weights, biases, spec.activations, strict=True):
        u = functional.linear(h, weight, bias)
        inputs.append(h)
        pre_activations.append(u)
        h = activations.value(act, u)
    return Trace(inputs, pre_activations, h.real if spec.is_complex else h)


def vjp(
    x: Tensor, weights: Sequence[Tensor], biases: Biases, spec: FieldSpec, d_out: Tensor
) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Return ``(d_x, d_weights, d_biases)`` of `forward` for the cotangent `d_out` [..., C].

    Shapes are those of `x`, `weights` and `biases`; None where the bias is None.
    """
    return backward(trace(x, weights, biases, spec), weights, biases, spec, d_out)


def backward(
    kept: Trace, weights: Sequence[Tensor], biases: Biases, spec: FieldSpec, d_out: Tensor
) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Return ``(d_x, d_weights, d_biases)`` from the trace of a forward pass and `d_out` [..., C]."""
    d_weights: list[Tensor] = []
    d_biases: list[Tensor | None] = []
    d_h = torch.complex(d_out, torch.zeros_like(d_out)) if spec.is_complex else d_out  # out = Re h_n
    for layer in reversed(range(spec.layers)):
        d_u = activations.vjp(spec.activations[layer], kept.pre_activations[layer], d_h)
        d_h, d_weight, d_bias = _linear_vjp(kept.inputs[layer], weights[layer], biases[layer], d_u)
        d_weights.insert(0, d_weight)
        d_biases.insert(0, d_bias)
    return d_h, d_weights, d_biases


def jvp(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    t_x: Tensor | None,
    t_weights: Biases,
    t_biases: Biases,
) -> tuple[Tensor, Tensor]:
    """Return ``(out, t_out)``, both [..., C], for tangents shaped as what they belong to; None is zero."""
    h, t_h = x, t_x
    for layer, act in enumerate(spec.activations):
        weight, t_weight, t_bias = weights[layer], t_weights[layer], t_biases[layer]
        u = functional.linear(h, weight, biases[layer])
        t_u = torch.zeros_like(u)
        if t_h is not None:
            t_u = t_u + functional.linear(t_h, weight)  # W t_h
        if t_weight is not None:
            t_u = t_u + functional.linear(h, t_weight)  # t_W h
        if t_bias is not None:
            t_u = t_u + t_bias
        h, t_h = activations.value(act, u), activations.jvp(act, u, t_u)
    assert t_h is not None  # a spec has at least one layer
    return (h.real, t_h.real) if spec.is_complex else (h, t_h)


def mse_value_and_grad(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    sample_weight: Tensor | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Return ``(loss, d_weights, d_biases)`` of the weighted mean squared error.

    loss = sum_n w_n sum_c (out_nc - target_nc)^2 / (C sum_n w_n), a scalar; 0 when there are no points or all
    weights are 0. A point of weight 0 is not there: its target may be NaN.

    `target` is [..., C], `sample_weight` [...] with the leading dimensions of `x`, None for ones.
    """
    kept = trace(x, weights, biases, spec)
    w = (
        torch.ones_like(kept.out[..., :1]) if sample_weight is None else sample_weight.unsqueeze(-1)
    )  # [..., 1]
    residual = torch.where(w != 0, kept.out - target, 0.0)
    total = w.sum()
    norm = target.shape[-1] * torch.where(total == 0, 1.0, total)
    loss = (w * residual.square()).sum() / norm
    d_out = 2.0 * w * residual / norm
    _, d_weights, d_biases = backward(kept, weights, biases, spec, d_out)
    return loss, d_weights, d_biases


def _linear_vjp(
    h: Tensor, weight: Tensor, bias: Tensor | None, d_u: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return ``(d_h, d_W, d_b)`` of  u = W h + b,  summed over the leading dimensions for the parameters."""
    d_h = d_u @ weight.conj()  # W^H d_u
    d_weight = torch.einsum("...o,...i->oi", d_u, h.conj())  # sum_n d_u_n h_n^H
    d_bias = None if bias is None else torch.einsum("...o->o", d_u)
    return d_h, d_weight, d_bias
