"""A tiny Kodak folder and tiny settings."""

import numpy as np
import pytest
from PIL import Image as Pil

TINY = {
    "size": 16, "hidden_features": 8, "hidden_layers": 1, "steps": 40, "lr": 1e-2, "device": "cpu",
}  # fmt: skip


@pytest.fixture
def tiny():
    """Return the settings of fits that take a moment."""
    return dict(TINY)


@pytest.fixture
def folder(tmp_path):
    """Return a folder of two small pictures."""
    home = tmp_path / "pictures"
    home.mkdir()
    rng = np.random.default_rng(0)
    for number in (1, 2):
        smooth = np.cumsum(np.cumsum(rng.standard_normal((24, 36, 3)), axis=0), axis=1)
        levels = 255 * (smooth - smooth.min()) / (smooth.max() - smooth.min())
        Pil.fromarray(levels.astype(np.uint8)).save(home / f"kodim{number:02}.png")
    return home
