"""Batches of groups: every group once an epoch, enough of them in each step, and points counted."""

from __future__ import annotations

import pytest
import torch

from fastsnf.train.group_sampler import GroupSampler


def batches(sampler: GroupSampler, steps: range) -> list[torch.Tensor]:
    found = [sampler.indices(step) for step in steps]
    return [torch.arange(index.stop) if isinstance(index, slice) else index for index in found]


@pytest.mark.parametrize("count", [1, 2, 7, 12, 40])
@pytest.mark.parametrize("per_step", [1, 3, 5, 12, 50])
@pytest.mark.parametrize("least", [1, 2, 3])
def test_an_epoch_visits_every_group_once_and_no_step_has_too_few(count, per_step, least):
    if min(per_step, count) < least:
        return  # refused before it comes to a sampler
    sampler = GroupSampler(torch.full((count,), 4), per_step, 3, least=least)
    for epoch in range(3):
        steps = range(epoch * sampler.steps_per_epoch, (epoch + 1) * sampler.steps_per_epoch)
        found = batches(sampler, steps)
        assert sorted(torch.cat(found).tolist()) == list(range(count))
        assert min(map(len, found)) >= min(least, count)
        assert all(len(batch) == sampler.groups for batch in found[:-1])
        assert len(found[-1]) < sampler.groups + least


def test_points_are_counted_as_they_are_taken():
    sizes = torch.tensor([5, 1, 4, 4, 2, 3, 3, 1])
    sampler = GroupSampler(sizes, 3, 0)
    seen = [0]
    for batch in batches(sampler, range(11)):
        seen.append(seen[-1] + int(sizes[batch].sum()))
    assert [sampler.points_seen(step) for step in range(12)] == seen
    assert [sampler.points_seen(step) for step in (7, 2, 11, 0)] == [seen[step] for step in (7, 2, 11, 0)]
    assert seen[sampler.steps_per_epoch] == 23
    assert sampler.batch == 15


def test_all_groups_are_one_slice_and_points_of_whole_epochs():
    sampler = GroupSampler(torch.tensor([5, 1, 4]), 3, 0)
    assert sampler.indices(7) == slice(0, 3)
    assert (sampler.batch, sampler.steps_per_epoch, sampler.points_seen(4)) == (10, 1, 40)


def test_a_step_depends_on_seed_and_number_alone():
    first, second = (GroupSampler(torch.full((30,), 2), 7, 5) for _ in range(2))
    list(batches(first, range(20)))
    assert torch.equal(first.indices(13), second.indices(13))
    assert not torch.equal(first.indices(13), GroupSampler(torch.full((30,), 2), 7, 6).indices(13))
