"""Inputs and cotangents of the layers with something to train: what the NTK of a plain field is made of."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from fastsnf import ops
from fastsnf.nn import LayeredField


class Traced(NamedTuple):
    """One entry for each layer that trains, so that ``K = sum_l Re[(A_l A_l^H + bias_l) * (D_l D_l^H)]``.

    `inputs` are A [..., N, fan_in], `cotangents` D [..., N, fan_out]; a layer that trains its bias alone has
    inputs of one zero, one that trains its weight alone no bias.
    """

    inputs: list[Tensor]
    cotangents: list[Tensor]
    bias: list[bool]


def traced(field: LayeredField, x: Tensor, d_out: Tensor | None = None, *, engine: str = ops.AUTO) -> Traced:
    """Return the trace of a plain field at x [..., D] for ``s = sum_c d_out_c out_c``.

    Args:
        field: one that `fastsnf.nn.plain.only_layers` holds for.
        x: coordinates.
        d_out: [..., C] or [C]; None for ones over sqrt(C).
        engine: of `ops.layer_trace`.
    """
    weights, biases = field.layer_tensors()
    trace = ops.layer_trace(
        field.encode(x),
        [weight.detach() for weight in weights],
        [None if bias is None else bias.detach() for bias in biases],
        spec=field.spec,
        d_out=d_out,
        engine=engine,
    )
    kept = Traced([], [], [])
    parameters = zip(*field.layer_parameters(), strict=True)
    for layer, ((weight, bias), a, d) in enumerate(
        zip(parameters, trace.inputs, trace.cotangents, strict=True)
    ):
        trains_bias = bias is not None and bias.requires_grad
        if weight.requires_grad or trains_bias:
            seen = field.parameter_inputs(layer, a) if weight.requires_grad else a.new_zeros(*a.shape[:-1], 1)
            kept.inputs.append(seen)
            kept.cotangents.append(d)
            kept.bias.append(trains_bias)
    return kept


def numbers_per_point(field: LayeredField) -> int:
    """Return how many real numbers the inputs and cotangents of all layers are at one point."""
    parameters, _ = field.layer_parameters()
    return sum(
        (linear.in_features + linear.out_features) * (2 if parameter.is_complex() else 1)
        for linear, parameter in zip(field.linears(), parameters, strict=True)
    )
