"""Arrays as pictures: means of blocks, colours at the ends of a scale, what is not known."""

import io

import numpy as np
import pytest
from PIL import Image

from fastsnf.analysis.run_report.picture import (
    ERRORS,
    MOST_PIXELS,
    SIGNED,
    block_means,
    coloured,
    errors,
    factor_of,
    grey,
    number,
    picture,
    signed,
)


def pixels(shown):
    """The pixels of a `Picture`, decoded."""
    return np.asarray(Image.open(io.BytesIO(shown.png)))


@pytest.mark.parametrize(("height", "width", "factor"), [(12, 8, 4), (13, 7, 4), (3, 2, 5), (6, 5, 1)])
def test_block_means_are_means_of_blocks(height, width, factor):
    values = np.random.default_rng(0).random((height, width, 2)).astype(np.float32)
    found = block_means(lambda first, last: values[first:last], height, width, factor)
    rows, columns = -(-height // factor), -(-width // factor)
    expected = [
        [
            values[r * factor : (r + 1) * factor, c * factor : (c + 1) * factor].mean((0, 1))
            for c in range(columns)
        ]
        for r in range(rows)
    ]
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-5)


def test_block_means_read_strips_of_a_large_picture():
    seen = []

    def rows(first, last):
        seen.append(last - first)
        return np.full((last - first, 1 << 18, 1), first, dtype=np.float32)

    assert block_means(rows, 16, 1 << 18, 2).shape == (8, 1 << 17, 1)
    assert seen == [4, 4, 4, 4]


@pytest.mark.parametrize(
    ("sides", "factor"), [((10, 20), 1), ((MOST_PIXELS, 1), 1), ((5, MOST_PIXELS + 1), 2)]
)
def test_a_large_picture_is_reduced_by_a_whole_factor(sides, factor):
    assert factor_of(*sides) == factor


def test_colours_run_from_end_to_end_and_what_is_not_known_is_grey():
    found = coloured(np.array([[-1.0, 0.0, 0.5, 1.0, 9.0, np.nan]]), 0.0, 1.0, ERRORS)[0]
    assert tuple(found[0]) == tuple(found[1]) == ERRORS[0]
    assert tuple(found[2]) == ERRORS[len(ERRORS) // 2]
    assert tuple(found[3]) == tuple(found[4]) == ERRORS[-1]
    assert tuple(found[5]) == (128, 128, 128)
    assert (coloured(np.zeros((2, 2)), 0.0, 0.0, ERRORS) == ERRORS[0]).all()


def test_errors_start_at_0_and_one_bad_point_hides_nothing():
    error = np.full((40, 40), 0.1)
    error[0, 0] = 50.0
    shown = errors("e", error, unit="K")
    assert (shown.scale.low, shown.scale.high) == ("0 K", "0.1 K or more, at most 50")
    assert tuple(pixels(shown)[5, 5]) == ERRORS[-1]
    perfect = errors("e", np.zeros((4, 4)))
    assert (pixels(perfect) == ERRORS[0]).all()
    assert "most" not in perfect.scale.high
    assert errors("e", np.full((2, 2), np.nan)).scale.high == "0"


def test_signed_is_white_at_0():
    shown = signed("d", np.array([[-2.0, 0.0, 2.0]]), 2.0)
    assert pixels(shown)[0].tolist() == [list(SIGNED[0]), list(SIGNED[2]), list(SIGNED[-1])]


def test_values_of_one_and_three_channels_are_clipped():
    one = grey("g", np.array([[[-0.5], [0.5], [np.nan], [2.0]]]))
    assert pixels(one).tolist() == [[0, 128, 0, 255]]
    three = grey("g", np.array([[[0.0, 1.0, 0.2]]]))
    assert pixels(three).tolist() == [[[0, 255, 51]]]


def test_a_picture_is_what_it_was_made_of():
    array = np.random.default_rng(1).integers(0, 255, (7, 9, 3), dtype=np.uint8)
    shown = picture("p", array[:, ::-1])
    assert (shown.width, shown.height) == (9, 7)
    np.testing.assert_array_equal(pixels(shown), array[:, ::-1])


def test_numbers_are_short():
    values = (0.0, 0.123456, 999.4, -12345.0, 12345678.0)
    assert [number(value) for value in values] == ["0", "0.123", "999", "-12,345", "1.23e+07"]
