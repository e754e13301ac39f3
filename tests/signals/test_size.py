from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsnf.errors import InputError
from fastsnf.signals.size import centre_crop, parse_size

side = st.integers(1, 5000)


@pytest.mark.parametrize(
    ("given_size", "expected"),
    [("512x384", (512, 384)), (" 1 X 2 ", (1, 2)), ("3×4", (3, 4)), ((5, 6), (5, 6)), ([7, 8], (7, 8))],
)
def test_sizes_are_width_by_height(given_size: object, expected: tuple[int, int]) -> None:
    assert parse_size(given_size) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    ["", "512", "0x5", "5x0", "-5x5", "5x5x5", "axb", "5.5x5", "1e3x2", (5,), (5, 0), (5.0, 5), (True, 5), 5],
)
def test_sizes_that_are_none_say_what_one_looks_like(wrong: object) -> None:
    with pytest.raises(InputError, match="512x384"):
        parse_size(wrong)  # type: ignore[arg-type]


@given(side, side, side, side)
def test_crop_is_the_largest_centred_box_of_the_aspect(w: int, h: int, width: int, height: int) -> None:
    left, top, right, bottom = centre_crop((w, h), (width, height))
    assert 0 <= left < right <= w
    assert 0 <= top < bottom <= h
    assert left + right == pytest.approx(w)
    assert top + bottom == pytest.approx(h)
    assert (right - left) * height == pytest.approx((bottom - top) * width, rel=1e-5)
    assert (left, right) == (0, w) or (top, bottom) == (0, h)


def test_crop_of_the_same_aspect_is_the_whole() -> None:
    assert centre_crop((768, 512), (192, 128)) == (0, 0, 768, 512)
    assert centre_crop((768, 512), (100, 100)) == (128, 0, 640, 512)
