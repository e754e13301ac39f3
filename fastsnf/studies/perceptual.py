"""LPIPS where the user has it: the package ``lpips`` and its weights; nothing is downloaded."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

WEIGHTS = "alexnet-owt-*.pth"
"""The file of AlexNet's weights in torch's cache; those on top of it come with the package."""


def why_no_lpips() -> str:
    """Return why LPIPS cannot be computed and what to do, "" where it can."""
    if find_spec("lpips") is None:
        return "the package lpips is not installed: pip install lpips"
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    if not any(cache.glob(WEIGHTS)):
        return (
            f"the weights of AlexNet are not in {cache}: with network, run once "
            "python -c \"import lpips; lpips.LPIPS(net='alex')\""
        )
    return ""


def lpips_alex(first: NDArray[Any], second: NDArray[Any]) -> float | None:
    """Return LPIPS (Zhang et al. 2018, AlexNet) of two pictures, uint8 [H, W, 3]; None where it is not there.

    The networks see values in [0, 1], as IGA's code feeds them, though the library expects [-1, 1].
    """
    if why_no_lpips():
        return None
    network = import_module("lpips").LPIPS(net="alex", verbose=False).eval()
    pictures = [
        torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255.0
        for picture in (first, second)
    ]
    with torch.no_grad():
        return float(network(*pictures))
