"""The sampler that a configuration asks for."""

from __future__ import annotations

import torch

from fastsnf.errors import InputError
from fastsnf.signals.bits import BitGrid
from fastsnf.signals.signal import Signal
from fastsnf.train.config import PASSES, FitConfig
from fastsnf.train.samplers.balanced import Balanced
from fastsnf.train.samplers.draws import Draws, Uniform
from fastsnf.train.samplers.passes import Passes
from fastsnf.train.samplers.surface import Surface

PointSampler = Passes | Draws


def make_sampler(config: FitConfig, signal: Signal, points: int, device: torch.device | str) -> PointSampler:
    """Return the sampler of a fit.

    Args:
        config: names it, and has the batch size and the seed.
        signal: what it draws from, where that matters.
        points: training points.
        device: where the indices are wanted.

    Raises:
        InputError: for a sampler of occupancy grids and another signal, or a grid of one kind of voxels.
    """
    batch = config.points_per_step(points)
    if config.sampler == PASSES:
        return Passes(points, batch, config.seed, device=device)
    if config.sampler == Uniform.name:
        return Uniform(points, batch, config.seed, device=device)
    bits = getattr(signal, "bits", None)
    if not isinstance(bits, BitGrid):
        raise InputError(
            f"expected an occupancy grid for the sampler {config.sampler}; got {signal.kind}: take "
            f"{PASSES} or {Uniform.name}"
        )
    cls = Surface if config.sampler == Surface.name else Balanced
    return cls(bits, batch, config.seed, device=device)
