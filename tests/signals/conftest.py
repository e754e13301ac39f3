"""What tests of signals share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of bit files, which the test alone uses; it is not made yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FASTSNF_CACHE", str(folder))
    return folder
