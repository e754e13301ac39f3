"""Small solids to fit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import fastsnf
from fastsnf.signals.occupancy import Occupancy

SHAPE = (21, 18, 19)
"""7,182 voxels: no whole number of octets a row, of blocks, or of runs."""


def ball(x: Tensor) -> Tensor:
    return (x - 0.1).square().sum(1) < 0.4


def solid(shape: tuple[int, int, int] = SHAPE) -> Occupancy:
    return Occupancy.from_function(ball, shape)


def field_of(seed: int = 0, **options: Any) -> fastsnf.SNF:
    generator = torch.Generator().manual_seed(seed)
    sizes = {"hidden_features": 16, "hidden_layers": 1, "first_omega": 5.0, "hidden_omega": 5.0, "alpha": 1.0}
    return fastsnf.SNF(3, 1, **{**sizes, **options}, generator=generator)
