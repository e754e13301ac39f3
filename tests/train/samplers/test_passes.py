from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsnf.train.samplers.passes import Passes, hashed_order


def epoch_of(sampler: Passes, epoch: int) -> list[torch.Tensor]:
    first = epoch * sampler.steps_per_epoch
    everything = torch.arange(sampler.points)
    return [everything[sampler.indices(first + step)] for step in range(sampler.steps_per_epoch)]


@settings(max_examples=100)
@given(
    st.integers(1, 300),
    st.integers(1, 320),
    st.integers(0, 2**63),
    st.integers(0, 3),
    st.integers(1, 80),
    st.booleans(),
)
def test_an_epoch_visits_every_point_once(points, batch, seed, epoch, group, hashed):
    batches = epoch_of(Passes(points, batch, seed, group=group, hashed=hashed), epoch)
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(points))
    assert all(len(indices) == min(batch, points) for indices in batches[:-1])


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("group", [1 << 22, 300])
def test_a_batch_depends_on_seed_and_step_alone(group, hashed):
    forward = Passes(1000, 64, seed=3, group=group, hashed=hashed)
    expected = [forward.indices(step).clone() for step in range(40)]
    for step in (39, 0, 17, 16, 15, 38):
        fresh = Passes(1000, 64, seed=3, group=group, hashed=hashed)
        assert torch.equal(fresh.indices(step), expected[step])
        assert torch.equal(forward.indices(step), expected[step])


def splitmix64(state: int, count: int) -> list[int]:
    """The published generator, in Python's integers."""
    mask, out = (1 << 64) - 1, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        out.append(z ^ (z >> 31))
    return out


@pytest.mark.parametrize("seed", [0, 1234567, -1, -(2**63), 2**63 - 1])
def test_hashed_orders_sort_splitmix64(seed):
    hashes = splitmix64(seed % 2**64, 500)
    signed = [value - (value >> 63 << 64) for value in hashes]
    expected = sorted(range(500), key=signed.__getitem__)
    assert hashed_order(500, seed, torch.device("cpu")).tolist() == expected


def test_hashed_orders_are_uniform():
    """Each of 20 points comes first about as often as the others."""
    first = torch.tensor([int(hashed_order(20, seed * 7919, torch.device("cpu"))[0]) for seed in range(2000)])
    counts = torch.bincount(first, minlength=20)
    assert 60 < int(counts.min()) <= int(counts.max()) < 145  # 100 expected, 4 sigma


@pytest.mark.parametrize("hashed", [False, True])
def test_seeds_and_epochs_have_orders_of_their_own(hashed):
    orders = [
        torch.cat(epoch_of(Passes(500, 50, seed, hashed=hashed), epoch))
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    for i, order in enumerate(orders):
        agreement = [int((order == other).sum()) for other in orders[:i]]
        assert all(same < 10 for same in agreement)  # 1 is expected


def test_random_state_is_left_alone():
    before = torch.get_rng_state()
    for hashed in (False, True):
        Passes(1000, 10, seed=0, hashed=hashed).indices(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_full_batch_is_a_slice():
    assert Passes(100, 100, seed=0).indices(5) == slice(0, 100)


def test_an_order_that_is_not_held_covers_the_domain():
    batch = Passes(10_000, 500, seed=0, group=1000).indices(0)
    assert len((batch // 1000).unique()) == 10


def test_only_an_order_that_is_not_held_is_part_of_what_a_run_is():
    assert [Passes(1000, 10, 0, group=group).order for group in (1000, 999)] == [None, "bijection"]


@pytest.mark.parametrize(("points", "batch"), [(100, 30), (100, 100), (7, 3), (1, 1)])
def test_points_seen(points, batch):
    sampler, seen = Passes(points, batch, seed=0), 0
    everything = torch.arange(points)
    for step in range(12):
        assert sampler.points_seen(step) == seen
        seen += len(everything[sampler.indices(step)])
