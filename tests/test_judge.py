"""The gate itself: it passes eager in another order, and sees an error that eager does not make."""

from __future__ import annotations

import pytest
import torch

from fastsnf import reference
from fastsnf.spec import FieldSpec, Gabor, Sine
from tests import cases
from tests.judge import field_run, judge, mse_run
from tests.tolerances import assert_as_good_as_eager, error, error_ratio_ok

ACTS = pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)


def problem(act, shape: cases.Shape, bias=True, dtype=torch.float32):
    """Return (spec, [x, d_out], weights, biases)."""
    gen = cases.generator(shape.N)
    spec = FieldSpec.mlp(act, shape.L)
    weights, biases = cases.random_field(spec, shape.widths, bias, dtype, gen)
    x = cases.random_points(shape.N, shape.D, dtype=dtype, gen=gen)
    return spec, [x, torch.randn(shape.N, shape.C, generator=gen, dtype=dtype)], weights, biases


@ACTS
def test_eager_of_reordered_units_passes(act) -> None:
    """Adding in another order is no better and no worse."""
    for shape in cases.random_shapes(cases.count(60), cases.generator(8)):
        spec, rows, weights, biases = problem(act, shape)
        order = torch.randperm(shape.F, generator=cases.generator(9))

        def reordered(x, w, b, spec=spec, order=order):
            w, b = [w[0][order], w[1][:, order], *w[2:]], [b[0][order], *b[1:]]
            return reference.forward(x, w, b, spec)

        judge(field_run(spec, reordered), field_run(spec), rows, weights, biases)


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
