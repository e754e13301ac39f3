"""The backward pass of a chunk of rows, from the outputs' cotangent down to the coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastsnf.engines.triton import complex_layers, edges, layers
from fastsnf.engines.triton.gradients import Gradients
from fastsnf.engines.triton.plan import FieldPlan, Splits
from fastsnf.engines.triton.tile_table import padded
from fastsnf.spec import Identity


class End(NamedTuple):
    """Where the cotangent of the outputs comes from: the squared error, or d_out [M, C] as it is."""

    mse: edges.Mse | None = None
    d_out: Tensor | None = None


def cotangents(plan: FieldPlan, saved: Sequence[Tensor], *, in_place: bool) -> list[Tensor]:
    """Return for every saved layer a buffer [M, columns] for the cotangent of its pre-activations.

    With `in_place` a cotangent takes the memory of what its layer saved, where elements have one size: it is
    written by the last kernel that reads it. Otherwise two buffers alternate.
    """
    dtype = plan.cotangent_dtype
    if in_place and plan.in_place:
        return [tensor.view(dtype) for tensor in saved]
    buffers = [
        tensor.new_empty(max((t.numel() for t in saved[i::2]), default=0), dtype=dtype)
        for i, tensor in enumerate(saved[:2])
    ]
    return [buffers[i % 2][: tensor.numel()].view(tensor.shape) for i, tensor in enumerate(saved)]


def backward_rows(
    plan: FieldPlan,
    parameters: Sequence[Any],
    x: Tensor,
    saved: Sequence[Tensor],
    d: Sequence[Tensor],
    end: End,
    splits: Splits,
    gradients: Gradients | None,
    d_x: Tensor | None,
) -> None:
    """Add the parameters' gradients over rows x [M, D] and write that of x, each where it is wanted.

    Args:
        plan, parameters: of the field, from `fastsnf.engines.triton.field.prepare`.
        saved: the saved tensors of these rows; overwritten where `d` shares their memory.
        d: buffers from `cotangents`.
        end: what the pass starts from.
        splits: of the rows' sums.
        gradients: of the parameters; None where they are not wanted.
        d_x: [M, D], or None.
    """
    _output(plan, parameters[-1], saved[-1], d[-1], end, splits, gradients)
    for l in range(len(saved) - 1, 0, -1):
        if gradients is not None:
            gradients.add_weight(l, _weight_partials(plan, l, d[l], saved[l - 1], splits))
        _below(plan, l, parameters[l].packed, d[l], saved[l - 1], d[l - 1], splits, gradients)
    _coordinates(plan, parameters[0], x, d[0], splits, gradients, d_x)


def _output(
    plan: FieldPlan,
    last: Any,
    saved: Tensor,
    d: Tensor,
    end: End,
    splits: Splits,
    gradients: Gradients | None,
) -> None:
    """Write the cotangent of the highest saved layer and, of a reduced last layer, its gradients."""
    layer, top = plan.layers[-1], len(plan.saved) - 1
    count = -(-saved.shape[0] // splits.edge)
    db = saved.new_empty(count, d.shape[1], dtype=torch.float32)
    if plan.reduced:
        parts = 2 if layer.act_in.is_complex else 1
        partial = db.new_empty(count, layer.fan_out, parts * (layer.fan_in + 1))
        edges.last_step(
            saved,
            layer.act_in,
            last.weight,
            last.bias,
            layer.act_out,
            d,
            partial,
            db,
            splits.edge,
            plan.precision,
            format_in=layer.format_in,
            mse=end.mse,
            d_out=end.d_out,
        )
        if gradients is not None:
            gradients.add_edge(top + 1, partial, group=splits.edges)
    else:
        linear = layer.act_out == Identity()
        edges.cotangent(
            saved[:, : layer.fan_out] if linear else None,
            layer.act_out,
            None if linear else saved,
            d,
            db,
            splits.edge,
            plan.precision,
            format_last=layer.format_out,
            mse=end.mse,
            d_out=end.d_out,
        )
    if gradients is not None and _sums_come_from_above(plan, top):
        gradients.add_bias(top, db, group=splits.edges)


def _sums_come_from_above(plan: FieldPlan, l: int) -> bool:
    """Whether the kernel that writes layer l's cotangent also sums its bias gradient, before rounding.

    The first layer under others sums its own: it reads the cotangent anyway.
    """
    return plan.layers[l].kind != "first" or len(plan.layers) == 1


def _weight_partials(plan: FieldPlan, l: int, d: Tensor, s_in: Tensor, splits: Splits) -> Tensor:
    """Return the weight gradient of layer l over each split, from its cotangent and its input."""
    layer = plan.layers[l]
    count = -(-d.shape[0] // splits.product)
    rows, columns = padded(layer.fan_out), padded(layer.fan_in)
    shape = (count, rows, (2 if layer.kind == "complex" else 1) * columns)
    partial = d.new_empty(shape, dtype=torch.float32)
    if layer.kind == "complex":
        complex_layers.complex_dw(
            d, s_in, layer.act_in, partial, splits.product, plan.precision, first_below=layer.first_below
        )
    else:
        layers.linear_dw(
            d, s_in, layer.act_in, partial, splits.product, plan.precision, format_in=layer.format_in
        )
    return partial


def _below(
    plan: FieldPlan,
    l: int,
    packed: Any,
    d: Tensor,
    s_in: Tensor,
    d_in: Tensor,
    splits: Splits,
    gradients: Gradients | None,
) -> None:
    """Write the cotangent of layer l - 1 and add its bias gradient, which the first layer makes itself."""
    layer = plan.layers[l]
    wanted = gradients is not None and _sums_come_from_above(plan, l - 1)
    if layer.kind == "complex":
        blocks, size = complex_layers.complex_dx_blocks(d.shape[0], layer.act_in, packed, plan.precision)
    else:
        size = layers.linear_dx_rows(layer.act_in, plan.precision, columns=s_in.shape[1], depth=d.shape[1])
        blocks = -(-d.shape[0] // size)
    db = d.new_empty(blocks, d_in.shape[1], dtype=torch.float32) if wanted else None
    if layer.kind == "complex":
        complex_layers.complex_dx(
            d, packed, s_in, layer.act_in, d_in, db, plan.precision, first_below=layer.first_below
        )
    else:
        layers.linear_dx(d, packed, s_in, layer.act_in, d_in, db, plan.precision, format_in=layer.format_in)
    if gradients is not None and db is not None:
        gradients.add_bias(l - 1, db, group=splits.product // size)


def _coordinates(
    plan: FieldPlan,
    first: Any,
    x: Tensor,
    d: Tensor,
    splits: Splits,
    gradients: Gradients | None,
    d_x: Tensor | None,
) -> None:
    """Add the first layer's gradients and write the coordinates'."""
    layer = plan.layers[0]
    by_fma = layer.kind == "first"
    if gradients is not None and by_fma:
        count = -(-x.shape[0] // splits.edge)
        partial = x.new_empty(count, layer.fan_out, layer.fan_in + 1)
        edges.first_dw(x, d, partial, splits.edge)
        gradients.add_edge(0, partial, bias=not _sums_come_from_above(plan, 0), group=splits.edges)
    elif gradients is not None:
        gradients.add_weight(0, _weight_partials(plan, 0, d, x, splits))
    if d_x is None:
        return
    if by_fma:
        edges.first_dx(d, first.weight, d_x)
    else:
        layers.linear_dx(d, first.packed, None, Identity(), d_x, None, plan.precision, format_in="float32")
