"""The suites of the NTK and of gradient adjustment: gates, records, bounds, tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch

from benchmarks import __main__ as runner
from benchmarks import floors, iga, ntk, tables, turns
from benchmarks.gate import GateError
from benchmarks.iga import IgaCase
from benchmarks.ntk import NtkCase
from fastsnf.ntk import empirical_ntk
from tests.tolerances import FLOAT64, assert_close

SMALL = NtkCase(points=12, width=16, floor_ratio=None)
TINY = IgaCase("argmax_lagged", patch=4, shape=(16, 24), width=16, end=5, most_ratio=None)


def test_the_cases_are_the_published_ones() -> None:
    (case,) = ntk.CASES
    assert (case.points, case.width, case.hidden_layers, case.floor_ratio) == (384, 256, 2, 50.0)
    bounds = {(case.sample, case.groups): case.most_ratio for case in iga.CASES}
    assert bounds == {
        ("argmax_lagged", 384): 1.06,
        ("center", 384): 1.06,
        ("random", 384): 1.06,
        ("argmax", 384): 1.40,
        ("argmax_lagged", 1536): 1.40,
    }
    assert {(case.shape, case.width, case.end) for case in iga.CASES} == {((512, 768), 256, 20)}
    assert iga.CASES[0].flops == 512 * 768 * 6 * (2 * 256 + 2 * 256 * 256 + 256 * 3)


def test_both_sides_of_the_ntk_are_the_ntk() -> None:
    problem = ntk.Problem.of(SMALL)
    exact = empirical_ntk(problem.field.double(), problem.x.double())
    eager = problem.eager(torch.float64)
    assert_close(ntk.by_jacobians(eager, problem.x.double()), exact, FLOAT64)
    assert_close(ntk.by_formula(eager, problem.x.double()), exact, FLOAT64)


def test_a_wrong_ntk_stops_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ntk.check(SMALL).holds
    monkeypatch.setattr(ntk, "empirical_ntk", lambda field, x: empirical_ntk(field, x) * 1.001)
    with pytest.raises(GateError, match="no time is taken of a wrong result"):
        ntk.check(SMALL)


@pytest.mark.parametrize("case", iga.CASES, ids=lambda case: case.name)
def test_every_kind_of_step_passes_its_gate(case: IgaCase) -> None:
    rows = iga.check(case.scaled())
    assert {row.name for row in rows} == {f"linears.{i}.{n}" for i in range(4) for n in ("weight", "bias")}


def test_a_wrong_adjustment_stops_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    right = iga.Adjuster.value_and_grad

    def wrong(self: Any, field: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return right(self, field, x, y + 1e-3)

    monkeypatch.setattr(iga.Adjuster, "value_and_grad", wrong)
    with pytest.raises(GateError, match="no time is taken of a wrong result"):
        iga.check(TINY)


def test_a_record_of_the_ntk() -> None:
    record = ntk.measure(asdict(SMALL), rounds=1)
    assert (record["suite"], record["points"], record["layers"]) == ("ntk", 12, 4)
    assert set(record["rounds_steady"]) == set(ntk.SIDES)
    assert floors.verdicts(record) == []
    assert "eNTK of 12 points" in tables.ntk_table([record])


def test_a_record_of_an_adjusted_step() -> None:
    record = turns.in_child("benchmarks.iga", TINY, rounds=1)
    assert (record["suite"], record["groups"], record["sample"]) == ("iga", 24, "argmax_lagged")
    assert floors.verdicts(record) == []
    text = tables.document([record], [], "command")
    assert "16 × 24 pixels" in text
    assert "Medians" not in text  # the note of the other suites


@pytest.mark.parametrize(("ratio", "holds"), [(1.05, True), (1.07, False), (None, None)])
def test_the_limit_of_a_step(ratio: float | None, holds: bool | None) -> None:
    case = iga.CASES[0]
    record: dict[str, Any] = {"suite": "iga", "case": case.name, "allocator": "kept", "rounds": 5}
    record |= {"most_ratio": case.most_ratio, "ratios": {} if ratio is None else {"iga": ratio}}
    (verdict,) = floors.verdicts(record)
    assert (verdict.floor, verdict.holds) == (1.06, holds)


@pytest.mark.parametrize(("ratio", "holds"), [(51.0, True), (49.0, False)])
def test_the_floor_of_the_ntk(ratio: float, holds: bool) -> None:
    record = {"suite": "ntk", "case": "ntk", "allocator": "kept", "floor_ratio": 50.0}
    (verdict,) = floors.verdicts(record | {"ratios": {"torch.func": ratio}})
    assert verdict.holds == holds


def test_the_runner_has_both_suites() -> None:
    assert [name for name, _ in runner.tasks("ntk", quick=False)] == ["NTK of 384 points"]
    names = [name for name, _ in runner.tasks("iga", quick=True)]
    assert names == [
        "IGA step, 384 groups, argmax_lagged",
        "IGA step, 384 groups, center",
        "IGA step, 384 groups, random",
        "IGA step, 384 groups, argmax",
        "IGA step, 1536 groups, argmax_lagged",
    ]
    assert set(names) < {name for name, _ in runner.tasks("all", quick=True)}
