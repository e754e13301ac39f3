"""`mse_value_and_grad`: its value and gradients, what it leaves out and what it does not record."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf import ops, reference
from fastsnf.spec import FieldSpec, Gabor, Sine
from tests import cases
from tests.engines.problems import SPECS, Problem, problem
from tests.ops.engines import EVERY_ENGINE, every_engine_with
from tests.tolerances import FLOAT32, assert_close

TOLERANCE = 100 * FLOAT32
"""Two float32 gradients of a steep field against each other; the engines' own tests have the sharp gate."""


def case_of(spec: FieldSpec | None = None, points: int = 24) -> Problem:
    spec = spec or FieldSpec.mlp(Sine(30.0), 1)
    return problem(spec, [2, *[9] * (spec.layers - 1), 3], points)


def step(case: Problem, engine: str = "auto", **changed: Tensor | None) -> ops.MseResult:
    given = {"target": case.target, "sample_weight": case.sample_weight} | changed
    return ops.mse_value_and_grad(
        case.x, weights=case.weights, biases=case.biases, spec=case.spec, engine=engine, **given
    )


def flat(result: ops.MseResult) -> list[Tensor]:
    return [result.loss, *result.d_weights, *[d for d in result.d_biases if d is not None]]


@every_engine_with("spec", SPECS, interpreted=("sine", "gabor", "mixed"))
def test_it_is_autograd_of_the_weighted_error(spec: FieldSpec, engine: str) -> None:
    case = case_of(spec)
    w, b = cases.leaves(case.weights), cases.leaves(case.biases)
    kept = case.sample_weight > 0
    out = reference.forward(case.x[kept], w, b, spec)
    weight = case.sample_weight[kept, None]
    loss = (weight * (out - case.target[kept]).square()).sum() / (3 * weight.sum())
    expected = [loss, *torch.autograd.grad(loss, [*w, *b])]
    for found, wanted in zip(flat(step(case, engine)), expected, strict=True):
        assert_close(found, wanted, TOLERANCE)


@EVERY_ENGINE
def test_the_result(engine: str) -> None:
    case = case_of(FieldSpec.mlp(Gabor(20.0, 10.0), 1))._replace(
        biases=[None, torch.zeros(9, dtype=torch.complex64), None]
    )
    result = step(case, engine)
    assert isinstance(result, tuple)
    assert (result.loss.shape, result.loss.dtype, result.loss.device.type) == ((), torch.float32, "cpu")
    assert [d.shape for d in result.d_weights] == [w.shape for w in case.weights]
    assert [d.dtype for d in result.d_weights] == [torch.float32, torch.complex64, torch.complex64]
    assert [d is None for d in result.d_biases] == [True, False, True]


@EVERY_ENGINE
def test_nothing_is_recorded(engine: str) -> None:
    case = case_of()
    for tensor in (case.x, case.sample_weight, *case.weights, *case.biases):
        tensor.requires_grad_()
    result = step(case, engine)
    assert not any(tensor.requires_grad or tensor.grad_fn is not None for tensor in flat(result))
    assert all(tensor.grad is None for tensor in (case.x, *case.weights, *case.biases))
    assert torch.is_grad_enabled()


@EVERY_ENGINE
def test_leading_dimensions_and_strides(engine: str) -> None:
    case = case_of()
    folded = step(
        case._replace(x=case.x.view(2, 3, 4, 2)),
        engine,
        target=case.target.view(2, 3, 4, 3),
        sample_weight=case.sample_weight.view(2, 3, 4),
    )
    strided = step(
        case._replace(x=cases.transposed(case.x), weights=[cases.strided(w) for w in case.weights]),
        engine,
        target=cases.strided(case.target),
        sample_weight=cases.strided(case.sample_weight),
    )
    for a, b, c in zip(flat(folded), flat(strided), flat(step(case, engine)), strict=True):
        assert_close(a, c, TOLERANCE)
        assert_close(b, c, TOLERANCE)


@EVERY_ENGINE
def test_a_single_point_without_leading_dimensions(engine: str) -> None:
    case = case_of(points=1)
    one = step(case._replace(x=case.x[0]), engine, target=case.target[0], sample_weight=case.sample_weight[0])
    for found, expected in zip(flat(one), flat(step(case, engine)), strict=True):
        assert_close(found, expected, TOLERANCE)


@EVERY_ENGINE
@pytest.mark.parametrize("points", [0, 24])
def test_no_weight_at_all(points: int, engine: str) -> None:
    case = case_of(points=points)
    nothing = torch.full_like(case.target, torch.nan)
    result = step(case, engine, target=nothing, sample_weight=torch.zeros(points))
    assert result.loss == 0.0
    assert all(not tensor.any() for tensor in flat(result))


@EVERY_ENGINE
@pytest.mark.parametrize("factor", [4.0, 2.0**-60, 2.0**60])
def test_weights_are_relative(factor: float, engine: str) -> None:
    case = case_of()
    scaled = step(case, engine, sample_weight=factor * case.sample_weight)
    for found, expected in zip(flat(scaled), flat(step(case, engine)), strict=True):
        assert_close(found, expected, FLOAT32)


@EVERY_ENGINE
def test_a_weight_of_two_is_a_point_twice(engine: str) -> None:
    case = case_of(points=12)
    target = case.target.nan_to_num(0.3)
    weight = torch.ones(12)
    weight[5] = 2.0
    twice = step(
        case._replace(x=torch.cat([case.x, case.x[5:6]])),
        engine,
        target=torch.cat([target, target[5:6]]),
        sample_weight=None,
    )
    weighted = step(case, engine, target=target, sample_weight=weight)
    for found, expected in zip(flat(weighted), flat(twice), strict=True):
        assert_close(found, expected, TOLERANCE)


def test_float64_takes_the_reference() -> None:
    case = problem(FieldSpec.mlp(Sine(30.0), 1), [2, 9, 9, 3], 24, dtype=torch.float64)
    found = flat(step(case))
    expected = reference.mse_value_and_grad(
        case.x, case.target, case.weights, case.biases, case.spec, case.sample_weight
    )
    assert found[0].dtype == torch.float64
    assert torch.equal(found[0], expected[0])
    assert all(map(torch.equal, found[1:4], expected[1]))


@EVERY_ENGINE
def test_inside_inference_mode(engine: str) -> None:
    case = case_of()
    expected = flat(step(case, engine))
    with torch.inference_mode():
        found = flat(step(case, engine))
    assert all(map(torch.equal, found, expected))
