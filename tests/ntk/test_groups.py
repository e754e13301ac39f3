"""Groups of points: every point once, offset by offset, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.ntk.groups import Groups, Members, make_groups

KINDS = {
    "patches": lambda: Groups.patches((8, 12), 4),
    "ragged patches": lambda: Groups.patches((7, 10), 3),
    "one patch": lambda: Groups.patches((5, 5), 5),
    "runs": lambda: Groups.runs(12, 4),
    "ragged runs": lambda: Groups.runs(13, 4),
    "single points": lambda: Groups.runs(5, 1),
    "cubes": lambda: Groups.cubes((4, 5, 6), 2),
    "rays": lambda: Groups.rays(6, 4),
    "assignment": lambda: Groups.of([2, 0, 1, 1, 0, 1]),
    "lists": lambda: Groups.of([[4, 0], [3], [1, 5, 2]]),
    "restricted": lambda: Groups.patches((7, 10), 3).restricted(torch.arange(70) % 3 == 0),
}


def by_group(members: Members) -> list[list[tuple[int, int]]]:
    """Return (offset, point) of every group of a batch, by a loop."""
    groups: list[list[tuple[int, int]]] = [[] for _ in range(members.layout.groups)]
    slots = members.layout.slots
    every = range(len(members.points)) if slots is None else slots.tolist()
    for slot, point in zip(every, members.points.tolist(), strict=True):
        groups[slot % members.layout.groups].append((slot // members.layout.groups, point))
    return groups


@pytest.mark.parametrize("kind", KINDS)
def test_every_point_is_in_one_group(kind: str) -> None:
    groups = KINDS[kind]()
    members = groups.members()
    assert sorted(members.points.tolist()) == list(range(groups.size))
    assert members.ids is None
    slots = members.layout.slots
    if slots is None:
        assert groups.size == groups.count * groups.offsets
    else:
        assert groups.size < groups.count * groups.offsets, "None stands for a full layout"
        assert bool((slots.diff() > 0).all())
        assert int(slots[0]) >= 0
        assert int(slots[-1]) < groups.count * groups.offsets
    assert [len(points) for points in by_group(members)] == groups.sizes().tolist()
    assert int(groups.sizes().min()) > 0
    assert groups.members() is members


@pytest.mark.parametrize("kind", KINDS)
def test_some_groups_are_those_of_all(kind: str) -> None:
    groups = KINDS[kind]()
    ids = torch.randperm(groups.count)[: max(1, groups.count // 2)]
    everything, some = by_group(groups.members()), groups.members(ids)
    assert some.ids is ids
    assert by_group(some) == [everything[number] for number in ids.tolist()]
    slots = some.layout.slots
    if slots is not None:
        assert len(slots) < some.layout.groups * some.layout.offsets
        assert bool((slots.diff() > 0).all())


def test_patches_lie_as_the_papers() -> None:
    h, w, size = 6, 8, 2
    unfolded = torch.nn.functional.unfold(
        torch.arange(h * w, dtype=torch.float32).reshape(1, 1, h, w), size, stride=size
    )[0]  # [offsets, groups], patches and points in raster order
    members = Groups.patches((h, w), size).members()
    assert torch.equal(members.points, unfolded.to(torch.int64).reshape(-1))


def test_runs_cubes_and_rays() -> None:
    assert by_group(Groups.runs(5, 2).members()) == [[(0, 0), (1, 1)], [(0, 2), (1, 3)], [(0, 4)]]
    cubes = Groups.cubes((2, 2, 4), 2)
    assert [point for _, point in by_group(cubes.members())[1]] == [2, 3, 6, 7, 10, 11, 14, 15]
    assert Groups.rays(3, 2).members().points.tolist() == [0, 2, 4, 1, 3, 5]


def test_a_large_grid_costs_what_is_asked_for() -> None:
    groups = Groups.runs(512**3, 256)
    ids = torch.randint(groups.count, (512,)).unique()
    members = groups.members(ids)
    assert torch.equal(members.points[: len(ids)], ids * 256)
    assert len(members.points) == 256 * len(ids)
    assert groups._everything is None


def test_the_order_in_a_list_gives_the_offsets() -> None:
    assert by_group(Groups.of([[4, 0], [3], [1, 5, 2]]).members()) == [
        [(0, 4), (1, 0)],
        [(0, 3)],
        [(0, 1), (1, 5), (2, 2)],
    ]
    for index in (np.array([1, 0, 1]), torch.tensor([1, 0, 1], dtype=torch.int32), (1, 0, 1)):
        assert by_group(Groups.of(index).members()) == [[(0, 1)], [(0, 0), (1, 2)]]


def test_restricted_groups_number_what_is_kept() -> None:
    groups = Groups.runs(10, 4)  # 0..3, 4..7, 8..9
    mask = torch.tensor([0, 1, 0, 1, 0, 0, 0, 0, 1, 1], dtype=torch.bool)  # the second is empty
    kept = groups.restricted(mask)
    assert (kept.size, kept.count, kept.offsets) == (4, 2, 2)
    assert by_group(kept.members()) == [[(0, 0), (1, 1)], [(0, 2), (1, 3)]]
    assert groups.restricted(torch.ones(10, dtype=torch.bool)) is groups
    ragged, random_mask = Groups.patches((7, 10), 3), torch.rand(70) < 0.4
    number = torch.cumsum(random_mask, 0) - 1
    expected = [
        [int(number[point]) for _, point in points if random_mask[point]]
        for points in by_group(ragged.members())
    ]
    found = [[p for _, p in points] for points in by_group(ragged.restricted(random_mask).members())]
    assert found == [points for points in expected if points]


def test_a_pass_over_a_large_grid_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, mask = Groups.patches((20, 30), 4), torch.rand(600) < 0.5
    whole = groups.restricted(mask).describe()
    monkeypatch.setattr("fastsnf.ntk.groups.CHUNK_POINTS", 50)
    assert groups.restricted(mask).describe() == whole


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Groups.patches((8, 20), 9), "no larger than the signal; got 9 x 9 in 8 x 20"),
        (lambda: Groups.patches((8, 8, 8), 2), "expected an image [H, W] for patches; got 3 axes"),
        (lambda: Groups.cubes((8, 8), 2), "expected a grid of 3 axes for cubes; got 2"),
        (lambda: Groups.patches((8, 8), 0), "at least 1 point"),
        (lambda: Groups.runs(8, -2), "at least 1 point"),
        (lambda: Groups.runs(0, 1), "at least one point along each axis"),
        (lambda: Groups.runs(8, 9), "no larger than the signal"),
        (lambda: Groups.of([0, 2]), "without gaps"),
        (lambda: Groups.of([0, 2, 2, 0]), "expected no empty group; got none of the points in group 1"),
        (lambda: Groups.of([0, -1]), "numbered from 0; got -1"),
        (lambda: Groups.of([]), "at least one point"),
        (lambda: Groups.of([0.0, 1.0]), "the group of every point as integers [n]; got torch.float32"),
        (lambda: Groups.of(torch.zeros(2, 2, dtype=torch.int64)), "integers [n]"),
        (lambda: Groups.of([True, False]), "integers [n]; got torch.bool"),
        (lambda: Groups.of("ab"), "integers [n]; got str"),
        (lambda: Groups.of([0, 0, 1], size=4), "expected the groups of 4 points; got 3"),
        (lambda: Groups.of([[0, 1], [1, 2]]), "do not overlap; got point 1 in two places"),
        (lambda: Groups.of([[0, 1], [3]]), "cover all 4 points; got point 2 in none"),
        (lambda: Groups.of([[0, 1], [2]], size=4), "got point 3 in none"),
        (lambda: Groups.of([[0, 1], [4]], size=3), "expected points 0 to 2 in the groups; got 0 to 4"),
        (lambda: Groups.of([[0, -1], [2]]), "got -1 to 2"),
        (lambda: Groups.of([[0, 1], []]), "expected no empty group; got group 1"),
        (lambda: Groups.runs(8, 2).members(torch.tensor([4])), "expected groups 0 to 3; got 4 to 4"),
        (lambda: Groups.runs(8, 2).members(torch.tensor([1, 1])), "each group once"),
        (lambda: Groups.runs(8, 2).members(torch.tensor([], dtype=torch.int64)), "int64 [n], n >= 1"),
        (lambda: Groups.runs(8, 2).members(torch.tensor([1.0])), "int64 [n]"),
        (lambda: Groups.runs(8, 2).restricted(torch.ones(7, dtype=torch.bool)), "torch.bool [8]"),
        (lambda: Groups.runs(8, 2).restricted(torch.zeros(8, dtype=torch.bool)), "keeps a point; got none"),
        (lambda: make_groups(Groups.runs(8, 2), (3, 3)), "of the signal's 9 points; got groups of 8"),
        (lambda: make_groups("ray:4", (9,)), "expected rays of 4 samples to make up 9 points"),
        (lambda: make_groups("cube:4", (9, 9)), "grid of 3 axes"),
        (lambda: make_groups(None, (9, 9)), "got 32 x 32 in 9 x 9"),
        (lambda: make_groups([0, 1], (3,)), "expected the groups of 3 points; got 2"),
        (lambda: make_groups(4, 64), "expected the shape of a grid, such as (512, 768); got 64"),
        (lambda: Groups.runs(10, 2.5), "expected runs by whole numbers, one for each axis; got (2.5,)"),
        (lambda: Groups.patches((8, 8.0), 2), "expected points by whole numbers, one for each axis; got"),
    ],
)  # fmt: skip
def test_bad_groups(make: object, message: str) -> None:
    with pytest.raises(InputError) as raised:
        make()  # type: ignore[operator]
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("group", "shape", "text"),
    [
        (None, (64, 96), "6 patches of 32 x 32"),
        (None, (1000,), "4 runs of 256"),
        (None, (16, 16, 16), "16 runs of 256"),
        (8, (16, 16), "4 patches of 8 x 8"),
        (8, (16,), "2 runs of 8"),
        (8, (16, 8, 8), "2 cubes of 8 x 8 x 8"),
        ("run:8", (4, 4), "2 runs of 8"),
        ("ray:8", (4, 8), "4 rays of 8"),
        ([0, 1, 1], (3,), "2 groups of 1 to 2 points"),
        ([1, 1, 0, 0], (2, 2), "2 groups of 2 points"),
    ],
)
def test_what_a_setting_stands_for(group: object, shape: tuple[int, ...], text: str) -> None:
    assert str(make_groups(group, shape)) == text


def test_members_move_together() -> None:
    def device(tensor: Tensor | None) -> str:
        return "" if tensor is None else tensor.device.type

    moved = Groups.runs(5, 2).members(torch.tensor([2, 0])).to("meta")
    assert [device(moved.points), device(moved.layout.slots), device(moved.ids)] == ["meta"] * 3
