"""Calls of the engine on meta tensors: those whose kernels the compile test builds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from fastsnf.engines.triton import field
from fastsnf.engines.triton.grid import Grid
from fastsnf.engines.triton.parameters import PRECISIONS
from fastsnf.engines.triton.plan import use_phases
from fastsnf.spec import Activation, FieldSpec, Gabor, Sine
from tests.cases import ACTIVATIONS, Shape
from tests.engines.triton.compile_worker import Call

ROWS = 131_072
ODD_ROWS = 99_991

WIDTHS = (32, 64, 128, 181, 256, 512, 1024, 2048, 4096)
"""One of every class that tiles tell apart, and one that no tile divides."""


def parameters(
    spec: FieldSpec, shape: Shape, *, bias: bool = True, device: str = "meta"
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Return weights and biases without memory."""
    weights, biases = [], []
    for layer, (fan_in, fan_out) in enumerate(zip(shape.widths[:-1], shape.widths[1:], strict=True)):
        dtype = torch.complex64 if spec.complex_weights(layer) else torch.float32
        weights.append(torch.empty(fan_out, fan_in, dtype=dtype, device=device))
        biases.append(torch.empty(fan_out, dtype=dtype, device=device) if bias else None)
    return weights, biases


def matrix(rows: int, columns: int) -> Tensor:
    """Return [rows, columns] without memory, aligned."""
    return torch.empty(rows, columns, device="meta")


def step(spec: FieldSpec, shape: Shape, precision: str, *, bias: bool = True, weighted: bool = False) -> None:
    """Launch a training step."""
    weights, biases = parameters(spec, shape, bias=bias)
    sample_weight = torch.empty(shape.N, device="meta") if weighted else None
    x, target = matrix(shape.N, shape.D), matrix(shape.N, shape.C)
    field.mse_value_and_grad(x, target, weights, biases, spec, sample_weight, precision)


def backward(spec: FieldSpec, shape: Shape, precision: str) -> None:
    """Launch a forward that keeps its pre-activations and the backward from them, to x and to parameters."""
    weights, biases = parameters(spec, shape)
    x, d_out = matrix(shape.N, shape.D), matrix(shape.N, shape.C)
    _, kept = field.forward_keep(x, weights, biases, spec, precision)
    for need_x, need_params in ((True, True), (False, True), (True, False)):
        field.backward(
            x, weights, biases, spec, d_out, precision, need_x=need_x, need_params=need_params, kept=kept
        )


def forward(spec: FieldSpec, shape: Shape, precision: str) -> None:
    """Launch inference, network-fused where that fits."""
    field.forward(matrix(shape.N, shape.D), *parameters(spec, shape), spec, precision)


def layered(spec: FieldSpec, shape: Shape, precision: str) -> None:
    """Launch a forward layer by layer, as any field takes it that does not fit one kernel."""
    field.forward_keep(matrix(shape.N, shape.D), *parameters(spec, shape), spec, precision)


def grid(spec: FieldSpec, shape: Shape, precision: str, threshold: float | None) -> None:
    """Launch inference at the points of a grid with shape.D axes."""
    axes = {1: (shape.N,), 2: (512, 256), 3: (64, 64, 32)}[shape.D]
    points = Grid(axes, (-1.0,) * shape.D, (1.0,) * shape.D, 0, math.prod(axes))
    field.forward_grid(points, *parameters(spec, shape), spec, precision, threshold)


def unaligned(spec: FieldSpec, shape: Shape, precision: str) -> None:
    """Launch both passes on views that start one element into their memory."""
    weights, biases = parameters(spec, shape)
    x = torch.empty(shape.N * shape.D + 1, device="meta")[1:].view(shape.N, shape.D)
    target = torch.empty(shape.N * shape.C + 1, device="meta")[1:].view(shape.N, shape.C)
    field.forward(x, weights, biases, spec, precision)
    field.mse_value_and_grad(x, target, weights, biases, spec, None, precision)


def with_phases(call: Call) -> Call:
    """Return a call with 16-bit phases in tf32."""
    name, run = call

    def phases() -> None:
        with use_phases():
            run()

    return f"{name} phases", phases


def of(
    act: Activation, precision: str, width: int, rows: int = ROWS, *, channels: int = 3, inputs: int = 2
) -> Iterator[Call]:
    """Yield every pass of the usual field: 3 hidden layers after the first."""
    spec, shape = FieldSpec.mlp(act, 3), Shape(rows, inputs, width, 3, channels)
    for run in (step, backward, forward):
        call = (f"{run.__name__} {act.name} {precision} {width}", partial(run, spec, shape, precision))
        yield call
        if act.name == "sine" and precision == "tf32" and run is not forward:
            yield with_phases(call)


