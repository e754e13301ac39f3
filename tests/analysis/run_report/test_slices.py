"""Slices through a grid: the numbers of their points are those of the array."""

import numpy as np
import pytest

from fastsnf.analysis.run_report import slices
from fastsnf.analysis.run_report.slices import middle_slices, slice_of


@pytest.mark.parametrize(("axis", "place"), [(0, 0), (0, 4), (1, 2), (2, 6)])
def test_a_slice_is_that_of_the_array(axis, place):
    array = np.arange(5 * 6 * 7).reshape(5, 6, 7)
    cut = slice_of(array.shape, axis, place)
    expected = np.take(array, place, axis=axis)
    assert cut.shape == expected.shape
    np.testing.assert_array_equal(array.reshape(-1)[cut.index.numpy()].reshape(cut.shape), expected)
    assert cut.title == f"axis {axis} at {place}"
    assert cut.note == ""


def test_a_large_slice_is_thinned(monkeypatch):
    monkeypatch.setattr(slices, "MOST_SIDE", 4)
    array = np.arange(3 * 9 * 5).reshape(3, 9, 5)
    cut = slice_of(array.shape, 0, 1)
    np.testing.assert_array_equal(array.reshape(-1)[cut.index.numpy()].reshape(cut.shape), array[1, ::3, ::3])
    assert cut.note == "every 3th point"


def test_middles():
    assert [cut.place for cut in middle_slices((5, 1, 8))] == [2, 0, 4]
