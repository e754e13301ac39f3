"""The sample point of each group, against loops over the points."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.ntk.config import SAMPLES
from fastsnf.ntk.groups import Groups, Members
from fastsnf.ntk.sampling import SamplePoints, largest_rows, offsets_of, ranked_rows, rows_at

GROUPS = {
    "patches": Groups.patches((6, 8), 2),
    "ragged patches": Groups.patches((7, 10), 3),
    "runs": Groups.runs(13, 4),
    "lists": Groups.of([[4, 0], [3], [1, 5, 2, 6, 7, 8]]),
}
EVERY = pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)


def rows_of(members: Members) -> list[list[int]]:
    """Return the rows of every group of a batch in the order of their offsets, by a loop."""
    slots = members.layout.slots
    every = range(len(members.points)) if slots is None else slots.tolist()
    rows: list[list[int]] = [[] for _ in range(members.layout.groups)]
    for row, slot in enumerate(every):
        rows[slot % members.layout.groups].append(row)
    return rows


def middles(groups: Groups, members: Members, w: Tensor | None = None) -> list[int]:
    """Return the row in the middle of each group: of a block along each axis, of a list of points in it.

    Where that point has weight 0, the one in the middle of the others; of all where none has a weight.
    """
    found = []
    for rows in rows_of(members):
        points = [int(members.points[row]) for row in rows]
        chosen = rows[len(rows) // 2]
        if len(groups.shape) == 2:
            width = groups.shape[1]
            ys, xs = sorted({p // width for p in points}), sorted({p % width for p in points})
            chosen = rows[points.index(ys[len(ys) // 2] * width + xs[len(xs) // 2])]
        if w is not None and w[chosen] == 0:
            counted = [row for row in rows if w[row] != 0] or rows
            chosen = counted[len(counted) // 2]
        found.append(chosen)
    return found


def some_weights(members: Members) -> Tensor:
    """Return weights with zeros, and nothing but zeros in one group."""
    w = torch.rand(len(members.points)) * (torch.rand(len(members.points)) < 0.6)
    w[rows_of(members)[1]] = 0.0
    return w


@EVERY
def test_center_is_the_middle_of_the_points_there(groups: Groups) -> None:
    members = groups.members()
    points = SamplePoints("center", seed=0, count=groups.count)
    assert points.rows(members, 0).tolist() == middles(groups, members)
    w = some_weights(members)
    assert points.rows(members, 0, w).tolist() == middles(groups, members, w)
    some = groups.members(torch.tensor([2, 0]))
    assert points.rows(some, 0).tolist() == middles(groups, some)
    unknown = members._replace(middle=None)
    assert points.rows(unknown, 0).tolist() == [rows[len(rows) // 2] for rows in rows_of(members)]


@EVERY
def test_argmax_is_the_largest_residual(groups: Groups) -> None:
    members = groups.members()
    residual = torch.randn(len(members.points), 3)
    size = residual.abs().sum(dim=1)
    expected = [max(rows, key=lambda row: float(size[row])) for rows in rows_of(members)]
    assert largest_rows(residual, members.layout).tolist() == expected
    w = some_weights(members)
    left_out = torch.where(w[:, None] != 0, residual, 0.0)
    for row, rows in zip(largest_rows(left_out, members.layout, w).tolist(), rows_of(members), strict=True):
        assert w[row] != 0 or all(w[other] == 0 for other in rows)
    tiny = largest_rows(residual * 1e-20, members.layout)
    assert tiny.tolist() == expected, "residuals far below 1 have a largest too"
    first = rows_of(members)[0][-1]
    residual[first, 1] = torch.nan
    assert largest_rows(residual, members.layout)[0] == first
    assert bool((largest_rows(torch.zeros_like(residual), members.layout) < len(residual)).all())


@EVERY
def test_random_depends_on_seed_and_step_alone(groups: Groups) -> None:
    members = groups.members()
    w = some_weights(members)
    points, again = (SamplePoints("random", seed=3, count=groups.count) for _ in range(2))
    draws = [points.rows(members, step).tolist() for step in range(200)]
    assert again.rows(members, 150).tolist() == draws[150]
    for number, rows in enumerate(rows_of(members)):
        assert {draw[number] for draw in draws} == set(rows), "every point of a group comes up"
    assert SamplePoints("random", seed=4, count=groups.count).rows(members, 0).tolist() != draws[0]
    for step in range(20):
        for row, rows in zip(points.rows(members, step, w).tolist(), rows_of(members), strict=True):
            assert row in rows
            assert w[row] != 0 or all(w[other] == 0 for other in rows)


@EVERY
def test_random_once_stays(groups: Groups) -> None:
    members = groups.members()
    points = SamplePoints("random_once", seed=3, count=groups.count)
    first = points.rows(members, 0)
    assert torch.equal(points.rows(members, 7), first)
    some = groups.members(torch.tensor([2, 0]))
    assert torch.equal(some.points[points.rows(some, 9)], members.points[first][[2, 0]])
    other = SamplePoints("random_once", seed=3, count=groups.count)
    assert torch.equal(some.points[other.rows(some, 9)], members.points[first][[2, 0]])
    assert torch.equal(other.rows(members, 9), first), "whichever groups come first"
    w = torch.ones(len(members.points))
    w[first[2]] = 0.0
    elsewhere = points.rows(members, 10, w)
    assert elsewhere[2] != first[2] or len(rows_of(members)[2]) == 1
    assert torch.equal(elsewhere[:2], first[:2])


@EVERY
def test_lagged_is_the_largest_of_the_pass_before(groups: Groups) -> None:
    members = groups.members()
    points = SamplePoints("argmax_lagged", seed=0, count=groups.count)
    assert points.rows(members, 0).tolist() == middles(groups, members)
    largest = largest_rows(torch.randn(len(members.points), 2), members.layout)
    points.observe(members, largest)
    assert torch.equal(points.rows(members, 1), largest)
    w = torch.ones(len(members.points))
    w[largest[0]] = 0.0
    found = points.rows(members, 1, w)
    assert found[0] == middles(groups, members, w)[0]
    assert torch.equal(found[1:], largest[1:])


@EVERY
def test_lagged_in_batches_of_groups(groups: Groups) -> None:
    points = SamplePoints("argmax_lagged", seed=0, count=groups.count)
    some, others = groups.members(torch.tensor([2, 0])), groups.members(torch.tensor([1, 2]))
    largest = largest_rows(torch.randn(len(some.points), 2), some.layout)
    points.observe(some, largest)
    seen = dict(zip([2, 0], some.points[largest].tolist(), strict=True))
    found = others.points[points.rows(others, 1)].tolist()
    assert found == [others.points[middles(groups, others)[0]], seen[2]]
    everything = groups.members()
    found = everything.points[points.rows(everything, 1)].tolist()
    assert [found[0], found[2]] == [seen[0], seen[2]]


@EVERY
def test_rows_and_offsets(groups: Groups) -> None:
    members = groups.members()
    rows = torch.tensor([rows[-1] for rows in rows_of(members)])
    assert torch.equal(rows_at(offsets_of(rows, members.layout), members.layout), rows)
    last = torch.full((groups.count,), groups.offsets - 1)  # some groups lack it
    assert bool((rows_at(last, members.layout) < len(members.points)).all())


def test_a_fraction_counts_the_points_there() -> None:
    members = Groups.runs(5, 3).members()  # rows 0 2 4 and 1 3
    for fraction, rows in ((0.0, [0, 1]), (0.5, [2, 3]), (0.99, [4, 3])):
        assert ranked_rows(members, None, torch.full((2,), fraction)).tolist() == rows
    full = Groups.runs(6, 3).members()
    assert ranked_rows(full, None, torch.tensor([0.0, 0.99])).tolist() == [0, 5]


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_state_goes_on(sample: str) -> None:
    groups = GROUPS["ragged patches"]
    members = groups.members()

    def step(points: SamplePoints, number: int) -> list[int]:
        residual = torch.randn(len(members.points), 2, generator=torch.Generator().manual_seed(number))
        points.observe(members, largest_rows(residual, members.layout))
        return points.rows(members, number, residual=residual).tolist()

    points = SamplePoints(sample, seed=1, count=groups.count)
    expected = [step(points, number) for number in range(4)][2:]
    points = SamplePoints(sample, seed=1, count=groups.count)
    for number in range(2):
        step(points, number)
    other = SamplePoints(sample, seed=1, count=groups.count)
    other.load_state_dict(points.state_dict())
    assert [step(other, number) for number in (2, 3)] == expected


def test_what_cannot_be() -> None:
    with pytest.raises(InputError, match="expected residuals for 'argmax'; got none"):
        SamplePoints("argmax", seed=0, count=4).rows(Groups.runs(8, 2).members(), 0)
    lagged = SamplePoints("argmax_lagged", seed=0, count=4)
    with pytest.raises(InputError, match="kept points of 4 groups; got none"):
        lagged.load_state_dict({})
    with pytest.raises(InputError, match=r"kept points of 4 groups; got \[5\]"):
        lagged.load_state_dict({"kept": torch.zeros(5, dtype=torch.int64)})
