"""Batches of groups: every group once an epoch, enough of them in each step, and points counted."""

from __future__ import annotations

import math

import pytest
import torch

from fastsnf.ntk.groups import Blocks, Groups
from fastsnf.train.samplers.groups import GroupSampler


def of_sizes(sizes: list[int]) -> Groups:
    return Groups.of(torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)))


def batches(sampler: GroupSampler, steps: range) -> list[torch.Tensor]:
    found = [sampler.indices(step) for step in steps]
    return [torch.arange(index.stop) if isinstance(index, slice) else index for index in found]


@pytest.mark.parametrize("count", [1, 2, 7, 12, 40])
@pytest.mark.parametrize("per_step", [1, 3, 5, 12, 50])
@pytest.mark.parametrize("least", [1, 2, 3])
def test_an_epoch_visits_every_group_once_and_no_step_has_too_few(count, per_step, least):
    if min(per_step, count) < least:
        return  # refused before it comes to a sampler
    sampler = GroupSampler(of_sizes([4] * count), per_step, 3, least=least)
    for epoch in range(3):
        steps = range(epoch * sampler.steps_per_epoch, (epoch + 1) * sampler.steps_per_epoch)
        found = batches(sampler, steps)
        assert sorted(torch.cat(found).tolist()) == list(range(count))
        assert min(map(len, found)) >= min(least, count)
        assert all(len(batch) == sampler.groups for batch in found[:-1])
        assert len(found[-1]) < sampler.groups + least


def test_points_are_counted_as_they_are_taken():
    sizes = torch.tensor([5, 1, 4, 4, 2, 3, 3, 1])
    sampler = GroupSampler(of_sizes(sizes.tolist()), 3, 0)
    seen = [0]
    for batch in batches(sampler, range(11)):
        seen.append(seen[-1] + int(sizes[batch].sum()))
    assert [sampler.points_seen(step) for step in range(12)] == seen
    assert [sampler.points_seen(step) for step in (7, 2, 11, 0)] == [seen[step] for step in (7, 2, 11, 0)]
    assert seen[sampler.steps_per_epoch] == 23
    assert sampler.batch == 15


def test_all_groups_are_one_slice_and_points_of_whole_epochs():
    sampler = GroupSampler(of_sizes([5, 1, 4]), 3, 0)
    assert sampler.indices(7) == slice(0, 3)
    assert (sampler.batch, sampler.steps_per_epoch, sampler.points_seen(4)) == (10, 1, 40)


def test_a_step_depends_on_seed_and_number_alone():
    first, second = (GroupSampler(of_sizes([2] * 30), 7, 5) for _ in range(2))
    list(batches(first, range(20)))
    assert torch.equal(first.indices(13), second.indices(13))
    assert not torch.equal(first.indices(13), GroupSampler(of_sizes([2] * 30), 7, 6).indices(13))


@pytest.mark.parametrize("voxels", [512**3, 2048**3, 511 * 512**2 - 17])
def test_nothing_is_held_for_every_run_of_a_large_grid(voxels, monkeypatch):
    sizes = Blocks.sizes

    def of_few(self, ids=None):
        assert ids is not None, "sizes of all groups"
        assert len(ids) <= 512
        return sizes(self, ids)

    monkeypatch.setattr(Blocks, "sizes", of_few)
    groups = Groups.runs(voxels, 256)
    sampler = GroupSampler(groups, 512, 0, least=15)
    assert sampler.steps_per_epoch == math.ceil(math.ceil(voxels / 256) / 512)
    for step in (0, sampler.steps_per_epoch - 1, sampler.steps_per_epoch):
        index = sampler.indices(step)
        points = groups.members(index).points
        assert len(points) == int(of_few(groups, index).sum())
        assert int(points.max()) < voxels
    assert sampler.points_seen(3) == 3 * 512 * 256
    if voxels % 256 == 0:  # else its last run is looked for
        assert sampler.points_seen(sampler.steps_per_epoch + 1) == voxels + 512 * 256


def test_the_rest_of_a_grid_is_a_shorter_run():
    groups = Groups.runs(1000, 256)
    sampler = GroupSampler(groups, 2, 0)
    batches_of_points = [groups.members(sampler.indices(step)).points for step in range(2)]
    assert torch.equal(torch.cat(batches_of_points).sort().values, torch.arange(1000))
    assert sampler.points_seen(2) == 1000
