"""Small fits and a strict reader of the pages that they become."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import fastsnf
from fastsnf.nn import SNF
from fastsnf.signals.signal import Signal
from fastsnf.train import FitResult
from tests import cases

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Reads a page and holds it to its form: every element closed where it was opened, no entity unknown."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.pieces: list[str] = []
        self.images: list[tuple[dict[str, str], Image.Image]] = []
        self.style = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        assert len(found) == len(attrs), f"an attribute twice in {tag}"
        self.attributes += [(tag, name, value) for name, value in found.items()]
        if tag == "img":
            kind, _, data = found["src"].partition(",")
            assert kind == "data:image/png;base64"
            picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
            picture.load()
            self.images.append((found, picture))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        elif data.strip():
            self.pieces.append(data.strip())

    @property
    def text(self) -> str:
        """All that a reader sees, in one line."""
        return " ".join(" ".join(self.pieces).split())

    def cells(self) -> dict[str, str]:
        """The rows of all tables: name and value."""
        return dict(zip(self.pieces, self.pieces[1:], strict=False))


@pytest.fixture
def fitted() -> Callable[..., FitResult]:
    """Return a function that fits a small field to a signal for a few steps."""

    def fit(signal: Signal, *, steps: int = 3, **options: Any) -> FitResult:
        field = SNF(signal.in_features, signal.out_features, 8, 1, generator=cases.generator())
        return fastsnf.fit(field, signal, steps=steps, **options)

    return fit


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what matplotlib draws, most of the time of a report, to the tests that look at it."""
    from fastsnf.analysis.run_report import report
    from fastsnf.errors import InputError

    def refuse(*args: object) -> None:
        raise InputError("not drawn in this test")

    monkeypatch.setattr(report, "curve_picture", refuse)
    monkeypatch.setattr(report, "spectrum_picture", refuse)
