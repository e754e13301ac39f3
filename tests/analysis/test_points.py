"""Sampled points: distinct, spread over the grid, by seed, never where nothing is known."""

import pytest
import torch

from fastsnf.analysis import data_at, sampled_points
from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.signals import Image, Samples


def signal(*shape, weights=None):
    return Samples(shape, 1, torch.zeros(torch.Size(shape).numel(), 1), weights)


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        ((64, 64), 100),
        ((7, 31), 50),
        ((1, 1000), 10),
        ((1000, 1), 7),
        ((9, 9, 9), 28),
        ((50,), 49),
        ((3, 5), 1),
    ],
)
def test_points_are_distinct_and_as_many_as_asked_for(shape, count):
    index = sampled_points(signal(*shape), count)
    assert len(index.unique()) == len(index) == count
    assert int(index[0]) >= 0
    assert int(index[-1]) < torch.Size(shape).numel()
    assert bool((index[1:] > index[:-1]).all())


def test_every_cell_of_the_grid_gives_a_point():
    index = sampled_points(signal(60, 40), 6 * 4)
    rows, columns = index // 40 // 10, index % 40 // 10
    assert len((rows * 4 + columns).unique()) == 24


def test_the_seed_decides():
    assert torch.equal(sampled_points(signal(30, 30), 50, seed=3), sampled_points(signal(30, 30), 50, seed=3))
    assert not torch.equal(
        sampled_points(signal(30, 30), 50, seed=3), sampled_points(signal(30, 30), 50, seed=4)
    )


def test_points_of_weight_0_are_never_taken():
    weights = (torch.arange(100) % 3 == 0).float()
    for count in (5, 34, 1000):
        index = sampled_points(signal(10, 10, weights=weights), count)
        assert bool((weights[index] > 0).all())
        assert len(index.unique()) == min(count, 34)


@pytest.mark.parametrize("count", [0, -1, 2.0, True])
def test_other_counts_are_refused(count):
    with pytest.raises(InputError, match="at least 1"):
        sampled_points(signal(4, 4), count)


def test_data_come_in_the_dtype_of_the_field():
    image = Image.from_array(torch.rand(5, 6))
    x, y, w = data_at(SNF(2, 1, 4, 1, dtype=torch.float64), image, torch.tensor([0, 29]))
    assert x.dtype == y.dtype == torch.float64
    assert w is None
    assert x.tolist() == [[-1.0, -1.0], [1.0, 1.0]]
