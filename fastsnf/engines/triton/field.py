"""A whole field on the GPU, layer by layer: forward, backward and the training step, in chunks of rows.

Tensors are checked by `fastsnf.ops`. Everything runs on the current device and stream; nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from fastsnf.engines.triton import complex_layers, edges, inference, layers
from fastsnf.engines.triton.backpropagation import End, backward_rows, cotangents
from fastsnf.engines.triton.gradients import Gradients
from fastsnf.engines.triton.grid import Grid
from fastsnf.engines.triton.launch import processors
from fastsnf.engines.triton.plan import DTYPES, FieldPlan, Splits, halved, inference_rows, plan_of, splits_of
from fastsnf.engines.triton.tile_table import padded
from fastsnf.spec import FieldSpec, Identity

Biases = Sequence[Tensor | None]
Result = TypeVar("Result")


class Parameters(NamedTuple):
    """A layer's parameters as its kernels take them.

    Attributes:
        weight, bias: contiguous; a complex one as ``torch.view_as_real`` has it.
        packed: operands of the matrix unit, None where the layer is an edge.
    """

    weight: Tensor
    bias: Tensor | None
    packed: Any


class Call(NamedTuple):
    """A field, ready to run."""

    plan: FieldPlan
    parameters: list[Parameters]


def prepare(
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    precision: str,
    saved_bytes: int | None = None,
) -> Call:
    """Return the plan of a field (of one that saved `saved_bytes` a row) and its parameters, packed."""
    shapes = tuple((weight.shape[0], weight.shape[1]) for weight in weights)
    plan = plan_of(spec, shapes, precision, saved_bytes)
    parameters = []
    for layer, weight, bias in zip(plan.layers, weights, biases, strict=True):
        sizes = {"rows_padded": padded(layer.fan_out), "cols_padded": padded(layer.fan_in)}
        packed: Any = None
        if layer.kind == "linear":
            packed = layers.pack(weight, bias, precision, **sizes)
            if layer.precision != precision:
                ahead = layers.pack(weight, bias, layer.precision, **sizes)
                packed = packed._replace(forward=ahead.forward)
        elif layer.kind == "complex":
            real = layer.act_out == Identity()
            packed = complex_layers.pack_complex(weight, bias, precision, real_output=real, **sizes)
        parameters.append(Parameters(_dense(weight), None if bias is None else _dense(bias), packed))
    return Call(plan, parameters)


def forward_rows(call: Call, x: Tensor, saved: Sequence[Tensor], out: Tensor | None) -> None:
    """Write what every layer saves for rows x [M, D] and, if wanted, the outputs [M, C]."""
    s_in = x
    for l, (layer, parameters) in enumerate(zip(call.plan.layers, call.parameters, strict=True)):
        final = l == len(call.plan.layers) - 1
        s_out = saved[l] if l < len(saved) else None
        values = out if final else None
        if layer.kind == "first":
            _first(call, x, s_out, values)
        elif layer.kind == "last":
            if values is not None:
                edges.last_fwd(
                    s_in,
                    layer.act_in,
                    parameters.weight,
                    parameters.bias,
                    values,
                    layer.act_out,
                    call.plan.precision,
                    format_in=layer.format_in,
                )
        elif layer.kind == "complex":
            complex_layers.complex_fwd(
                s_in,
                layer.act_in,
                parameters.packed,
                s_out,
                call.plan.precision,
                first_below=layer.first_below,
                out=values,
            )
        else:
            layers.linear_fwd(
                s_in,
                layer.act_in,
                parameters.packed,
                s_out,
                layer.act_out,
                layer.precision,
                format_in=layer.format_in,
                format_out=layer.format_out,
                out=values,
            )
        if s_out is not None:
            s_in = s_out


def _first(call: Call, x: Tensor, s_out: Tensor | None, values: Tensor | None) -> None:
    layer, (weight, bias, _) = call.plan.layers[0], call.parameters[0]
    if s_out is not None:
        edges.first_fwd(x, weight, bias, s_out, layer.act_out, format_out=layer.format_out)
    if values is not None:
        precision = call.plan.precision
        edges.first_fwd(
            x, weight, bias, values, layer.act_out, format_out="float32", precision=precision, final=True
        )


def forward(x: Tensor, weights: Sequence[Tensor], biases: Biases, spec: FieldSpec, precision: str) -> Tensor:
    """Return the output [N, C] at x [N, D]: in one kernel, or in chunks that fit the cache."""
    out = x.new_empty(x.shape[0], weights[-1].shape[0])
    if not inference.fits(spec, [tuple(weight.shape) for weight in weights], precision):
        inference.network_fwd(x, weights, biases, spec, out, precision)
        return out
    call = prepare(weights, biases, spec, precision)
    x = x.contiguous()
    rows = inference_rows(call.plan)
    saved = _two_buffers(call.plan, min(rows, x.shape[0]), x)
    for start in range(0, x.shape[0], rows):
        chunk = slice(start, min(start + rows, x.shape[0]))
        views = [view[: chunk.stop - chunk.start] for view in saved]
        forward_rows(call, x[chunk], views, out[chunk])
    return out


def forward_grid(
    grid: Grid,
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    precision: str,
    threshold: float | None,
) -> Tensor:
    """Return values [M, C] at the points of a grid, or bits uint8 [ceil(M / 8)] with `threshold`."""
    like = weights[0]
    size = grid.rows if threshold is None else -(-grid.rows // 8)
    shape = (size, weights[-1].shape[0]) if threshold is None else (size,)
    result = like.new_empty(shape, dtype=torch.float32 if threshold is None else torch.uint8)
    if not inference.fits(spec, [tuple(weight.shape) for weight in weights], precision):
        inference.network_fwd(grid, weights, biases, spec, result, precision, threshold=threshold)
        return result
    call = prepare(weights, biases, spec, precision)
    rows = inference_rows(call.plan)
    saved = _two_buffers(call.plan, min(rows, grid.rows), like)
    for start in range(grid.begin, grid.end, rows):
        part = replace(grid, begin=start, end=min(start + rows, grid.end))
        views = [view[: part.rows] for view in saved]
        points = like.new_empty(part.rows, grid.axes)
        inference.grid_points(part, points)
        first = start - grid.begin
        if threshold is None:
            forward_rows(call, points, views, result[first : first + part.rows])
        else:
            values = like.new_empty(part.rows, 1)
            forward_rows(call, points, views, values)
            inference.grid_bits(values, result[first // 8 : -(-(first + part.rows) // 8)], threshold)
    return result


def forward_keep(
    x: Tensor, weights: Sequence[Tensor], biases: Biases, spec: FieldSpec, precision: str
) -> tuple[Tensor, Tensor]:
    """Return the output [N, C] and what is saved for the backward pass, as bytes."""
    call = prepare(weights, biases, spec, precision)
    kept = x.new_empty(x.shape[0] * call.plan.saved_bytes, dtype=torch.uint8)
    out = x.new_empty(x.shape[0], weights[-1].shape[0])
    forward_rows(call, x.contiguous(), call.plan.saved_views(kept, x.shape[0]), out)
    return out, kept


def backward(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    d_out: Tensor,
    precision: str,
    *,
    need_x: bool,
    need_params: bool,
    kept: Tensor | None = None,
) -> tuple[Tensor | None, list[Tensor], list[Tensor | None]]:
    """Return the gradients of x, weights and biases; `kept` is from `forward_keep`, None recomputes it."""
    saved_bytes = None if kept is None else kept.numel() // max(1, x.shape[0])
    call = prepare(weights, biases, spec, precision, saved_bytes)
    x, d_out = x.contiguous(), d_out.contiguous()

    def run(splits: Splits) -> tuple[Tensor | None, Gradients]:
        gradients = Gradients(weights, biases)
        d_x = torch.empty_like(x) if need_x else None
        for chunk in _chunks(x.shape[0], splits):
            saved = _saved(call, x, chunk, kept)
            end = End(d_out=d_out[chunk])
            part = None if d_x is None else d_x[chunk]
            buffers = cotangents(call.plan, saved, in_place=kept is None)
            wanted = gradients if need_params else None
            gradients.next_chunk()
            backward_rows(call.plan, call.parameters, x[chunk], saved, buffers, end, splits, wanted, part)
        gradients.finish()
        return d_x, gradients

    d_x, gradients = _within_memory(call.plan, x.shape[0], run, kept=kept is not None)
    return d_x, *((gradients.d_weights, gradients.d_biases) if need_params else ([], []))


def mse_value_and_grad(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    sample_weight: Tensor | None,
    precision: str,
) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Return the weighted MSE (0-d, on the device) and the gradients of weights and biases."""
    call, x, target = prepare(weights, biases, spec, precision), x.contiguous(), target.contiguous()
    sample_weight = None if sample_weight is None else sample_weight.contiguous()
    norm = _norm(x, target.shape[1], sample_weight)
    scale = 2.0 / norm

    def run(splits: Splits) -> tuple[Tensor, Gradients]:
        gradients, loss = Gradients(weights, biases), torch.zeros_like(norm)
        for chunk in _chunks(x.shape[0], splits):
            saved = _saved(call, x, chunk, None)
            weight = None if sample_weight is None else sample_weight[chunk]
            losses = x.new_empty(-(-(chunk.stop - chunk.start) // splits.edge))
            end = End(mse=edges.Mse(target[chunk], weight, scale, losses))
            buffers = cotangents(call.plan, saved, in_place=True)
            gradients.next_chunk()
            backward_rows(call.plan, call.parameters, x[chunk], saved, buffers, end, splits, gradients, None)
            layers.sum_partials(losses.unsqueeze(1), loss.view(1), accumulate=True, group=splits.edges)
        gradients.finish()
        return loss / norm, gradients

    loss, gradients = _within_memory(call.plan, x.shape[0], run)
    return loss, gradients.d_weights, gradients.d_biases


def _norm(x: Tensor, outputs: int, sample_weight: Tensor | None) -> Tensor:
    """Return C times the sum of all weights, 0-d; C where that is 0, so that the loss is 0."""
    if sample_weight is None:
        return torch.full((), float(outputs * max(1, x.shape[0])), device=x.device)
    total = sample_weight.sum()
    return outputs * torch.where(total == 0, 1.0, total)


def _saved(call: Call, x: Tensor, chunk: slice, kept: Tensor | None) -> list[Tensor]:
    """Return the saved tensors of a chunk: those that were kept, or computed now."""
    if kept is not None:
        return [view[chunk] for view in call.plan.saved_views(kept, x.shape[0])]
    rows = chunk.stop - chunk.start
    buffer = x.new_empty(rows * call.plan.saved_bytes, dtype=torch.uint8)
    saved = call.plan.saved_views(buffer, rows)
    forward_rows(call, x[chunk], saved, None)
    return saved


def _two_buffers(plan: FieldPlan, rows: int, like: Tensor) -> list[Tensor]:
    """Return for every layer but the last a tensor of `rows` rows; every other one shares its memory."""
    hidden = plan.layers[:-1]
    sizes = [rows * layer.columns_out * DTYPES[layer.format_out].itemsize for layer in hidden]
    buffers = [like.new_empty(max(sizes[i::2], default=0), dtype=torch.uint8) for i in range(2)]
    return [
        buffers[i % 2][:size].view(DTYPES[layer.format_out]).view(rows, layer.columns_out)
        for i, (size, layer) in enumerate(zip(sizes, hidden, strict=True))
    ]


def _chunks(rows: int, splits: Splits) -> list[slice]:
    return [slice(start, min(start + splits.chunk, rows)) for start in range(0, rows, splits.chunk)]


def _within_memory(
    plan: FieldPlan, rows: int, run: Callable[[Splits], Result], *, kept: bool = False
) -> Result:
    """Return ``run(splits)``, with chunks of half the rows as often as memory is too small."""
    key = (plan, rows, kept)
    splits = _fitting.get(key) or splits_of(plan, rows, processors(), kept=kept)
    while True:
        try:
            return run(splits)
        except torch.OutOfMemoryError:
            smaller = halved(splits)
            if smaller is None:
                raise
            splits = _fitting[key] = smaller


_fitting: dict[tuple[FieldPlan, int, bool], Splits] = {}
"""Chunks that had to be halved, so that the next step does not run into the same limit."""


def _dense(tensor: Tensor) -> Tensor:
    return (
        torch.view_as_real(tensor.resolve_conj()).contiguous() if tensor.is_complex() else tensor.contiguous()
    )
