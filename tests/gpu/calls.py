"""What the GPU tests ask of the engine, as calls on meta tensors: their kernels are compiled ahead."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fastsnf.engines.triton import field
from fastsnf.spec import FieldSpec, Gabor, Gaussian, ReLU, Sine
from tests import cases
from tests.cases import Shape
from tests.engines.triton import calls as passes
from tests.engines.triton.compile_worker import Call
from tests.gpu.fields import PRECISIONS, width_of

ROWS = 20_011
WIDTHS = (64, 100, 128, 512)
GRID_WIDTHS = (64, 128, 256, 512)
FITS = (Shape(ROWS, 2, 64, 2, 1), Shape(ROWS, 2, 16, 1, 1))
"""The fields of the tests of `fit` and torch.compile."""

BITS = (Sine(30.0), Gabor(20.0, 10.0))

ADJUSTED = Shape(1_330, 2, 16, 1, 3)
ADJUSTED_ACTIVATIONS = (Sine(6.0), Gabor(4.0, 2.0), ReLU(), Gaussian(10.0))
"""The fields of the tests of adjusted steps: forward, then backward from what it kept."""


def calls() -> Iterator[Call]:
    """Yield (name, call): the widest fields first, whose kernels take longest to compile."""
    for precision in PRECISIONS:
        for act in cases.ACTIVATIONS:
            yield from _passes(FieldSpec.mlp(act, 3), Shape(ROWS, 2, width_of(act), 3, 3), precision)
    yield passes.with_phases(("step", partial(passes.step, _sine(3), Shape(ROWS, 2, 256, 3, 3), "tf32")))
    for precision in PRECISIONS:
        for width in WIDTHS:
            yield from _passes(_sine(3), Shape(ROWS, 2, width, 3, 3), precision)
        for act in BITS:
            yield from _passes(FieldSpec.mlp(act, 3), Shape(ROWS, 2, 128, 3, 3), precision)
        yield from _grids(precision)
        for shape in (*cases.SHAPES, *FITS):
            yield from _passes(_sine(shape.L), shape, precision)
    for act in ADJUSTED_ACTIVATIONS:
        yield f"adjusted {act.name}", partial(backward, FieldSpec.mlp(act, 1), ADJUSTED, "fp32")
    yield "sample weights", partial(passes.step, _sine(3), Shape(ROWS, 2, 64, 3, 3), "fp32", weighted=True)


def backward(spec: FieldSpec, shape: Shape, precision: str) -> None:
    """Launch a forward that keeps its pre-activations, and the backward from them to all that there is."""
    weights, biases = passes.parameters(spec, shape)
    x, d_out = passes.matrix(shape.N, shape.D), passes.matrix(shape.N, shape.C)
    _, kept = field.forward_keep(x, weights, biases, spec, precision)
    field.backward(x, weights, biases, spec, d_out, precision, need_x=True, need_params=True, kept=kept)


def _passes(spec: FieldSpec, shape: Shape, precision: str) -> Iterator[Call]:
    for run in (passes.step, backward, passes.forward):
        yield f"{run.__name__} {shape} {precision}", partial(run, spec, shape, precision)


def _grids(precision: str) -> Iterator[Call]:
    for width in GRID_WIDTHS:
        scalar = Shape(ROWS, 3, width, 3, 1)
        yield f"points {precision} {width}", partial(passes.forward, _sine(3), scalar, precision)
        for threshold in (None, 0.5):
            call = partial(passes.grid, _sine(3), scalar, precision, threshold)
            yield f"grid {precision} {width} {threshold}", call


def _sine(depth: int) -> FieldSpec:
    return FieldSpec.mlp(Sine(30.0), depth)
