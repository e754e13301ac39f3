"""The gate itself: it passes eager in any order, and sees an error that eager does not make."""

from __future__ import annotations

import pytest
import torch

from fastsnf import reference
from fastsnf.spec import FieldSpec, Gabor, Sine
from tests import cases
from tests.judge import Order, Result, Run, field_run, judge, mse_run
from tests.tolerances import FLOAT64, assert_as_good_as_eager, assert_close, error, error_ratio_ok

ACTS = pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)


def problem(act, shape: cases.Shape, bias=True, dtype=torch.float32):
    """Return (spec, [x, d_out], weights, biases)."""
    gen = cases.generator(shape.N)
    spec = FieldSpec.mlp(act, shape.L)
    weights, biases = cases.random_field(spec, shape.widths, bias, dtype, gen)
    x = cases.random_points(shape.N, shape.D, dtype=dtype, gen=gen)
    return spec, [x, torch.randn(shape.N, shape.C, generator=gen, dtype=dtype)], weights, biases


@ACTS
@pytest.mark.parametrize("bias", [True, [False, True, False, True]], ids=["bias", "mixed"])
def test_an_order_changes_nothing_but_rounding(act, bias) -> None:
    spec, rows, weights, biases = problem(act, cases.Shape(9, 2, 6, 2, 3), bias, torch.float64)
    plain = field_run(spec)(rows, weights, biases)
    order = Order.random(9, weights, cases.generator(3))
    moved = field_run(spec)(*order.apply(rows, weights, biases))
    restored, d_weights, d_biases = order.inverse().apply(moved.rows, moved.weights, moved.biases)
    expected = [*plain.rows, *plain.weights, *(b for b in plain.biases if b is not None)]
    found = [*restored, *d_weights, *(b for b in d_biases if b is not None)]
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b, FLOAT64)


def reordered(run: Run) -> Run:
    """Return `run` in another order of points and units."""

    def other(rows, weights, biases):
        order = Order.random(len(rows[0]), weights, cases.generator(99))
        moved = run(*order.apply(rows, weights, biases))
        return Result(moved.scalars, *order.inverse().apply(moved.rows, moved.weights, moved.biases))

    return other


@ACTS
def test_eager_in_another_order_passes(act) -> None:
    for shape in cases.random_shapes(cases.count(60), cases.generator(8)):
        spec, rows, weights, biases = problem(act, shape)
        judge(reordered(field_run(spec)), field_run(spec), rows, weights, biases)


@ACTS
def test_a_wrong_gradient_fails(act) -> None:
    spec, rows, weights, biases = problem(act, cases.Shape(40, 2, 16, 1, 3))

    def wrong(rows, weights, biases):
        result = field_run(spec)(rows, weights, biases)
        result.weights[1][0, 0] += 1e-3 * result.weights[1].abs().max()
        return result

    with pytest.raises(AssertionError, match=r"d_weights\[1\] \(16, 16\): error"):
        judge(wrong, field_run(spec), rows, weights, biases)


def test_bfloat16_weights_fail() -> None:
    spec, rows, weights, biases = problem(Sine(30.0), cases.Shape(40, 2, 16, 1, 3))

    def coarse(x, w, b):
        return reference.forward(x, [t.bfloat16().float() for t in w], b, spec)

    with pytest.raises(AssertionError, match="allowed"):
        judge(field_run(spec, coarse), field_run(spec), rows, weights, biases)


def test_an_unwritten_entry_fails() -> None:
    spec, (x, d_out), weights, biases = problem(Sine(30.0), cases.Shape(40, 2, 16, 1, 3))

    def holey(rows, weights, biases):
        result = mse_run(spec)(rows, weights, biases)
        result.biases[0][3] = float("nan")
        return result

    rows = [x, d_out, torch.rand(40)]
    assert judge(mse_run(spec), mse_run(spec), rows, weights, biases) == pytest.approx([1.0] * 7)
    with pytest.raises(AssertionError, match=r"d_biases\[0\] \(16,\): error inf"):
        judge(holey, mse_run(spec), rows, weights, biases)


def test_the_plain_gate() -> None:
    exact = torch.ones(5, dtype=torch.float64)
    eager = torch.full((5,), 1.0 + 1e-5)
    assert error_ratio_ok(torch.full((5,), 1.0 - 1.9e-5), eager, exact)
    assert not error_ratio_ok(torch.full((5,), 1.0 + 2.2e-5), eager, exact)
    assert error_ratio_ok(torch.full((5,), 1.0 + 3e-7), torch.ones(5), exact)  # under the floor of a few ulps
    assert not error_ratio_ok(torch.full((5,), 1.0 + 1e-6), torch.ones(5), exact)
    assert error(torch.empty(0), torch.empty(0, dtype=torch.float64)) == 0.0
    with pytest.raises(AssertionError, match="expected shape"):
        assert_as_good_as_eager(torch.ones(4), eager, exact)
    with pytest.raises(AssertionError, match=r"out \(5,\): error inf"):
        assert_as_good_as_eager(torch.full((5,), float("nan")), eager, exact, "out")
