"""The suite of initializers: its cases and bounds, gates that stop a wrong result, records, the table."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch

from benchmarks import __main__ as runner
from benchmarks import floors, initializers, tables, turns
from benchmarks.gate import GateError
from benchmarks.initializers import ANALYSIS, CASES, DRAW, SIGMA_P, InitCase
from fastsnf.nn import SNF, init

TINY = InitCase(DRAW, method="weight-scaling").scaled()


def test_the_cases_have_every_initializer_and_the_published_bounds() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {case.method for case in CASES if case.kind == DRAW} == set(init.INITIALIZERS)
    assert {(case.kind, case.most_seconds) for case in CASES} == {
        (DRAW, 0.020),
        (SIGMA_P, 0.050),
        (ANALYSIS, 60.0),
    }
    assert {(case.width, case.hidden_layers + 2) for case in CASES if case.kind == DRAW} == {(512, 5)}
    (analysis,) = (case for case in CASES if case.kind == ANALYSIS)
    assert (analysis.size, analysis.width) == (512, 256)
    assert {case.activation for case in CASES if case.kind == SIGMA_P} >= {
        "sine",
        "gaussian",
        "sinc",
        "sigmoid",
    }


@pytest.mark.parametrize("method", init.INITIALIZERS)
def test_every_initializer_passes_its_gate(method: str) -> None:
    initializers.check_draw(initializers.field_of(TINY), method)


def test_an_initializer_that_leaves_a_parameter_or_ignores_its_seed_stops_the_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(field: SNF, name: str, **_: Any) -> None: ...

    def constant(field: SNF, name: str, **_: Any) -> None:
        for parameter in field.parameters():
            parameter.data.fill_(1.0)

    for wrong, message in ((none, "not finite"), (constant, "two seeds")):
        monkeypatch.setattr(initializers.init, "initialize_", wrong)
        with pytest.raises(GateError, match=message):
            initializers.check_draw(initializers.field_of(TINY), "siren")


@pytest.mark.parametrize("name", ["gaussian", "sigmoid", "sine"])
def test_sigma_p_passes_its_gate_and_a_wrong_one_does_not(name: str) -> None:
    act = InitCase(SIGMA_P, name).spec
    root = init.solve_sigma_p(act)
    assert (root is None) == (name == "sine")
    initializers.check_sigma_p(act, root)
    with pytest.raises(GateError, match=r"does not meet Eq\. 13"):
        initializers.check_sigma_p(act, 0.7 if root is None else None if name == "gaussian" else 1.1 * root)


def test_nothing_is_remembered_between_two_solutions(monkeypatch: pytest.MonkeyPatch) -> None:
    case = InitCase(SIGMA_P, "sigmoid")
    run = initializers.solves(case)
    evaluations = []
    right = torch.sigmoid

    def counted(u: torch.Tensor) -> torch.Tensor:
        evaluations.append(u.numel())
        return right(u)

    monkeypatch.setattr(torch, "sigmoid", counted)
    counts = []
    for _ in range(2):
        before = sum(evaluations)
        run()
        counts.append(sum(evaluations) - before)
    assert counts[0] == counts[1] > 0


def test_a_record_of_a_child() -> None:
    record = turns.in_child("benchmarks.initializers", TINY, rounds=3)
    assert (record["suite"], record["kind"], record["allocator"]) == ("initializers", DRAW, "kept")
    assert record["seconds"]["count"] == 3
    assert 0 < record["seconds"]["least"] <= record["seconds"]["median"]
    assert floors.verdicts(record) == []
    assert "weight-scaling, 5 linear layers, width 16" in tables.document([record], [], "command")


def test_a_record_of_the_analysis() -> None:
    case = next(case for case in CASES if case.kind == ANALYSIS).scaled()
    record = initializers.measure(asdict(case))
    assert record["seconds"]["count"] == 1
    assert "analysis of 16 × 16 pixels, width 16" in tables.initializers_table([record])


def test_a_record_of_sigma_p_says_what_the_papers_search_takes() -> None:
    record = initializers.measure(asdict(InitCase(SIGMA_P, "gaussian")), rounds=2)
    assert record["published_seconds"] > 0
    assert record["paper_seconds"] == 0.5
    assert "500 ms" in tables.initializers_table([record])


@pytest.mark.parametrize(("seconds", "holds"), [(0.019, True), (0.021, False)])
def test_the_bound_of_a_case(seconds: float, holds: bool) -> None:
    case = replace(TINY, most_seconds=0.020)
    spread = {"median": seconds, "q25": seconds, "q75": seconds}
    record = {
        "suite": "initializers",
        "case": case.name,
        "allocator": "kept",
        **asdict(case),
        "seconds": spread,
    }
    (verdict,) = floors.verdicts(record)
    assert (verdict.floor, verdict.at_most, verdict.holds) == (0.020, True, holds)
    record |= {"layers": 5, "published_seconds": None, "paper_seconds": None}
    assert ("**NO**" in tables.initializers_table([record])) != holds


def test_the_runner_has_the_suite() -> None:
    names = [name for name, _ in runner.tasks("initializers", quick=True)]
    assert len(names) == len(CASES)
    assert "sigma_p, nothing remembered, sigmoid" in names
    assert "analysis of 16 x 16 pixels, width 16" in names
    assert set(names) < {name for name, _ in runner.tasks("all", quick=True)}
