"""Outputs and gradients of every variant and activation against float64: at most twice eager's own error."""

from __future__ import annotations

import pytest
import torch

from fastsnf.engines import native
from fastsnf.spec import Activation, FieldSpec, Gabor, Identity, Sine
from tests import cases
from tests.engines.problems import EVERY_SPEC, Problem, problem
from tests.engines.runs import (
    EVERY_VARIANT,
    assert_same_bits,
    everything,
    judge_both,
    judge_field,
    native_field,
)

BIAS = pytest.mark.parametrize(
    "bias", [True, False, [False, True, False, True]], ids=["bias", "none", "mixed"]
)


@EVERY_SPEC
def test_every_activation(spec: FieldSpec) -> None:
    widths = [3, *[20] * (spec.layers - 1), 5]
    judge_both(lambda seed: problem(spec, widths, 100, gen=cases.generator(seed)))


@BIAS
@pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)
def test_bias_is_a_choice_of_each_layer(act: Activation, bias: bool | list[bool]) -> None:
    spec, widths = FieldSpec.mlp(act, 2), [2, 17, 9, 33, 3]
    judge_both(lambda seed: problem(spec, widths, 70, bias=bias, gen=cases.generator(seed)))


def drawn_problem(number: int, seed: int = 0) -> Problem:
    """Return problem `number` of an endless list: every activation in turn, sizes uniform in their logarithm.

    The shape is that of `number`, the values are of `seed` too.
    """
    gen = cases.generator(1000 + number)

    def draw(low: int, high: int) -> int:
        return min(high, int(low * ((high + 1) / low) ** float(torch.rand((), generator=gen))))

    acts = [*cases.ACTIVATIONS, Identity()]
    act = acts[number % len(acts)]
    last = act if not act.is_complex and draw(1, 4) == 1 else Identity()
    first = Sine(float(draw(1, 60))) if not act.is_complex and draw(1, 4) == 1 else act
    layers = draw(1, 9)
    hidden = (first, *[act] * (layers - 2)) if layers > 1 else ()
    spec = FieldSpec((*hidden, last))
    widths = [draw(1, 512), *[draw(1, 513) for _ in hidden], draw(1, 64)]
    edge = 2 ** draw(1, 9) + (-1, 0, 1)[number % 3]
    bias = [draw(1, 2) == 1 for _ in range(layers)]
    return problem(spec, widths, max(1, edge), bias=bias, gen=cases.generator(10_000 * seed + number))


@pytest.mark.parametrize("number", range(cases.count(300)))
def test_drawn_shapes(number: int) -> None:
    judge_both(lambda seed: drawn_problem(number, seed))


def test_drawn_shapes_reach_the_corners() -> None:
    drawn = [drawn_problem(number) for number in range(300)]
    widths = [w.shape for case in drawn for w in case.weights]
    assert {len(case.weights) for case in drawn} == set(range(1, 10))
    assert max(max(shape) for shape in widths) > 450
    assert min(min(shape) for shape in widths) == 1
    assert {case.x.shape[0] % 2 for case in drawn} == {0, 1}
    assert any(1 in case.x.shape[:1] for case in drawn)
    assert {type(case.spec.activations[-1]) for case in drawn} >= {Identity, Sine}


@pytest.mark.parametrize(
    ("act", "widths"),
    [
        (Sine(30.0), [2, 1024, 1024, 1]),
        (Sine(30.0), [700, 900, 64]),
        (Gabor(20.0, 10.0), [2, 512, 512, 1]),
        (Gabor(20.0, 10.0), [700, 500, 64]),
    ],
    ids=str,
)
def test_wide_layers(act: Activation, widths: list[int]) -> None:
    spec = FieldSpec.mlp(act, len(widths) - 3)
    judge_both(lambda seed: problem(spec, widths, 150, gen=cases.generator(seed)))


def test_few_rows_and_few_columns_of_a_gradient() -> None:
    """At most four rows or columns of a gradient are dot products over the points, more an outer product."""
    spec = FieldSpec.mlp(Sine(30.0), 1)
    for few in range(1, 7):
        widths = [few, 40, few, few + 1]
        judge_field(lambda seed, widths=widths: problem(spec, widths, 90, gen=cases.generator(seed)))


@EVERY_VARIANT
def test_all_points_of_weight_zero(variant: str) -> None:
    case = problem(FieldSpec.mlp(Sine(30.0), 1), [2, 16, 16, 3], 50)
    target = torch.full_like(case.target, float("nan"))
    with native.use_variant(variant):
        loss, d_weights, d_biases = native.mse_value_and_grad(
            case.x, target, case.weights, case.biases, case.spec, torch.zeros(50)
        )
    assert loss == 0.0
    assert all(not grad.any() for grad in [*d_weights, *d_biases])


@EVERY_VARIANT
def test_no_weights_are_weights_of_one(variant: str) -> None:
    case = problem(FieldSpec.mlp(Sine(30.0), 1), [2, 16, 16, 3], 77)
    target = case.target.nan_to_num(0.5)
    arguments = case.x, target, case.weights, case.biases, case.spec
    with native.use_variant(variant):
        plain = native.mse_value_and_grad(*arguments)
        ones = native.mse_value_and_grad(*arguments, torch.ones(77))
    assert torch.equal(plain[0], ones[0])
    assert all(map(torch.equal, plain[1], ones[1]))
    assert all(map(torch.equal, plain[2], ones[2]))


@EVERY_VARIANT
@pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)
def test_what_is_not_needed_is_left_out(act: Activation, variant: str) -> None:
    case = problem(FieldSpec.mlp(act, 1), [3, 18, 18, 2], 65, bias=[True, False, True])
    given = case.field_rows, case.weights, case.biases
    with native.use_variant(variant):
        full = native_field(case.spec)(*given)
        only_x = native_field(case.spec, need_params=False)(*given)
        only_params = native_field(case.spec, need_x=False)(*given)
    assert torch.equal(only_x.scalars[1], full.scalars[1])
    assert (only_x.weights, only_x.biases) == ([], [])
    assert len(only_params.scalars) == 1
    assert all(map(torch.equal, only_params.weights, full.weights))
    assert full.biases[1] is None
    assert only_params.biases[1] is None


@EVERY_VARIANT
@pytest.mark.parametrize("layout", [cases.strided, cases.transposed, cases.offset], ids=lambda f: f.__name__)
@pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)
def test_layout_does_not_matter(act: Activation, layout, variant: str) -> None:
    case = problem(FieldSpec.mlp(act, 1), [3, 18, 7, 2], 65)
    vector = layout if layout is not cases.transposed else cases.strided
    strided = Problem(
        case.spec,
        layout(case.x),
        [layout(w) for w in case.weights],
        [vector(b) for b in case.biases],
        layout(case.d_out),
        layout(case.target),
        vector(case.sample_weight),
    )
    with native.use_variant(variant):
        assert_same_bits(everything(strided), everything(case))


@EVERY_VARIANT
def test_lazily_conjugated_weights(variant: str) -> None:
    case = problem(FieldSpec.mlp(Gabor(20.0, 10.0), 1), [2, 9, 9, 2], 40)
    conjugated = case._replace(
        weights=[w.conj().resolve_conj().conj() for w in case.weights],
        biases=[b.conj().resolve_conj().conj() for b in case.biases],
    )
    with native.use_variant(variant):
        assert_same_bits(everything(conjugated), everything(case))
