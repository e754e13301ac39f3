"""Signals of known spectra and small fields for searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from fastsnf import SNF
from fastsnf.signals import Image, synthetic

SIDE = 24


def image(seed: int = 1, side: int = SIDE, frequency: int = 3) -> Image:
    """Return a gray image of 12 lines of up to `frequency` cycles, which every second pixel resolves."""
    return synthetic.random_band_limited(2, 12, frequency, seed=seed).image((side, side))


def maker(**fixed: Any) -> Any:
    """Return a `MakeField` of fields whose first omega is too low for `image`: a larger alpha helps."""

    def make(overrides: Mapping[str, Any], seed: int) -> SNF:
        options = {"alpha": 1.0, "first_omega": 2.0, **fixed, **overrides}
        generator = torch.Generator().manual_seed(seed)
        return SNF(2, 1, 24, 2, **options, generator=generator)

    return make
