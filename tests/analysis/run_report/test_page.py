"""The HTML of a report: what is text stays text, whatever it holds; nothing is loaded from elsewhere."""

import numpy as np
import pytest

from fastsnf.analysis.run_report import page
from fastsnf.analysis.run_report.picture import Scale, picture
from tests.analysis.run_report.conftest import Page

HOSTILE = "</style><script>alert(1)</script> & \"quoted\" 'single' <img src=x onerror=y> été 日本 \u202e"


@pytest.fixture
def hostile(tmp_path):
    """A page with hostile text at every place that takes text."""
    pixels = np.zeros((3, 5), dtype=np.uint8)
    shown = picture(HOSTILE, pixels, note=HOSTILE, scale=Scale(HOSTILE, HOSTILE, ((0, 0, 0), (1, 2, 3))))
    parts = [
        page.paragraph(HOSTILE),
        page.paragraph(HOSTILE, quiet=True),
        page.heading(HOSTILE),
        page.table([(HOSTILE, HOSTILE)]),
        page.listing(HOSTILE),
        page.figures([shown]),
    ]
    path = tmp_path / "page.html"
    path.write_text(page.page(HOSTILE, HOSTILE, [page.Section(HOSTILE, parts)]), encoding="utf-8")
    return Page(path)


def test_text_stays_text(hostile):
    expected = " ".join(HOSTILE.split())
    assert hostile.text.count(expected) == 14
    assert {tag for tag, _, _ in hostile.attributes} <= {"html", "meta", "p", "div", "figure", "img", "span"}
    assert "<script" not in hostile.source.lower()
    assert hostile.images[0][0]["alt"] == HOSTILE


def test_nothing_is_loaded_from_elsewhere(hostile):
    for tag, name, value in hostile.attributes:
        assert name not in ("href", "srcset", "action", "data", "onload", "onerror"), tag
        if name == "src":
            assert value.startswith("data:")
    assert "url(" not in hostile.style
    assert "@import" not in hostile.style
    policy = [value for tag, name, value in hostile.attributes if (tag, name) == ("meta", "content")]
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in policy


def test_sections_without_parts_are_left_out(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page.page("a", "b", [page.Section("empty", []), page.Section("full", ["<p>c</p>"])]))
    assert "empty" not in path.read_text()
    assert Page(path).pieces[-2:] == ["full", "c"]


def test_a_picture_says_its_size_and_small_ones_are_enlarged(tmp_path):
    small = picture("s", np.zeros((3, 5), dtype=np.uint8))
    large = picture("l", np.zeros((2, page.SMALL, 3), dtype=np.uint8))
    path = tmp_path / "page.html"
    path.write_text(page.page("a", "b", [page.Section("c", [page.figures([small, large])])]))
    (first, decoded), (second, _) = Page(path).images
    assert (first["width"], first["height"]) == ("5", "3")
    assert decoded.size == (5, 3)
    assert first["class"] == "small"
    assert "class" not in second
