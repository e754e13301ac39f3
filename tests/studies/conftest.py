"""Studies without their pictures, which take longer than tiny trainings."""

import pytest

from fastsnf.errors import InputError


@pytest.fixture
def undrawn(monkeypatch):
    """Make drawing fail as it does without matplotlib; return what it then says."""
    from fastsnf.analysis import panels

    message = "expected matplotlib, to draw it; it is not installed: pip install 'fastsnf[report]'"

    def missing(*args):
        raise InputError(message)

    monkeypatch.setattr(panels, "new_figure", missing)
    return message
