"""Inputs and cotangents of every layer by the CPU engine: at most twice eager's own error."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.engines import native
from fastsnf.spec import Activation, FieldSpec, Gabor, Identity, Sine
from tests import cases
from tests.engines.problems import EVERY_SPEC, Problem, problem, until_one_passes
from tests.engines.runs import EVERY_VARIANT, judge_variants
from tests.judge import Result, Run

ACTS = pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)


def native_trace(case: Problem) -> list[Tensor]:
    """Return the engine's inputs, then its cotangents."""
    inputs, cotangents = native.layer_trace(case.x, case.weights, case.biases, case.spec, case.d_out)
    return [*inputs, *cotangents]


def trace_run(spec: FieldSpec, layer_trace: Callable) -> Run:
    """Return `layer_trace` as a run of (x, d_out)."""

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, d_out = rows
        inputs, cotangents = layer_trace(x, weights, biases, spec, d_out)
        return Result([], [*inputs, *cotangents], [], [])

    return run


def judge(draw: Callable[[int], Problem]) -> None:
    """Judge the trace of every variant, on one of some draws."""

    def check(case: Problem) -> None:
        ours = trace_run(case.spec, native.layer_trace)
        eager = trace_run(case.spec, reference.ntk.layer_trace)
        judge_variants(ours, eager, case, case.field_rows)

    until_one_passes(check, draw)


@EVERY_SPEC
@pytest.mark.usefixtures("nan_memory")
def test_every_activation(spec: FieldSpec) -> None:
    for points, width in ((100, 20), (1, 3), (33, 37)):
        widths = [3, *[width] * (spec.layers - 1), 5]
        judge(lambda seed, w=widths, n=points: problem(spec, w, n, gen=cases.generator(seed)))


@ACTS
@pytest.mark.parametrize("bias", [False, [True, False, True, False]], ids=["none", "mixed"])
def test_layers_without_bias(act: Activation, bias: bool | list[bool]) -> None:
    spec, widths = FieldSpec.mlp(act, 2), [2, 17, 9, 33, 3]
    judge(lambda seed: problem(spec, widths, 70, bias=bias, gen=cases.generator(seed)))


@pytest.mark.parametrize("number", range(cases.count(150)))
def test_drawn_shapes(number: int) -> None:
    gen = cases.generator(number)
    shape = cases.random_shapes(1, gen)[0]
    act = cases.ACTIVATIONS[number % len(cases.ACTIVATIONS)]
    spec = FieldSpec.mlp(act, shape.L)
    seeds = [number, number + 10_000, number + 20_000]
    judge(lambda seed: problem(spec, shape.widths, shape.N, gen=cases.generator(seeds[seed])))


@ACTS
def test_more_points_than_a_tile(act: Activation) -> None:
    spec = FieldSpec.mlp(act, 1)
    judge(lambda seed: problem(spec, [2, 40, 40, 3], 1500, gen=cases.generator(seed)))


@pytest.mark.parametrize("last", [Sine(30.0), Identity()], ids=cases.name)
def test_one_layer(last: Activation) -> None:
    spec = FieldSpec((last,))
    judge(lambda seed: problem(spec, [5, 3], 40, gen=cases.generator(seed)))


@EVERY_VARIANT
def test_the_factor_omega_is_in_the_cotangents(variant: str) -> None:
    x, weight = torch.tensor([[0.1]]), torch.tensor([[0.7]])
    with native.use_variant(variant):
        inputs, (d,) = native.layer_trace(x, [weight], [None], FieldSpec((Sine(30.0),)), torch.ones(1, 1))
    assert inputs[0] is x
    torch.testing.assert_close(d, 30.0 * torch.cos(torch.tensor([[30.0 * 0.07]])))


@EVERY_VARIANT
@ACTS
def test_any_number_of_threads(act: Activation, variant: str) -> None:
    """A point's trace does not depend on the points beside it."""
    case = problem(FieldSpec.mlp(act, 2), [2, 48, 48, 48, 3], 384)
    found = []
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        with native.use_variant(variant):
            found.append(native_trace(case))
    for other in found[1:]:
        assert all(map(torch.equal, other, found[0]))


@EVERY_VARIANT
@ACTS
@pytest.mark.parametrize("layout", [cases.strided, cases.transposed, cases.offset], ids=lambda f: f.__name__)
def test_layout_does_not_matter(layout: Callable, act: Activation, variant: str) -> None:
    case = problem(FieldSpec.mlp(act, 1), [3, 18, 7, 2], 65)
    changed = case._replace(
        x=layout(case.x), weights=[layout(w) for w in case.weights], d_out=layout(case.d_out)
    )
    with native.use_variant(variant):
        assert all(map(torch.equal, native_trace(changed), native_trace(case)))


@EVERY_VARIANT
def test_one_cotangent_for_all_points(variant: str) -> None:
    case = problem(FieldSpec.mlp(Sine(30.0), 1), [2, 16, 16, 3], 50)
    row = torch.tensor([1.0, -2.0, 0.5])
    with native.use_variant(variant):
        expanded = native_trace(case._replace(d_out=row.expand(50, 3)))
        assert all(map(torch.equal, expanded, native_trace(case._replace(d_out=row.repeat(50, 1)))))


@EVERY_VARIANT
@ACTS
def test_no_points(act: Activation, variant: str) -> None:
    with native.use_variant(variant):
        found = native_trace(problem(FieldSpec.mlp(act, 1), [2, 16, 15, 3], 0))
    assert [t.shape for t in found] == [(0, 2), (0, 16), (0, 15), (0, 16), (0, 15), (0, 3)]


@EVERY_VARIANT
def test_a_nan_stays_with_its_point(variant: str) -> None:
    case = problem(FieldSpec.mlp(Sine(30.0), 1), [2, 20, 20, 3], 50)
    case.x[41, 1] = torch.nan
    with native.use_variant(variant):
        found = native_trace(case)
    assert all(t.isnan().any(dim=1).nonzero().flatten().tolist() == [41] for t in found[:-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": -1}, "points"),
        ({"x": 0}, "inputs"),
        ({"d_out": 0}, "cotangent"),
        ({"outputs": []}, "every layer"),
        ({"outputs": [(0, 0)]}, "every layer"),
        ({"outputs": [(0, 64), (0, 64)]}, "every layer"),
        ({"layers": []}, "layer"),
        ({"layers": [(1, 1, False, 0, 0.0, 0.0, 64, 0, 64, 0)]}, "gradients"),
        ({"threads": 0}, "threads"),
    ],
    ids=str,
)
def test_sizes_are_checked_before_a_pointer_is_used(change: dict[str, object], message: str) -> None:
    layer = (1, 1, False, 0, 0.0, 0.0, 64, 0, 0, 0)
    given = {"variant": "", "layers": [layer], "n": 1, "x": 64, "d_out": 64, "outputs": [(0, 64)]}
    with pytest.raises(ValueError, match=message):
        native.module().trace(**given | {"threads": 1} | change)
