"""The user's units and the coordinates of a field, there and back."""

from __future__ import annotations

import json

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.signals.frame import Frame
from fastsnf.signals.grid import Grid


def test_there_and_back() -> None:
    frame = Frame((2.0, 3.0, 0.25), (1.0, -1.0, 100.0))
    points = torch.tensor([[1.0, -1.0, 100.0], [2.0, 0.0, 104.0]])
    x = frame.to_coordinates(points)
    assert x.tolist() == [[0, 0, 0], [2, 3, 1]]
    assert torch.equal(frame.to_units(x), points)
    assert frame.to_coordinates(points.double()).dtype == torch.float64
    assert frame.to_coordinates(torch.tensor([1, 2, 3])).dtype == torch.float32
    assert Frame.from_metadata(json.loads(json.dumps(frame.metadata())), 3) == frame
    assert torch.equal(Frame.identity(3).to_units(x), x)


def test_units_are_exact_far_from_0() -> None:
    frame = Frame((1e-3,) * 3, (1e7, 1e7, 1e7))
    points = torch.tensor([[1e7 + 1, 1e7 - 1, 1e7]], dtype=torch.float64)
    torch.testing.assert_close(frame.to_coordinates(points), torch.tensor([[1e-3, -1e-3, 0.0]]).double())


@pytest.mark.parametrize("bounds", [(), ((0.0, 5.0), (-2.0, 2.0), (-1.0, 0.0))])
def test_voxels_are_counted_from_the_corner_or_an_origin(bounds: tuple[tuple[float, float], ...]) -> None:
    grid = Grid((4, 6, 3), bounds)
    index = torch.arange(grid.size)
    place = torch.stack(torch.unravel_index(index, grid.shape), -1)
    torch.testing.assert_close(Frame.of_voxels(grid).to_coordinates(place), grid.points())
    origin = (7, 8, 9)
    moved = Frame.of_voxels(grid, origin)
    torch.testing.assert_close(moved.to_coordinates(place + torch.tensor(origin)), grid.points())


def test_an_axis_of_one_voxel_has_its_place() -> None:
    frame = Frame.of_voxels(Grid((1, 5, 5)), (3, 0, 0))
    assert frame.to_coordinates(torch.tensor([3.0, 2, 2])).tolist() == [0, 0, 0]


def test_wrong_frames_and_points_are_refused() -> None:
    for scale, centre in (((0.0,), (1.0,)), ((1.0, 1.0), (1.0,)), ((1.0,), (float("nan"),)), ((), ())):
        with pytest.raises(InputError, match="expected a scale"):
            Frame(scale, centre)
    for points in (torch.zeros(2), torch.tensor(1.0), torch.zeros(3, 4)):
        with pytest.raises(InputError, match="expected points"):
            Frame.identity(3).to_coordinates(points)
