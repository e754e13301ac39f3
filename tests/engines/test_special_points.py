"""NaN and infinity go through the engine as through eager PyTorch; no point, one point and hostile memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.engines import native
from fastsnf.spec import Activation, FieldSpec, Identity, ReLU, Sine, Tanh
from tests import cases
from tests.engines.problems import EVERY_SPEC, Problem, problem
from tests.engines.runs import EVERY_VARIANT, assert_same_bits, everything, judge_both

WIDE = pytest.mark.parametrize("width", [5, 64], ids=lambda F: f"F={F}")
"""Gradients as dot products and as outer products."""


def kind(tensor: Tensor) -> Tensor:
    """Return 0 where finite, 1 where infinite, 2 where NaN."""
    return tensor.detach().isinf().int() + 2 * tensor.detach().isnan().int()


def small_problem(act: Activation, width: int, points: int) -> Problem:
    return problem(FieldSpec.mlp(act, 1), [2, width, width, 3], points, gen=cases.generator(3))


def assert_kinds_as_eager(case: Problem, variant: str) -> None:
    """Assert that NaN and infinity stand where the reference in float32 has them, on `variant`.

    The amx variant cuts numbers into parts, of which an infinity makes NaN: there what is not finite in
    eager is not finite either, and what is NaN in eager is NaN.
    """
    with native.use_variant(variant):
        found = everything(case)
    out = reference.forward(case.x, case.weights, case.biases, case.spec)
    d_x, d_weights, d_biases = reference.vjp(case.x, case.weights, case.biases, case.spec, case.d_out)
    expected = {"scalars[0]": out, "scalars[1]": d_x}
    expected |= {f"d_weights[{i}]": t for i, t in enumerate(d_weights)}
    expected |= {f"d_biases[{i}]": t for i, t in enumerate(d_biases) if t is not None}
    kinds = {name: (kind(found[name]), kind(tensor)) for name, tensor in expected.items()}
    as_eager = {
        name: bool(((ours >= eager) | (ours == 2)).all()) if variant == "amx" else torch.equal(ours, eager)
        for name, (ours, eager) in kinds.items()
    }
    assert [name for name, same in as_eager.items() if not same] == []


@EVERY_VARIANT
@WIDE
@pytest.mark.parametrize("act", [*cases.ACTIVATIONS, Identity()], ids=cases.name)
def test_a_nan_coordinate(act: Activation, width: int, variant: str) -> None:
    case = small_problem(act, width, 37)
    case.x[20, 1] = math.nan
    assert_kinds_as_eager(case, variant)
    with native.use_variant(variant):
        found = everything(case)
    assert found["scalars[0]"].isnan().any(dim=1).nonzero().flatten().tolist() == [20]
    assert found["d_weights[0]"].isnan().any()


@EVERY_VARIANT
@WIDE
@pytest.mark.parametrize("place", [3, 36], ids=["inner", "last"])
@pytest.mark.parametrize("act", [Sine(30.0), ReLU(), Tanh(), Identity()], ids=cases.name)
def test_an_infinite_coordinate(act: Activation, place: int, width: int, variant: str) -> None:
    case = small_problem(act, width, 37)
    case.x[place, 0] = -math.inf
    assert_kinds_as_eager(case, variant)
    with native.use_variant(variant):
        out = native.forward(case.x, case.weights, case.biases, case.spec)
    others = torch.arange(37) != place
    assert out[others].isfinite().all()


@EVERY_VARIANT
@WIDE
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_parameter_that_is_not_finite(value: float, width: int, variant: str) -> None:
    for act in (Sine(30.0), ReLU()):
        for layer in range(3):
            weights_case, bias_case = small_problem(act, width, 37), small_problem(act, width, 37)
            weights_case.weights[layer][1, 0] = value
            bias_case.biases[layer][2] = value
            assert_kinds_as_eager(weights_case, variant)
            assert_kinds_as_eager(bias_case, variant)


@EVERY_VARIANT
@WIDE
def test_a_cotangent_that_is_not_finite(width: int, variant: str) -> None:
    for value in (math.nan, math.inf):
        case = small_problem(Sine(30.0), width, 37)
        case.d_out[36, 1] = value
        assert_kinds_as_eager(case, variant)


@EVERY_VARIANT
def test_a_nan_target_of_weight_one(variant: str) -> None:
    case = small_problem(Sine(30.0), 16, 37)
    with native.use_variant(variant):
        loss, d_weights, d_biases = native.mse_value_and_grad(
            case.x, case.target, case.weights, case.biases, case.spec
        )
    assert loss.isnan()
    assert all(grad.isnan().any() for grad in [*d_weights, *d_biases])


@EVERY_VARIANT
@EVERY_SPEC
def test_no_points(spec: FieldSpec, variant: str) -> None:
    case = problem(spec, [3, *[20] * (spec.layers - 1), 5], 0)
    with native.use_variant(variant):
        found = everything(case)
    assert found["scalars[0]"].shape == (0, 5)
    assert found["scalars[1]"].shape == (0, 3)
    assert found["mse scalars[0]"] == 0.0
    assert all(not grad.any() for name, grad in found.items() if "d_" in name)


@EVERY_SPEC
def test_one_point(spec: FieldSpec) -> None:
    widths = [3, *[20] * (spec.layers - 1), 5]
    judge_both(lambda seed: problem(spec, widths, 1, gen=cases.generator(seed)))


@EVERY_VARIANT
def test_a_point_alone_is_as_among_others(variant: str) -> None:
    """Neighbours in a vector or panel leave a point's value alone; only sums over the points know of them."""
    case = small_problem(Sine(30.0), 64, 1100)
    with native.use_variant(variant):
        out = native.forward(case.x, case.weights, case.biases, case.spec)
        for rows in (slice(100, 1000), slice(1, 300)):
            part = native.forward(case.x[rows], case.weights, case.biases, case.spec)
            assert torch.equal(part, out[rows])


def odd_problems(spec: FieldSpec) -> list[Problem]:
    """Return problems whose panels, blocks and tiles all have remainders."""
    return [
        problem(spec, [inputs, *[width] * (spec.layers - 1), outputs], points)
        for inputs, width, outputs, points in ((3, 37, 5, 427), (17, 3, 1, 33), (1, 1, 6, 1))
    ]


@EVERY_VARIANT
@EVERY_SPEC
@pytest.mark.usefixtures("nan_memory")
def test_every_entry_is_written(spec: FieldSpec, variant: str) -> None:
    with native.use_variant(variant):
        for case in odd_problems(spec):
            assert all(tensor.isfinite().all() for tensor in everything(case).values())


@EVERY_VARIANT
@EVERY_SPEC
def test_what_an_earlier_call_left_does_not_matter(spec: FieldSpec, variant: str) -> None:
    """The workspace is reused: once it is full of NaN, once of what an ordinary field leaves."""
    with native.use_variant(variant):
        for case in odd_problems(spec):
            poison(math.nan)
            after_nan = everything(case)
            poison(0.5)
            assert_same_bits(after_nan, everything(case))


def poison(value: float) -> None:
    """Fill the workspace with the activations of a constant input, wider than those of any field here."""
    case = problem(FieldSpec.mlp(ReLU(), 3), [17, *[90] * 4, 6], 500)
    case.x.fill_(value)
    case.target.fill_(value)
    for tensor in _present([*case.weights, *case.biases]):
        tensor.fill_(value)
    everything(case)


def _present(tensors: Sequence[Tensor | None]) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor is not None]
