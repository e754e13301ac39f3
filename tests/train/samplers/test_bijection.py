"""The order of very many points that nobody holds."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fastsnf.train.samplers.bijection import ROUNDS, Bijection
from fastsnf.train.samplers.passes import Passes

SIZES = [*range(1, 70), 97, 127, 128, 129, 255, 256, 257, 1000, 1023, 1025, 4099, 65_536, 65_537, 99_991]
"""One, odd, powers of two and their neighbours, primes."""

BILLIONS = 2048**3
CUBE = 512**3


def by_hand(number: int, bijection: Bijection) -> int:
    """One pass through the network, in Python's integers."""
    bits, lefts, mask = bijection._bits, bijection._lefts, (1 << 64) - 1

    def mixed(value: int, key: int) -> int:
        z = (value + key) * 0xBF58476D1CE4E5B9 & mask
        z ^= (z >> 32) | ((0xFFFFFFFF << 32) if z >> 63 else 0)  # shifted with its sign
        z = z * 0x94D049BB133111EB & mask
        return z >> 32

    left, right = number >> bits, number & ((1 << bits) - 1)
    for i, key in enumerate(bijection._keys):
        if i % 2:
            right ^= mixed(left, key) >> (32 - bits)
        else:
            left = (left + (mixed(right, key) * lefts >> 32)) % lefts
    return left << bits | right


def without_looking(bijection: Bijection, first: int, last: int) -> torch.Tensor:
    """What a GPU computes: so many passes as any number may need."""
    numbers = bijection._once(torch.arange(first, last))
    for _ in range(bijection._most_walks()):
        numbers = torch.where(numbers < bijection.size, numbers, bijection._once(numbers.clone()))
    return numbers


@pytest.mark.parametrize("size", SIZES)
def test_every_number_comes_once(size):
    bijection = Bijection(size, 7, 0)
    order = bijection.at(0, size)
    assert torch.equal(order.sort().values, torch.arange(size))
    assert torch.equal(without_looking(bijection, 0, size), order)
    parts = [bijection.at(start, min(start + 33, size)) for start in range(0, size, 33)]
    assert torch.equal(torch.cat(parts), order)


@pytest.mark.parametrize("size", [97, 4099, 10**6 + 3, CUBE, BILLIONS, BILLIONS - 977])
def test_the_network_is_the_one_described(size):
    bijection = Bijection(size, 3, 5)
    start = size - 50
    walked = []
    for number in range(start, size):
        number = by_hand(number, bijection)
        while number >= size:
            number = by_hand(number, bijection)
        walked.append(number)
    assert bijection.at(start, size).tolist() == walked
    assert without_looking(bijection, start, size).tolist() == walked


def test_few_numbers_leave_the_range_and_few_passes_bring_them_back():
    for size in (CUBE - 12_345, BILLIONS - 977, 3 * 5 * 7 * 11 * 13 * 17 * 19):
        bijection = Bijection(size, 0)
        assert (bijection._lefts << bijection._bits) - size < 2 * size**0.5
        assert bijection._most_walks() <= 5
    assert Bijection(CUBE, 0)._most_walks() == 0


def test_seeds_and_epochs_have_orders_of_their_own():
    orders = [Bijection(5_000_011, seed, epoch).at(0, 50_000) for seed in (0, 1) for epoch in (0, 1)]
    for i, order in enumerate(orders):
        for other in orders[:i]:
            assert int((order == other).sum()) < 5
            shared = len(order) + len(other) - len(torch.cat([order, other]).unique())
            assert 400 < shared < 600  # 500 expected of independent draws


def chi_square(counts: torch.Tensor) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("size", [CUBE, CUBE - 12_345, BILLIONS])
@pytest.mark.parametrize("first", [0, 4096 * 1000, 4096 * 32_000])
def test_batches_are_spread_like_independent_draws(size, first):
    """Numbers over the octants of a cube, over strides and over their lowest bits, batch after batch."""
    bijection, side = Bijection(size, 11, 2), round(size ** (1 / 3))
    octants = torch.zeros(8)
    for start in range(first, first + 16 * 4096, 4096):
        number = bijection.at(start, start + 4096)
        places = [(number // side**axis % side) * 2 // side for axis in range(3)]
        batch = torch.bincount(places[0] + 2 * places[1] + 4 * places[2], minlength=8).float()
        assert chi_square(batch) < 40  # 7 degrees of freedom: one in a million
        octants += batch
        assert chi_square(torch.bincount(number & 63, minlength=64).float()) < 140  # 63 degrees
        assert chi_square(torch.bincount(number * 64 // size, minlength=64).float()) < 140
    assert chi_square(octants) < 40


def test_neighbours_in_the_order_are_strangers():
    number = Bijection(CUBE, 4).at(0, 1 << 16).double()
    scaled = number / CUBE - 0.5
    for lag in (1, 2, 128, 4096):
        correlation = float((scaled[:-lag] * scaled[lag:]).mean() / scaled.square().mean())
        assert abs(correlation) < 5 / len(scaled) ** 0.5


def test_the_cost_of_a_batch_is_a_few_operations_a_round():
    calls = []

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            calls.append(function)
            return function(*args, **(kwargs or {}))

    with Count():
        Bijection(CUBE, 0).at(0, 32_768)
    assert ROUNDS == 6
    assert len(calls) <= 10 + 11 * ROUNDS


def test_windows_of_many_batches_are_the_batches():
    """A GPU asks for the numbers of many batches at once."""
    one, many = (Passes(10_007, 100, 3, group=5000) for _ in range(2))
    many._at_once = 7
    for step in (*range(230), 3, 101, 100):
        assert torch.equal(one.indices(step), many.indices(step))
