"""First, second and third derivatives through `ops.field`: finite differences, and twice eager's error."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from fastsnf import ops, reference
from fastsnf.spec import Activation, FieldSpec, Finer, ReLU, Sine
from tests import cases
from tests.engines.problems import Problem, problem, until_one_passes
from tests.judge import Result, Run, judge
from tests.ops.engines import FUSED, NATIVE, every_engine_with
from tests.ops.functions import GENTLE, as_leaves, field_of, present, small
from tests.tolerances import FLOAT64, assert_close

DIFFERENTIABLE = pytest.mark.parametrize(
    "act", [act for act in GENTLE if not isinstance(act, Finer)], ids=cases.name
)
"""FINER's derivative is by definition not that of its value: test_finer_agrees_with_the_authors_code."""

Forward = Callable[[Tensor, Sequence[Tensor], Sequence[Tensor | None]], Tensor]


@DIFFERENTIABLE
def test_gradcheck(act: Activation) -> None:
    case = small(act)
    assert torch.autograd.gradcheck(field_of(case), as_leaves(present(case)))


@DIFFERENTIABLE
def test_gradgradcheck(act: Activation) -> None:
    case = small(act, points=3)
    assert torch.autograd.gradgradcheck(field_of(case), as_leaves(present(case)))


def forward_of(spec: FieldSpec, engine: str | None) -> Forward:
    """Return the field of an engine, or of the reference composition under autograd."""
    if engine is None:
        return lambda x, w, b: reference.forward(x, w, b, spec)
    return lambda x, w, b: ops.field(x, w, b, spec=spec, engine=engine)


def random_sum(tensors: Sequence[Tensor], seed: int) -> Tensor:
    """Return the real part of a random linear functional of `tensors`, the same in every dtype."""
    gen = cases.generator(seed)
    real = [torch.view_as_real(t) if t.is_complex() else t for t in tensors]
    return torch.stack([(t * torch.randn(t.shape, generator=gen).to(t.dtype)).sum() for t in real]).sum()


def order_run(spec: FieldSpec, engine: str | None, order: int, seed: int) -> Run:
    """Return the run of (x, d_out) that gives the gradients of a random functional of order - 1 gradients."""
    forward = forward_of(spec, engine)

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, d_out = as_leaves(rows)
        w, b = as_leaves(weights), cases.leaves(biases)
        inputs = [x, d_out, *w, *(t for t in b if t is not None)]
        value = (forward(x, w, b) * d_out).sum()
        for step in range(order):
            grads = torch.autograd.grad(value, inputs, create_graph=step + 1 < order, materialize_grads=True)
            value = random_sum(grads, 10 * seed + step)
        d_biases = iter(grads[2 + len(w) :])
        return Result(
            list(grads[:2]),
            [],
            list(grads[2 : 2 + len(w)]),
            [None if t is None else next(d_biases) for t in b],
        )

    return run


def judge_order(draw: Callable[[int], Problem], order: int) -> None:
    """Judge the native engine's derivatives of an order, on one of the first draws."""

    def once(seed: int) -> list[float]:
        case = draw(seed)
        ours, eager = (order_run(case.spec, engine, order, seed) for engine in ("native", None))
        return judge(ours, eager, case.field_rows, case.weights, case.biases)

    until_one_passes(once, lambda seed: seed)


@NATIVE
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)
def test_the_native_engine_is_as_good_as_eager(act: Activation, order: int) -> None:
    spec, bias = FieldSpec.mlp(act, 1), [True, False, True]
    for points in (40, 1):
        judge_order(
            lambda seed, points=points: problem(
                spec, [2, 24, 24, 3], points, bias=bias, gen=cases.generator(seed)
            ),
            order,
        )


@NATIVE
def test_higher_orders_of_another_last_layer() -> None:
    spec = FieldSpec.mlp(Sine(30.0), 1, last=Sine(7.0))
    judge_order(lambda seed: problem(spec, [3, 20, 20, 2], 30, gen=cases.generator(seed)), 2)


