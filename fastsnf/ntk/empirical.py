"""`empirical_ntk`: the eNTK matrix of a field."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from fastsnf import ops
from fastsnf.errors import EngineError, unknown
from fastsnf.nn import LayeredField
from fastsnf.ntk.jacobian import Network, combinations_of, jacobian_gram
from fastsnf.ntk.module import check_points, underlying
from fastsnf.ntk.size import OUTPUTS, check_fits
from fastsnf.ntk.trace import traced
from fastsnf.ops.exact import full_float32
from fastsnf.ops.registration import own_precision

ENGINES = (ops.AUTO, "cuda", "native", "reference")
"""What `empirical_ntk` takes as engine."""


def empirical_ntk(field: nn.Module, x: Tensor, *, outputs: str = "sum", engine: str = ops.AUTO) -> Tensor:
    """Return the empirical NTK of the trainable parameters, ``K = J J^T``, without a gradient of its own.

    J holds the derivatives of the outputs at every point with respect to all weights and biases that require
    grad; a complex parameter counts as two real ones. For a field that is its layers alone K is computed from
    what a forward and a backward pass leave, ``sum_l Re[(A_l A_l^H + 1) * (D_l D_l^H)]``, and J is never
    formed; any other module goes through explicit Jacobians, some points at a time.

    Args:
        field: a field, or another module from [n, D] to [n, C] whose outputs depend on their own point alone.
        x: coordinates [N, D], or [B, N, D] for B matrices; of the field's dtype, on its device.
        outputs: ``sum``: the NTK of the sum of the outputs over sqrt(C), as the IGA paper's code takes it,
            with one output the NTK itself. ``each``: one matrix for every output. ``full``: all outputs
            related to all.
        engine: of the matrix: ``auto``, ``cuda``, ``native`` or ``reference``.

    Returns:
        [N, N] or [B, N, N]; ``each``: [C, N, N] or [B, C, N, N]; ``full``: [N, C, N, C] or [B, N, C, N, C].
        In the field's dtype, symmetric.

    Raises:
        InputError: when shapes, dtypes or devices do not fit together, all parameters are frozen, the
            matrix does not fit in memory, or the module couples points (batch normalisation).
        EngineError: when a named engine cannot take the call, with the reasons.
    """
    if outputs not in OUTPUTS:
        raise unknown("outputs", outputs, OUTPUTS)
    if engine not in ENGINES:
        raise unknown("the engine", engine, ENGINES)
    module, plain = underlying(field)
    x = check_points(module, x, dimensions=(2, 3))
    with torch.no_grad(), own_precision(x), full_float32(x):
        if plain:
            return _by_trace(cast(LayeredField, module), x, outputs, engine)
        if engine not in (ops.AUTO, "reference"):
            raise EngineError(
                f"engine {engine!r} cannot take this call: {type(module).__name__} is more than layers with "
                "parameters of their own, so that its NTK takes explicit Jacobians. Use engine='auto'"
            )
        return _by_jacobian(module, x, outputs)


def _by_trace(field: LayeredField, x: Tensor, outputs: str, engine: str) -> Tensor:
    """Return K of a plain field at x [..., N, D]."""
    *batch, points, _ = x.shape
    channels = field.out_features
    check_fits(field, points, outputs=outputs, batch=batch[0] if batch else 1, plain=True)
    tracer = ops.AUTO if engine == "cuda" else engine  # it computes matrices only
    if outputs == "sum":
        inputs, cotangents, bias = traced(field, x, engine=tracer)
        return ops.ntk_gram(inputs, cotangents, bias=bias, engine=engine)
    unit = combinations_of(outputs, channels, x)
    if outputs == "each":
        gram = x.new_empty(*batch, channels, points, points)
        for c in range(channels):
            inputs, cotangents, bias = traced(field, x, unit[c], engine=tracer)
            gram[..., c, :, :] = ops.ntk_gram(inputs, cotangents, bias=bias, engine=engine)
        return gram
    # A point stands once for every output, next to each other: K over N C rows is [N, C, N, C].
    inputs, _, bias = first = traced(field, x, unit[0], engine=tracer)
    traces = [
        first.cotangents,
        *(traced(field, x, unit[c], engine=tracer).cotangents for c in range(1, channels)),
    ]
    gram = ops.ntk_gram(
        [a.repeat_interleave(channels, dim=-2) for a in inputs],
        [torch.stack(d, dim=-2).flatten(-3, -2) for d in zip(*traces, strict=True)],
        bias=bias,
        engine=engine,
    )
    return gram.reshape(*batch, points, channels, points, channels)


def _by_jacobian(module: nn.Module, x: Tensor, outputs: str) -> Tensor:
    """Return K of any module at x [..., N, D]."""
    network = Network(module)
    sets, points = x.reshape(-1, *x.shape[-2:]), x.shape[-2]
    channels = network.channels(sets[0])
    check_fits(module, points, outputs=outputs, channels=channels, batch=len(sets), plain=False)
    combinations = combinations_of(outputs, channels, x)
    forms = {"each": (channels, points, points), "full": (points, channels, points, channels)}
    form = forms.get(outputs, (points, points))

    def gram(one: Tensor) -> Tensor:
        return jacobian_gram(network, one, combinations, pairs=outputs == "full").reshape(form)

    if x.dim() == 2:
        return gram(x)
    result = x.new_empty(len(sets), *form)
    for index, one in enumerate(sets):
        result[index] = gram(one)
    return result
