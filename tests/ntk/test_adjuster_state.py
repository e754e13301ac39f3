"""What an adjuster keeps between steps: a resumed one goes on to the bit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from fastsnf.nn import Field
from fastsnf.ntk.adjuster import Adjuster
from fastsnf.ntk.config import IGA, SAMPLES
from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.ntk.groups import Groups
from tests.ntk.adjusted_steps import GROUPS, descend, make_field, problem


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("settings", [{}, {"refresh": 3}, {"batch": 5}], ids=str)
def test_the_state_goes_on_bit_for_bit(sample: str, settings: dict) -> None:
    groups = GROUPS["ragged"]
    batch, refresh = settings.get("batch"), settings.get("refresh", 1)
    x, y = problem(groups)

    def steps(field: Field, adjuster: Adjuster, numbers: range) -> None:
        for number in numbers:
            if batch:
                ids = torch.randperm(groups.count, generator=torch.Generator().manual_seed(number))[:batch]
                members = adjuster.members(ids)
            else:
                members = adjuster.members()
            points = members.points
            adjuster.value_and_grad(field, x[points], y[points], members=members)
            descend(field)

    iga = IGA(end=2, sample=sample, refresh=refresh, seed=5)
    straight, adjuster = make_field(), Adjuster(iga, groups, batch=batch)
    steps(straight, adjuster, range(7))
    field, first = make_field(), Adjuster(iga, groups, batch=batch)
    steps(field, first, range(4))
    state = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    assert all(isinstance(tensor, Tensor) for tensor in state.values())
    resumed, second = copy.deepcopy(field), Adjuster(iga, groups, batch=batch)
    second.load_state_dict(state)
    steps(field, first, range(4, 7))
    steps(resumed, second, range(4, 7))
    for other in (field, resumed):
        assert all(map(torch.equal, other.parameters(), straight.parameters()))
    assert second.step == 7
    assert second.report() == adjuster.report()


def test_the_basis_goes_on_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where eigenpairs are found from those of the step before, the state holds these."""
    monkeypatch.setattr("fastsnf.ntk.spectrum.EIGH_IS_FASTER", 0)
    groups = Groups.runs(400, 2)
    batch = Adjuster(IGA(end=2), groups).arrange(*problem(groups))
    fields, adjusters = [], []
    for resumed in (False, True):
        field, adjuster = make_field(), Adjuster(IGA(end=2), groups)
        for step in range(4):
            if resumed and step == 2:
                state = adjuster.state_dict()
                assert state["basis"].shape[0] == groups.count
                adjuster = Adjuster(IGA(end=2), groups)
                adjuster.load_state_dict(state)
            adjuster.value_and_grad(field, *batch)
            descend(field)
        fields.append(field)
        adjusters.append(adjuster)
    assert all(map(torch.equal, fields[0].parameters(), fields[1].parameters()))
    assert adjusters[0].report() == adjusters[1].report()


def test_an_adjustment_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, field = GROUPS["patches"], make_field()
    grams = []

    def counted(*args: object) -> Tensor:
        grams.append(adjuster.step)
        return empirical_ntk(*args)

    monkeypatch.setattr("fastsnf.ntk.adjuster.empirical_ntk", counted)
    adjuster = Adjuster(IGA(end=2, refresh=3), groups)
    batch = adjuster.arrange(*problem(groups))
    for _ in range(7):
        adjuster.value_and_grad(field, *batch)
    assert grams == [1, 4, 7]  # of steps 1 .. 7
