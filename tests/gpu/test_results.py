"""Outputs and gradients of every activation and precision at real sizes, against float64."""

from __future__ import annotations

import pytest
import torch

from fastsnf import ops, reference
from fastsnf.spec import Sine
from tests import cases
from tests.gpu import fields
from tests.gpu.fields import PRECISIONS, Problem

pytestmark = pytest.mark.gpu
ROWS = 20_011


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)
def test_training_step(act, precision):
    problem = Problem(act, ROWS, 181 if act.is_complex else 256)
    fields.poison()
    found = fields.step(problem, precision)
    fields.assert_close(problem, precision, found, lambda params: fields.step_reference(problem, params))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)
def test_output_and_gradients_by_autograd(act, precision):
    problem = Problem(act, ROWS, 181 if act.is_complex else 256)
    d_out = torch.randn(ROWS, 3, device="cuda")
    fields.poison()
    found = fields.by_autograd(problem, precision, d_out)
    fields.assert_close(problem, precision, found, lambda params: fields.by_reference(problem, params, d_out))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)
def test_inference(act, precision):
    problem = Problem(act, 131_072 + 7, 181 if act.is_complex else 256)
    fields.poison()
    with torch.inference_mode():
        out = ops.field(
            problem.x,
            problem.weights,
            problem.biases,
            spec=problem.spec,
            engine="triton",
            precision=precision,
        )

    def evaluate(params):
        return {"out": reference.forward(problem.x.to(params[0][0].dtype), *params, problem.spec)}

    with torch.no_grad():
        fields.assert_close(problem, precision, {"out": out}, evaluate)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("width", [64, 100, 128, 512])
def test_widths(width, precision):
    problem = Problem(Sine(30.0), 131_072, width)
    fields.poison()
    found = fields.step(problem, precision)
    fields.assert_close(problem, precision, found, lambda params: fields.step_reference(problem, params))


@pytest.mark.parametrize("shape", cases.SHAPES, ids=str)
def test_odd_shapes(shape):
    problem = Problem(Sine(30.0), shape.N, shape.F, outputs=shape.C, depth=shape.L)
    d_out = torch.randn(shape.N, shape.C, device="cuda")
    fields.poison()
    found = fields.by_autograd(problem, "fp32", d_out)
    exact = fields.by_reference(problem, problem.exact(), d_out)
    for name, truth in exact.items():
        assert fields.relative_error(found[name], truth) <= 2e-5, name


def test_16_bit_phases_in_tf32():
    from fastsnf.engines.triton.plan import use_phases

    problem = Problem(Sine(30.0), ROWS, 256)
    with use_phases():
        found = fields.step(problem, "tf32")
    fields.assert_close(problem, "tf32", found, lambda params: fields.step_reference(problem, params))


def test_sample_weights_leave_out_a_nan_target():
    problem = Problem(Sine(30.0), ROWS, 64)
    weight = (torch.rand(ROWS, device="cuda") > 0.3).float()
    problem.y[weight == 0] = float("nan")
    found = fields.step(problem, "fp32", sample_weight=weight)
    kept = weight > 0
    problem.x, problem.y = problem.x[kept], problem.y[kept]
    exact = fields.step_reference(problem, problem.exact())
    assert all(fields.relative_error(found[name], exact[name]) <= 1e-5 for name in exact)


def test_zero_rows_and_nan_points():
    problem = Problem(Sine(30.0), 300, 64)
    problem.x[7] = float("nan")
    out = ops.field(problem.x, problem.weights, problem.biases, spec=problem.spec, engine="triton")
    assert out[7].isnan().all()
    assert out[:7].isfinite().all()
    assert out[8:].isfinite().all()
    empty = ops.field(problem.x[:0], problem.weights, problem.biases, spec=problem.spec, engine="triton")
    assert empty.shape == (0, 3)
