from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastsnf.errors import InputError
from fastsnf.signals.grid import Grid, axis_coordinates, holdout_split

shapes = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)


@pytest.mark.parametrize("size", [2, 3, 7, 100, 512, 8191])
def test_axis_is_linspace_with_both_ends_rounded_once(size: int) -> None:
    axis = axis_coordinates(size)
    assert np.array_equal(axis.numpy(), np.linspace(-1, 1, size).astype(np.float32))
    assert torch.equal(axis, -axis.flip(0))
    torch.testing.assert_close(axis, torch.linspace(-1, 1, size), rtol=0, atol=1.2e-7)


def test_axis_of_one_point_is_the_centre() -> None:
    assert axis_coordinates(1).tolist() == [0.0]
    assert Grid((1, 3, 1)).points().tolist() == [[0, -1, 0], [0, 0, 0], [0, 1, 0]]


@given(shapes)
def test_points_are_in_row_major_order(shape: tuple[int, ...]) -> None:
    grid = Grid(shape)
    axes = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape]
    expected = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(shape))
    assert grid.size == len(expected)
    assert np.array_equal(grid.points().numpy(), expected.astype(np.float32))


@given(shapes, st.integers(0, 10), st.integers(0, 10), st.integers(1, 3), st.integers(0, 2**31))
def test_coordinates_by_index_are_those_of_the_grid(
    shape: tuple[int, ...], start: int, length: int, step: int, seed: int
) -> None:
    grid = Grid(shape)
    points = grid.points()
    window = slice(start, start + length, step)
    assert torch.equal(grid.at(window), points[window])
    index = torch.randint(0, grid.size, (13,), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(grid.at(index), points[index])


def test_a_grid_too_large_to_hold_still_knows_its_points() -> None:
    grid = Grid((10**6, 10**6, 2))
    last = torch.tensor([grid.size - 1, 0, grid.size - 2])
    assert grid.at(last).tolist() == [[1, 1, 1], [-1, -1, -1], [1, 1, -1]]


@pytest.mark.parametrize("shape", [(), (0, 3), (-1,), (2.0, 2), (True, 2), "ab", 5, (2, None)])
def test_shapes_that_are_none_are_refused(shape: object) -> None:
    with pytest.raises(InputError, match="expected a shape"):
        Grid(shape)  # type: ignore[arg-type]


@given(shapes.filter(lambda shape: max(shape) > 1), st.integers(2, 5))
def test_holdout_takes_every_kth_point_of_each_axis(shape: tuple[int, ...], every: int) -> None:
    train, test = holdout_split(shape, every)
    places = np.stack(np.unravel_index(np.arange(math.prod(shape)), shape), -1)
    chosen = (places % every == 0).all(-1)
    assert np.array_equal(train.numpy(), np.flatnonzero(chosen))
    assert np.array_equal(test.numpy(), np.flatnonzero(~chosen))
    assert len(test)
    assert train.dtype == test.dtype == torch.int64


@pytest.mark.parametrize(
    ("shape", "every"), [((4, 4), 1), ((4, 4), 0), ((4, 4), 2.0), ((1, 1), 2), ((0,), 2)]
)
def test_holdout_that_leaves_nothing_is_refused(shape: tuple[int, ...], every: int) -> None:
    with pytest.raises(InputError, match="expected"):
        holdout_split(shape, every)
