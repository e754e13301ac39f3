"""Compact points give back what went in, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastsnf.signals.grid import Grid
from fastsnf.signals.image import Image
from fastsnf.signals.samples import Samples
from fastsnf.train.points import Points, split
from fastsnf.train.storage import Bits, Codes, GridCoordinates, Halves, Plain, compact, on_grid
from tests.train.samples import holey_samples, small_image

CPU = torch.device("cpu")
N = 1003
HALF = torch.tensor([0.5, -1.75, 65504.0, 6.1e-5, 0.0, -0.0]).half().float()

VALUES = {
    "bits": (torch.rand(N, 1) > 0.5, Bits),
    "ones": (torch.ones(N, 1), Bits),
    "zeros and ones, three channels": (torch.rand(N, 3) > 0.5, Codes),
    "bytes": (torch.randint(0, 256, (N, 3)).float() / torch.full((N, 3), 255.0), Codes),
    "halves": (HALF[torch.randint(0, 6, (N, 2))], Halves),
    "minus zero": (torch.where(torch.arange(N)[:, None] == 7, -0.0, 1.0), Halves),
    "one byte off": (torch.where(torch.arange(N)[:, None] == 1000, 0.1001, 1.0), Plain),
    "beyond a byte": (torch.where(torch.arange(N)[:, None] == 3, 256 / 255, 1 / 255), Plain),
    "any": (torch.rand(N, 2), Plain),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("values", "form"), VALUES.values(), ids=VALUES)
def test_columns_are_lossless(values, form, dtype, monkeypatch):
    monkeypatch.setattr("fastsnf.train.storage.CHECK_POINTS", 100)
    values = values.float()
    column = compact(values, CPU, dtype)
    assert type(column) is form
    for index in (torch.randint(0, N, (300,)), slice(0, N), slice(5, 17), torch.tensor([N - 1])):
        found = column.at(index)
        assert found.dtype == dtype
        assert found.shape == values[index].shape
        assert torch.equal(found, values[index].to(dtype))
        assert torch.equal(found.signbit(), values[index].signbit())


def test_every_byte_of_a_picture_is_kept():
    samples = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.from_array(samples)
    column = compact(image.values, CPU, torch.float32)
    assert isinstance(column, Codes)
    assert torch.equal(column.at(slice(0, 256)), image.values)
    assert torch.equal(column.rows.reshape(16, 16), torch.from_numpy(samples))


@pytest.mark.parametrize("shape", [(7,), (5, 1), (1, 6, 3), (2, 3, 4, 5)])
def test_coordinates_from_the_index_are_the_grids(shape):
    grid = Grid(shape)
    subset = torch.randperm(grid.size)[: max(1, grid.size // 2)]
    for dtype in (torch.float32, torch.float64):
        every = GridCoordinates(grid, None, CPU, dtype)
        part = GridCoordinates(grid, subset, CPU, dtype)
        assert torch.equal(every.at(slice(1, grid.size)), grid.points()[1:].to(dtype))
        assert torch.equal(every.at(subset), grid.points()[subset].to(dtype))
        assert torch.equal(part.at(slice(0, len(subset))), grid.points()[subset].to(dtype))
        assert torch.equal(
            part.at(torch.zeros(3, dtype=torch.int64)), grid.points()[subset[[0, 0, 0]]].to(dtype)
        )


class Elsewhere(Samples):
    """A signal whose points are not the grid's."""

    def batch(self, index):
        x, y, w = super().batch(index)
        return 2 * x, y, w


def test_a_signal_with_points_of_its_own_is_on_no_grid():
    assert on_grid(small_image((4, 3))) == Grid((4, 3))
    assert on_grid(Elsewhere((4, 3), 1, torch.rand(12, 1))) is None


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("holdout", [None, 2])
def test_packed_points_are_the_plain_ones(cached, holdout, monkeypatch):
    samples = holey_samples()
    mask = split(samples, holdout)[0]
    plain = Points(samples, mask, CPU, torch.float32)
    if not cached:
        monkeypatch.setattr("fastsnf.train.points.CACHED_POINTS", 10)
    packed = Points(samples, mask, CPU, torch.float32, packed=True)
    assert packed.resident
    assert packed.count == plain.count
    for index in (torch.tensor([5, 0, 5, plain.count - 1]), slice(2, 9), slice(0, plain.count)):
        for found, expected in zip(packed.batch(index), plain.batch(index), strict=True):
            assert torch.equal(found, expected)


def test_what_does_not_fit_is_read_batch_by_batch(monkeypatch):
    monkeypatch.setattr("fastsnf.train.points.CACHED_POINTS", 10)
    far = Elsewhere((4, 5), 1, torch.rand(20, 1))
    assert not Points(far, None, CPU, torch.float32, packed=True).resident
    assert Points(small_image(), None, CPU, torch.float32, packed=True).resident
    monkeypatch.setattr("fastsnf.train.points.DEVICE_BYTES", 100)
    points = Points(small_image(), None, CPU, torch.float32, packed=True)
    assert not points.resident
    assert torch.equal(points.batch(torch.tensor([3, 1]))[1], small_image().values[[3, 1]])
