"""Adjusted steps on a device whose tensors hold nothing: to ask one for a number raises."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.ntk.adjuster import Adjuster
from fastsnf.ntk.config import IGA, SAMPLES
from fastsnf.ntk.groups import Groups, places_of, stable_places

DEVICE = "meta"
GROUPS = {
    "full": Groups.patches((24, 32), 2),
    "ragged": Groups.patches((23, 31), 2),
    "index": Groups.of((torch.arange(700) ** 2 % 997 % 150).unique(return_inverse=True)[1]),
}
BATCH = 100
END = 8
WAITS = "argmax_shared_sum"
"""The released code's own: the points of a group are as many as the residuals say."""


class Uploads(TorchDispatchMode):
    """Notes the shape of everything that goes from one device to another."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[list[int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = args[0] if args else None
        if isinstance(result, Tensor) and isinstance(given, Tensor) and given.dim():
            self.shapes += [list(result.shape)] * (given.device != result.device)
        return result


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Answer the one question of the eigenpairs' rounds, and note it."""
    asked: list[Tensor] = []

    def tolist(tensor: Tensor) -> list[float]:
        asked.append(tensor)
        return [0.0, 10.0]

    monkeypatch.setattr(Tensor, "tolist", tolist)
    return asked


def empty(groups: Groups, weighted: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    x, y = torch.empty(groups.size, 2, device=DEVICE), torch.empty(groups.size, 3, device=DEVICE)
    return x, y, torch.empty(groups.size, device=DEVICE) if weighted else None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample != WAITS])
@pytest.mark.parametrize("kind", GROUPS)
def test_a_step_waits_once(looks: list[Tensor], kind: str, sample: str, weighted: bool) -> None:
    groups = GROUPS[kind]
    field = SNF(2, 3, 16, 1).to(DEVICE)
    adjuster = Adjuster(IGA(end=END, sample=sample), groups, device=DEVICE)
    batch = adjuster.arrange(*empty(groups, weighted))
    for step in range(3):
        drawn = sample == "random" or (sample == "random_once" and step == 0)
        with Uploads() as uploads:
            loss = adjuster.value_and_grad(field, *batch)
        assert loss.device.type == DEVICE
        assert len(looks) == step + 1
        assert uploads.shapes == ([[groups.count]] if drawn else [])
    assert (adjuster.step, adjuster.failures, adjuster.short) == (3, 0, 0)


@pytest.mark.parametrize("kind", GROUPS)
def test_the_points_of_a_batch_are_found_without_waiting(looks: list[Tensor], kind: str) -> None:
    groups = GROUPS[kind]
    field = SNF(2, 3, 16, 1).to(DEVICE)
    x, y, _ = empty(groups, False)
    adjuster = Adjuster(IGA(end=END), groups, device=DEVICE, batch=BATCH)
    for step in range(2):
        ids = torch.randperm(groups.count)[:BATCH]
        with Uploads() as uploads:
            members = adjuster.members(ids)
            adjuster.value_and_grad(field, x[members.points], y[members.points], members=members)
        assert members.points.device.type == DEVICE
        assert len(members.points) == int(groups.sizes()[ids].sum())
        assert len(looks) == step + 1
        if kind != "index":  # whose lists the host has
            assert uploads.shapes == [[BATCH]] * 2


@pytest.mark.parametrize("seed", range(5))
def test_places_by_a_sort_are_those_by_counting(seed: int) -> None:
    gen = torch.Generator().manual_seed(seed)
    mask = torch.rand(int(torch.randint(1, 2000, (), generator=gen)), generator=gen) < seed / 4
    places = places_of(mask, int(mask.sum()))
    assert torch.equal(stable_places(mask, int(mask.sum())), places)


def test_points_elsewhere_are_refused() -> None:
    groups = GROUPS["full"]
    adjuster = Adjuster(IGA(end=END), groups)
    with pytest.raises(InputError, match=r"points on cpu, the adjuster's device; got meta.*device='meta'"):
        adjuster.value_and_grad(SNF(2, 3, 16, 1), *empty(groups, False))
