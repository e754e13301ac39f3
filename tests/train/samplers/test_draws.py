"""Samplers that draw: uniform, near the surface, balanced."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.signals.bits import BitGrid
from fastsnf.train import FitConfig
from fastsnf.train.samplers import balanced as balancing
from fastsnf.train.samplers.balanced import Balanced, Ranks
from fastsnf.train.samplers.draws import Draws, Uniform
from fastsnf.train.samplers.hashing import draws, hashes
from fastsnf.train.samplers.make import make_sampler
from fastsnf.train.samplers.passes import Passes
from fastsnf.train.samplers.surface import Surface, at_surface, states
from tests.train.samples import small_image
from tests.train.solids import solid

SHAPES = [(9, 20, 17), (16, 16, 16), (8, 24, 9), (1, 5, 7), (40, 3, 64)]


def grid(shape: tuple[int, ...], share: float = 0.5, seed: int = 0) -> BitGrid:
    return BitGrid.from_bool(np.random.default_rng(seed).random(shape) < share)


def half_full(shape: tuple[int, ...] = (48, 40, 33)) -> BitGrid:
    """Occupied below a sloping plane."""
    i, j, k = np.indices(shape)
    return BitGrid.from_bool(i + 0.3 * j + 0.2 * k < 24)


SAMPLERS = {
    "uniform": lambda batch, seed: Uniform(half_full().size, batch, seed),
    "surface": lambda batch, seed: Surface(half_full(), batch, seed),
    "balanced": lambda batch, seed: Balanced(half_full(), batch, seed),
}


@pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS)
def test_a_batch_depends_on_seed_and_step_alone(make):
    first, second, other = make(501, 7), make(501, 7), make(501, 8)
    for step in (5, 0, 5, 900):
        batch = first.indices(step)
        assert batch.dtype == torch.int64
        assert batch.shape == (501,)
        assert int(batch.min()) >= 0
        assert int(batch.max()) < first.points
        assert torch.equal(batch, second.indices(step))
        assert int((batch == other.indices(step)).sum()) < 20
    assert first.indices(3) is first.indices(3)
    assert int((first.indices(1) == first.indices(2)).sum()) < 20


@pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS)
def test_an_epoch_is_as_many_points_as_there_are(make):
    sampler = make(500, 0)
    assert sampler.steps_per_epoch == -(-48 * 40 * 33 // 500)
    assert sampler.points_seen(7) == 3500
    assert sampler.order == sampler.name


def chi_square(counts: torch.Tensor) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


def test_hashes_are_splitmix64():
    assert hashes(torch.arange(1, 3), 1234567).tolist() == [6457827717110365317, 3203168211198807973]


@pytest.mark.parametrize("below", [1, 2, 1000, 3 * 2**30, 2**40])
def test_draws_are_uniform(below):
    found = draws(20_000, below, 5)
    assert int(found.min()) >= 0
    assert int(found.max()) < below
    if below >= 1000:
        assert chi_square(torch.bincount(found * 100 // below, minlength=100).float()) < 170  # 99 degrees


def test_uniform_draws_come_with_repetition():
    counts = torch.bincount(Uniform(1000, 20_000, 0).indices(0), minlength=1000).float()
    assert chi_square(counts) < 1250  # 999 degrees: 5.6 sigma
    assert int(counts.max()) > 25


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_ranks_find_every_voxel_of_a_kind(shape, share, monkeypatch):
    monkeypatch.setattr(balancing, "PIECE", 4096)
    bits = grid(shape, share)
    occupied = bits.slab(0, shape[0]).reshape(-1)
    ranks = Ranks(bits)
    assert ranks.occupied == occupied.sum()
    assert np.array_equal(ranks.of_occupied(np.arange(occupied.sum())), np.flatnonzero(occupied))
    assert np.array_equal(ranks.of_empty(np.arange((~occupied).sum())), np.flatnonzero(~occupied))


@pytest.mark.parametrize("first", [0, 1])
def test_ranks_over_many_stretches(first, monkeypatch):
    """2^19 voxels and some: whole stretches of one kind, and the last bit alone."""
    monkeypatch.setattr(balancing, "PIECE", 8192)
    flat = np.zeros(2**19 + 13, dtype=bool)
    flat[[0, 31, 40_000, 2**18 - 1, 2**18, 2**18 + 77_777, len(flat) - 1]] = True
    flat = ~flat if first else flat
    ranks = Ranks(BitGrid.from_bool(flat[None, None]))
    select = ranks.of_empty if first else ranks.of_occupied
    rare = np.flatnonzero(~flat if first else flat)
    assert select(np.arange(7)).tolist() == rare.tolist()
    common = ranks.of_occupied if first else ranks.of_empty
    asked = np.array([0, 30, 39_990, 300_000, len(flat) - 8])
    assert np.array_equal(common(asked), np.flatnonzero(flat if first else ~flat)[asked])


def test_ranks_count_without_numpy_2(monkeypatch):
    bits = grid((16, 16, 16))
    newest = Ranks(bits).of_occupied(np.arange(100))
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert np.array_equal(Ranks(bits).of_occupied(np.arange(100)), newest)


def test_balanced_batches_are_half_occupied_and_uniform_within_each_half():
    bits = grid((10, 10, 10), 0.1)
    occupied = torch.from_numpy(bits.slab(0, 10).reshape(-1))
    sampler = Balanced(bits, 2001, 0)
    seen = torch.zeros(1000)
    for step in range(20):
        batch = sampler.indices(step)
        assert int(occupied[batch].sum()) == 1000
        seen += torch.bincount(batch, minlength=1000)
    for half in (seen[occupied], seen[~occupied]):
        assert chi_square(half) < len(half) - 1 + 5.5 * (2 * len(half)) ** 0.5


def neighbours_differ(bits: BitGrid) -> np.ndarray:
    """Blocks at the surface, one by one."""
    voxels = bits.slab(0, bits.shape[0])
    counts = [-(-size // 8) for size in bits.shape]
    found = np.zeros(counts, dtype=bool)
    kinds = np.empty(counts, dtype=object)
    for block in itertools.product(*map(range, counts)):
        part = voxels[tuple(slice(8 * b, 8 * b + 8) for b in block)]
        kinds[block] = {True} if part.all() else {False} if not part.any() else {True, False}
    for block in itertools.product(*map(range, counts)):
        around = [kinds[block]]
        for axis, step in itertools.product(range(3), (-1, 1)):
            there = [b + step * (axis == a) for a, b in enumerate(block)]
            if all(0 <= b < count for b, count in zip(there, counts, strict=True)):
                around.append(kinds[tuple(there)])
        found[block] = len(set.union(*around)) == 2 or len({*map(frozenset, around)}) > 1
    return found


@pytest.mark.parametrize("shape", [(48, 40, 33), (40, 40, 40), (17, 30, 8)])
def test_blocks_at_the_surface(shape):
    bits = half_full(shape)
    assert np.array_equal(at_surface(states(bits)), neighbours_differ(bits))


def test_half_of_a_surface_batch_is_in_its_blocks_and_each_block_is_as_likely():
    bits = half_full()
    sampler = Surface(bits, 4001, 0)
    blocks = at_surface(states(bits))
    chosen = torch.cat([sampler.indices(step)[:2000] for step in range(10)])
    places = np.unravel_index(chosen.numpy(), bits.shape)
    number = np.ravel_multi_index([place // 8 for place in places], blocks.shape)
    assert blocks.reshape(-1)[number].all()
    counts = torch.bincount(torch.from_numpy(number), minlength=blocks.size)[blocks.reshape(-1)].float()
    assert chi_square(counts) < len(counts) - 1 + 5.5 * (2 * len(counts)) ** 0.5
    inner = torch.from_numpy(np.stack(places) % 8)[:, torch.from_numpy(places[2] < 32)]
    for axis in range(3):
        assert chi_square(torch.bincount(inner[axis], minlength=8).float()) < 45  # 7 degrees
    assert len(sampler.indices(0)[2000:]) == 2001


@pytest.mark.parametrize(("cls", "what"), [(Surface, "surface"), (Balanced, "balanced")])
@pytest.mark.parametrize("share", [0.0, 1.1])
def test_grids_of_one_kind_are_refused(cls, what, share):
    with pytest.raises(InputError, match=f"for the sampler {what}; .*take passes or uniform"):
        cls(grid((9, 9, 9), share), 10, 0)


def test_the_configuration_chooses():
    occupancy = solid()
    kinds = {"passes": Passes, "uniform": Uniform, "surface": Surface, "balanced": Balanced}
    for name, cls in kinds.items():
        sampler = make_sampler(FitConfig(sampler=name, batch_size=100), occupancy, occupancy.size, "cpu")
        assert type(sampler) is cls
        assert sampler.name == name
        assert sampler.batch == 100
    image = small_image()
    assert isinstance(make_sampler(FitConfig(sampler="uniform"), image, image.size, "cpu"), Draws)
    for name in ("surface", "balanced"):
        with pytest.raises(InputError, match=f"occupancy grid for the sampler {name}; got image"):
            make_sampler(FitConfig(sampler=name), image, image.size, "cpu")
