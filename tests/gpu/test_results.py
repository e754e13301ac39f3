"""Outputs and gradients of every activation and precision at real sizes, against float64."""

from __future__ import annotations

import pytest

from fastsnf import ops
from fastsnf.spec import Sinc, Sine
from tests import cases
from tests.gpu import fields
from tests.gpu.calls import ROWS, WIDTHS
from tests.gpu.fields import PRECISIONS, drawn, width_of

pytestmark = pytest.mark.gpu
EVERY = [
    pytest.mark.parametrize("precision", PRECISIONS),
    pytest.mark.parametrize("act", [*cases.ACTIVATIONS, Sinc(30.0, amplitude=2.0)], ids=str),
]


def every(test):
    """Parametrize over every activation and precision."""
    for mark in EVERY:
        test = mark(test)
    return test


@every
def test_training_step(act, precision):
    fields.step_judged(precision, lambda: drawn(act, ROWS, width_of(act)))


@every
def test_output_and_gradients_by_autograd(act, precision):
    fields.field_judged(precision, lambda: drawn(act, ROWS, width_of(act)))


@every
def test_inference(act, precision):
    fields.values_judged(precision, lambda: drawn(act, 131_072 + 7, width_of(act)))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("width", WIDTHS)
def test_widths(width, precision):
    fields.step_judged(precision, lambda: drawn(Sine(30.0), 131_072, width))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", cases.SHAPES, ids=str)
def test_odd_shapes(shape, precision):
    sizes = {"inputs": shape.D, "outputs": shape.C, "depth": shape.L}
    fields.field_judged(precision, lambda: drawn(Sine(30.0), shape.N, shape.F, **sizes))


def test_16_bit_phases_in_tf32():
    from fastsnf.ops import use_phases

    with use_phases():
        fields.step_judged("tf32", lambda: drawn(Sine(30.0), ROWS, 256))


def test_sample_weights_leave_out_a_nan_target():
    fields.step_judged("fp32", lambda: drawn(Sine(30.0), ROWS, 64, weighted=True), weighted=True)


def test_zero_rows_and_nan_points():
    case = drawn(Sine(30.0), 300, 64)
    case.x[7] = float("nan")
    out = ops.field(case.x, case.weights, case.biases, spec=case.spec, engine="triton")
    assert out[7].isnan().all()
    assert out[:7].isfinite().all()
    assert out[8:].isfinite().all()
    empty = ops.field(case.x[:0], case.weights, case.biases, spec=case.spec, engine="triton")
    assert empty.shape == (0, 3)
