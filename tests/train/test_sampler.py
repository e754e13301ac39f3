from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsnf.train.sampler import Sampler


def epoch_of(sampler: Sampler, epoch: int) -> list[torch.Tensor]:
    first = epoch * sampler.steps_per_epoch
    everything = torch.arange(sampler.points)
    return [everything[sampler.indices(first + step)] for step in range(sampler.steps_per_epoch)]


@settings(max_examples=60)
@given(st.integers(1, 300), st.integers(1, 320), st.integers(0, 2**63), st.integers(0, 3), st.integers(1, 80))
def test_an_epoch_visits_every_point_once(points, batch, seed, epoch, group):
    batches = epoch_of(Sampler(points, batch, seed, group=group), epoch)
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(points))
    assert all(len(indices) == min(batch, points) for indices in batches[:-1])


@pytest.mark.parametrize("group", [1 << 22, 300])
def test_a_batch_depends_on_seed_and_step_alone(group):
    forward = Sampler(1000, 64, seed=3, group=group)
    expected = [forward.indices(step).clone() for step in range(40)]
    for step in (39, 0, 17, 16, 15, 38):
        assert torch.equal(Sampler(1000, 64, seed=3, group=group).indices(step), expected[step])
        assert torch.equal(forward.indices(step), expected[step])


def test_seeds_and_epochs_have_orders_of_their_own():
    orders = [torch.cat(epoch_of(Sampler(500, 50, seed), epoch)) for seed in (0, 1) for epoch in (0, 1)]
    for i, order in enumerate(orders):
        agreement = [int((order == other).sum()) for other in orders[:i]]
        assert all(same < 10 for same in agreement)  # 1 is expected


def test_random_state_is_left_alone():
    before = torch.get_rng_state()
    Sampler(1000, 10, seed=0).indices(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_full_batch_is_a_slice():
    assert Sampler(100, 100, seed=0).indices(5) == slice(0, 100)


def test_groups_cover_the_domain():
    """With 10 strided groups, a batch from one of them still has points of every tenth of the signal."""
    batch = Sampler(10_000, 500, seed=0, group=1000).indices(0)
    assert len((batch // 1000).unique()) == 10


@pytest.mark.parametrize(("points", "batch"), [(100, 30), (100, 100), (7, 3), (1, 1)])
def test_points_seen(points, batch):
    sampler, seen = Sampler(points, batch, seed=0), 0
    everything = torch.arange(points)
    for step in range(12):
        assert sampler.points_seen(step) == seen
        seen += len(everything[sampler.indices(step)])