@NATIVE
def test_second_order_of_drawn_shapes() -> None:
    for i, shape in enumerate(cases.random_shapes(cases.count(60), cases.generator(5))):
        spec = FieldSpec.mlp(cases.ACTIVATIONS[i % len(cases.ACTIVATIONS)], shape.L)
        judge_order(
            lambda seed, spec=spec, shape=shape: problem(
                spec, shape.widths, shape.N, gen=cases.generator(seed)
            ),
            2,
        )


PARTS = {"+".join(parts): parts for parts in (["x"], ["w"], ["b"], ["x", "w"], ["w", "b"], ["x", "b"])}


@every_engine_with("wanted", PARTS, interpreted=("x+w",))
@pytest.mark.parametrize("act", [Sine(3.0), cases.ACTIVATIONS[3]], ids=cases.name)
def test_any_part_may_require_grad(act: Activation, wanted: list[str], engine: str) -> None:
    """First and second derivatives of a field of which only some tensors take part."""
    case, results = small(act, torch.float32, 20), []
    for taken in (engine, "reference"):
        x, w = case.x.clone(), [t.clone() for t in case.weights]
        b = [None if t is None else t.clone() for t in case.biases]
        inputs = [t for part, ts in (("x", [x]), ("w", [w[1]]), ("b", [b[2]])) if part in wanted for t in ts]
        for tensor in inputs:
            tensor.requires_grad_()
        out = ops.field(x, w, b, spec=case.spec, engine=taken)
        first = torch.autograd.grad(random_sum([out], 0) ** 2, inputs, create_graph=True)
        second = torch.autograd.grad(random_sum(first, 1), inputs, materialize_grads=True)
        results.append([*first, *second])
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, 1e-3)


def test_finer_agrees_with_the_authors_code() -> None:
    """``sin(omega * scale * u)`` with scale = |u| + 1 under no_grad, to third order."""
    case = small(Finer(2.0))
    inputs = as_leaves(present(case))

    def authors(x: Tensor, *params: Tensor) -> Tensor:
        w, b = params[:3], [params[3], None, params[4]]
        for weight, bias in zip(w[:-1], b[:-1], strict=True):
            u = torch.nn.functional.linear(x, weight, bias)
            with torch.no_grad():
                scale = u.abs() + 1.0
            x = torch.sin(2.0 * scale * u)
        return torch.nn.functional.linear(x, w[-1], b[-1])

    results = []
    for function in (field_of(case), authors):
        value, grads = random_sum([function(*inputs)], 0), []
        for step in range(3):
            grads = torch.autograd.grad(value, inputs, create_graph=True, materialize_grads=True)
            value = random_sum(grads, step)
        results.append(grads)
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, FLOAT64)


@FUSED
def test_gradients_accumulate(engine: str) -> None:
    case = small(Sine(3.0), torch.float32, 20)
    inputs = as_leaves(present(case))
    field_of(case, engine)(*inputs).sum().backward()
    once = [tensor.grad.clone() for tensor in inputs if tensor.grad is not None]
    field_of(case, engine)(*inputs).sum().backward()
    assert len(once) == len(inputs)
    for tensor, before in zip(inputs, once, strict=True):
        assert torch.equal(tensor.grad, 2.0 * before)


@FUSED
def test_a_shared_weight_adds_up(engine: str) -> None:
    """One tensor as the weight of two layers gets both gradients."""
    spec = FieldSpec((Sine(3.0), Sine(3.0), ReLU()))
    case = problem(spec, [3, 3, 3, 3], 20, bias=False)
    grads = []
    for taken in (engine, "reference"):
        weight = case.weights[0].clone().requires_grad_()
        ops.field(case.x, [weight] * 3, [None] * 3, spec=spec, engine=taken).sum().backward()
        grads.append(weight.grad)
    assert_close(grads[0], grads[1], 1e-5)
