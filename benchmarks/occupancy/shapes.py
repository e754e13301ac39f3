"""The solids and surfaces that are measured: made here, of any size."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.signals import Occupancy
from fastsnf.signals.bits import BitGrid


def bumpy(x: Tensor) -> Tensor:
    """Return whether points [B, 3] lie in a ball with four bumps, bool [B]."""
    return torch.linalg.vecdot(x, x) < 0.5 + 2.0 * x.prod(dim=1)


def ball_grid(side: int, folder: str | None = None) -> Occupancy:
    """Return the bumpy ball on a grid of `side` points an axis, kept in a file of `folder` if given."""
    path = None if folder is None else Path(folder) / f"ball-{side}.bits"
    return Occupancy.from_function(bumpy, (side,) * 3, path=path)


def noisy(bits: BitGrid, share: float, seed: int = 0) -> BitGrid:
    """Return a copy of a grid with so many of its voxels flipped at random."""
    octets = np.array(bits.octets)
    generator = np.random.default_rng(seed)
    flipped = np.unique(generator.integers(0, bits.size, int(share * bits.size)))
    np.bitwise_xor.at(octets, flipped >> 3, (1 << (flipped & 7)).astype(np.uint8))
    return BitGrid(bits.shape, octets)


def torus(rings: int, sides: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the vertices and the 2 x rings x sides faces of a closed bumpy torus."""
    u, v = np.meshgrid(np.arange(rings), np.arange(sides), indexing="ij")
    a, b = 2 * math.pi * u / rings, 2 * math.pi * v / sides
    radius = 0.35 + 0.05 * np.sin(9 * a) * np.sin(5 * b)
    vertices = np.stack(
        [(1 + radius * np.cos(b)) * np.cos(a), (1 + radius * np.cos(b)) * np.sin(a), radius * np.sin(b)],
        axis=-1,
    ).reshape(-1, 3)

    def number(i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
        return (i % rings) * sides + j % sides

    first, right, up, across = number(u, v), number(u + 1, v), number(u, v + 1), number(u + 1, v + 1)
    faces = np.concatenate([np.stack([first, right, across], -1), np.stack([first, across, up], -1)])
    return vertices, faces.reshape(-1, 3)