def edges(act: Activation, precision: str, shapes: Sequence[tuple[int, int, int, int]]) -> Iterator[Call]:
    """Yield both passes of fields (D, F, L, C) at which other kernels run."""
    for inputs, width, depth, channels in shapes:
        spec, shape = FieldSpec.mlp(act, depth), Shape(ROWS, inputs, width, depth, channels)
        name = f"{act.name} {precision} {inputs}-{depth}x{width}-{channels}"
        for run in (step, backward, forward):
            yield f"{run.__name__} {name}", partial(run, spec, shape, precision)


def special(precision: str) -> Iterator[Call]:
    """Yield what not every field has: no bias, weights, an activated output, grids, rows of odd places."""
    shape, sine = Shape(ROWS, 2, 256, 3, 3), FieldSpec.mlp(Sine(30.0), 3)
    yield f"no bias {precision}", partial(step, sine, shape, precision, bias=False)
    yield f"sample weights {precision}", partial(step, sine, shape, precision, weighted=True)
    yield f"odd rows {precision}", partial(step, sine, shape._replace(N=ODD_ROWS), precision)
    yield f"one row {precision}", partial(step, sine, shape._replace(N=1), precision)
    yield f"unaligned {precision}", partial(unaligned, sine, shape, precision)
    activated = FieldSpec.mlp(Sine(30.0), 3, last=Sine(30.0))
    yield f"activated output {precision}", partial(step, activated, shape, precision)
    yield f"activated product {precision}", partial(step, activated, shape._replace(C=12), precision)
    for axes in (1, 2, 3):
        for width in (64, 1024):
            scalar = Shape(ROWS, axes, width, 2, 1)
            for threshold in (None, 0.5):
                name = f"grid {axes} {width} {threshold} {precision}"
                yield name, partial(grid, FieldSpec.mlp(Sine(30.0), 2), scalar, precision, threshold)


SHAPES = ((1, 256, 3, 1), (3, 256, 3, 1), (3, 64, 0, 4), (8, 256, 1, 8), (12, 256, 1, 12), (40, 100, 0, 64))
SHAPES += ((2, 200, 1, 200),)
"""(D, F, L, C): one to eight inputs and outputs, and more, which are matrix products; a width that no tile
divides."""


def full() -> Iterator[Call]:
    """Yield everything."""
    for precision in PRECISIONS:
        for act in ACTIVATIONS:
            for width in WIDTHS:
                yield from of(act, precision, width)
            yield from edges(act, precision, SHAPES)
        yield from special(precision)


def quick() -> Iterator[Call]:
    """Yield the sine's field at 256 in every precision, a small Gabor field, every other kernel once."""
    sine, usual = FieldSpec.mlp(Sine(30.0), 3), Shape(ROWS, 2, 256, 3, 3)
    small = usual._replace(F=128)
    for precision in PRECISIONS:
        yield f"step sine {precision} 256", partial(step, sine, usual, precision)
        yield f"backward sine {precision} 256", partial(backward, sine, usual, precision)
    yield with_phases(("step sine tf32 256", partial(step, sine, usual, "tf32")))
    yield "step sine fast 200", partial(step, sine, usual._replace(F=200, C=200), "fast")
    yield "step gabor fast 128", partial(step, FieldSpec.mlp(Gabor(20.0, 10.0), 3), small, "fast")
    yield "forward sine fast 128", partial(forward, sine, small, "fast")
    yield "step sine tf32 wide", partial(step, sine, usual._replace(D=12, C=12), "tf32")
    for width in (64, 512):  # network-fused, and layer by layer
        yield f"grid {width}", partial(grid, sine, usual._replace(F=width, C=1), "fast", 0.5)


def spelt(widths: Sequence[int] = (*range(32, 2049, 32), 4096)) -> Iterator[Call]:
    """Yield every activation, precision and width: what needs a configuration, too much to compile."""
    for precision in PRECISIONS:
        for act in ACTIVATIONS:
            for width in widths:
                spec, shape = FieldSpec.mlp(act, 1), Shape(ROWS, 2, width, 1, 3)
                name = f"{act.name} {precision} {width}"
                yield f"step {name}", partial(step, spec, shape, precision)
                yield f"forward {name}", partial(forward, spec, shape, precision)
                yield f"wide {name}", partial(step, spec, shape._replace(D=12, C=12), precision)


def some_spelt() -> Iterator[Call]:
    """Yield the same at some widths."""
    yield from spelt((32, 64, 96, 160, 256, 512, 1024, 4096))
