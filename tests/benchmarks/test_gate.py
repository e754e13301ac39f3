from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks import cases, gate
from benchmarks.baselines import EagerField
from benchmarks.cases import Case
from benchmarks.gate import Comparison, GateError
from benchmarks.sides import Problem
from fastsnf import reference
from fastsnf.nn import SNF
from fastsnf.spec import Gabor, Gaussian, Sinc, Sine

SMALL = [
    replace(case, width=24, points=64) for case in (*cases.TRAIN, *cases.INFER) if case.width in (256, 181)
]


@pytest.mark.parametrize(
    "act", [Sine(30.0), Gaussian(10.0), Sinc(30.0), Gabor(20.0, 10.0)], ids=lambda act: act.name
)
def test_eager_baseline_is_the_reference(act: Sine) -> None:
    field = SNF(2, 3, 16, 2, activation=act, dtype=torch.float64)
    x = torch.rand(40, 2, dtype=torch.float64) * 2 - 1
    weights, biases = field.layer_tensors()
    exact = reference.forward(x, weights, biases, field.spec)
    assert torch.allclose(EagerField(weights, biases, field.spec)(x), exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_every_kind_of_case_passes_its_gate(case: Case) -> None:
    rows = gate.check(case)
    assert {row.name for row in rows} >= {"out", "d_weight[0]", "d_bias[4]"}


def test_a_wrong_gradient_stops_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    right = gate.fused_results

    def wrong(*args: object) -> dict[str, torch.Tensor]:
        results = right(*args)
        return results | {"d_weight[1]": results["d_weight[1]"] * 1.001}

    monkeypatch.setattr(gate, "fused_results", wrong)
    with pytest.raises(GateError, match=r"d_weight\[1\]"):
        gate.check(SMALL[0])


def test_a_nan_does_not_pass() -> None:
    assert not Comparison("out", float("nan"), 1e-7).holds
    assert Comparison("out", 1.9e-7, 1e-7).holds
    assert not Comparison("out", 3e-6, 1e-6).holds


@pytest.mark.parametrize("side", ["fastsnf", "eager"])
def test_both_sides_start_from_the_same_weights_and_leave_them(side: str) -> None:
    problem = Problem.of(Case("train", 8, 32))
    before = [weight.clone() for weight in problem.field.layer_tensors()[0]]
    run = problem.run(side)
    run()
    assert all(torch.equal(a, b) for a, b in zip(before, problem.field.layer_tensors()[0], strict=True))


def test_the_sides_take_the_same_steps() -> None:
    problem = Problem.of(Case("train", 16, 64))
    eager = problem.eager(torch.float64)
    losses = [torch.nn.functional.mse_loss(eager(problem.x.double()), problem.y.double()).item()]
    fused = gate.fused_results(problem.field, problem.x, problem.y, "train")
    by_hand = gate.fused_results(problem.field, problem.x, problem.y, "by-hand")
    assert losses[0] > 0
    for name, value in fused.items():
        assert torch.allclose(value, by_hand[name], rtol=1e-4, atol=1e-6), name
