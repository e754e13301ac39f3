"""`field`, `linear_act` and `activate`: differentiable to any order, on the engine that fits the call."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.errors import InputError
from fastsnf.ops.check import check_field
from fastsnf.ops.dispatch import AUTO, choose
from fastsnf.ops.dispatch import requested as requested_engine
from fastsnf.ops.precision import offered, requested
from fastsnf.ops.registration import evaluate, flatten, own_precision
from fastsnf.spec import Activation, FieldSpec


def field(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    engine: str = AUTO,
    precision: str = AUTO,
) -> Tensor:
    """Return a field's values [..., C] at x [..., D].

    Args:
        x: coordinates, float32 or float64, any leading dimensions and strides.
        weights: one [fan_out, fan_in] a layer, of x's dtype, or complex after the first layer of a
            complex field.
        biases: one [fan_out] or None a layer.
        spec: the activation of every layer.
        engine: ``auto``, or the name of one that must take the call.
        precision: ``fp32``, ``tf32`` or ``fast``; ``auto`` follows `torch.get_float32_matmul_precision` on an
            engine that has several.

    Where autograd records, a GPU engine keeps the layers' pre-activations for the backward pass, or computes
    them again when they do not fit in memory.

    Raises:
        InputError: when shapes, dtypes or devices do not fit together.
        EngineError: when a named engine, or none in the precision, can take the call, with every reason.
    """
    check_field(x, weights, biases, spec)
    chosen = choose(engine, x, weights, spec, precision)
    if chosen.engine == "reference":
        with own_precision(x):
            return reference.forward(x, weights, biases, spec)
    params, has_bias = flatten(weights, biases)
    out = evaluate(x.reshape(-1, x.shape[-1]), params, spec.key, has_bias, *chosen)
    return out.reshape(*x.shape[:-1], out.shape[-1])


def linear_act(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    activation: Activation,
    engine: str = AUTO,
    precision: str = AUTO,
) -> Tensor:
    """Return ``activation(x W^T + b)`` [..., fan_out] for x [..., fan_in].

    A complex layer (a `Gabor`, or one with a complex weight) is fused only inside a whole field; on its own
    it runs on the reference engine.

    Raises:
        InputError, EngineError: as `field`.
    """
    plain = requested(precision) in (AUTO, *offered("reference", x.device, x.dtype))
    if torch.compiler.is_compiling() and requested_engine(engine) == AUTO and plain:
        with own_precision(x):  # plain operations, which the compiler fuses
            return reference.linear_act(x, weight, bias, activation)
    if activation.is_complex or weight.is_complex():
        if engine not in (AUTO, "reference"):
            raise InputError(
                f"expected a real layer for engine {engine!r}; got a complex one: use engine='auto'"
            )
        if not plain:
            raise InputError(
                f"expected a real layer in precision {requested(precision)!r}; got a complex one, which only "
                "a whole field fuses: use precision='auto'"
            )
        with own_precision(x):
            return reference.linear_act(x, weight, bias, activation)
    spec = FieldSpec((activation,))
    return field(x, [weight], [bias], spec=spec, engine=engine, precision=precision)


def activate(u: Tensor, *, activation: Activation) -> Tensor:
    """Return ``activation(u)``, shaped as u (real or complex), for a pre-activation that is already there."""
    return reference.activations.value(activation, u)
