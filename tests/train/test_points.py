from __future__ import annotations

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.signals import Grid, Occupancy
from fastsnf.signals.samples import Samples
from fastsnf.train.points import Points, split
from tests.train.samples import holey_samples, small_image

CPU = torch.device("cpu")


def test_holdout_trains_on_every_kth_point_of_each_axis():
    image = small_image((7, 5))
    train, held = split(image, 3)
    expected = [[row % 3 == 0 and column % 3 == 0 for column in range(5)] for row in range(7)]
    assert train.reshape(7, 5).tolist() == expected
    assert torch.equal(held, ~train)


def test_holes_are_on_neither_side():
    samples = holey_samples()
    train, held = split(samples, 2)
    assert not (train & held).any()
    assert torch.equal(train | held, samples.weights > 0)


def test_a_holdout_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match="hold out"):
        split(small_image((1, 1)), 2)


def test_everything_needs_no_mask():
    assert split(small_image(), None) == (None, None)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("holdout", [None, 2])
def test_batches_are_the_subsets_points(cached, holdout, monkeypatch):
    if not cached:
        monkeypatch.setattr("fastsnf.train.points.CACHED_POINTS", 10)
    samples = holey_samples()
    mask = split(samples, holdout)[0]
    points = Points(samples, mask, CPU, torch.float64)
    rows = mask.nonzero().squeeze(1)
    assert points.count == len(rows)
    for index in (torch.tensor([5, 0, 5, points.count - 1]), slice(2, 9)):
        x, y, w = points.batch(index)
        assert torch.equal(x, samples.coords[rows[index]].double())
        assert torch.equal(y, samples.values[rows[index]].double())
        assert torch.equal(w, samples.weights[rows[index]].double())
        assert y.isfinite().all()


def test_weights_of_one_are_dropped():
    samples = Samples.from_array(torch.rand(4, 4, 1), torch.eye(4))
    points = Points(samples, split(samples, None)[0], CPU, torch.float32)
    assert points.count == 4
    assert points.batch(slice(0, 4))[2] is None


def test_values_that_are_trained_on_must_be_finite():
    samples = holey_samples()
    samples.check(split(samples, None)[0])
    with pytest.raises(InputError, match=r"60 of 360 points, the first at \[\d+, \d+\]: give those"):
        samples.check()


def test_points_of_a_huge_grid_are_not_marked_one_by_one():
    huge = Occupancy(None, Grid((2048, 2048, 2048)))
    with pytest.raises(InputError, match="at most 1,073,741,824 points"):
        split(huge, 2)
    assert split(huge, None) == (None, None)
