"""Meshes in and out: voxels of a closed and of an open mesh, and the surface of bits."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks import child
from benchmarks.gate import GateError
from benchmarks.occupancy.figures import Figure, record
from benchmarks.occupancy.memory import watched
from benchmarks.occupancy.shapes import ball_grid, noisy, torus
from fastsnf.signals import Occupancy

CLOSED_S, OPEN_RATE = 30.0, 1.5
"""The most seconds of a closed mesh of 100,000 faces at 512; the least rate of an open one, M points/s."""
LIMITS = {"clean": (4.0, 0.5), "noisy": (12.0, 1.5)}
"""The most seconds and GB of the surface of 512^3 bits: of about a million faces, and of five million."""
NOISE = 0.0038
"""Share of flipped voxels that makes some five million faces at 512."""


def voxels(rings: int, sides: int, resolution: int, open_resolution: int) -> dict[str, Any]:
    """Measure the voxels of a closed torus, and of one with a fiftieth of its faces missing."""
    vertices, faces = torus(rings, sides)
    began = time.perf_counter()
    solid = Occupancy.from_mesh(vertices, faces, resolution=resolution)
    seconds = time.perf_counter() - began
    rest = np.delete(
        faces, np.random.default_rng(0).choice(len(faces), len(faces) // 50, replace=False), axis=0
    )
    began = time.perf_counter()
    holes = Occupancy.from_mesh(vertices, rest, resolution=open_resolution)
    rate = holes.size / (time.perf_counter() - began) / 1e6
    if not 0 < solid.voxels.count() < solid.size:
        raise GateError("the voxels of the torus are all one value; no figure")
    full = (len(faces), resolution) == (99_856, 512)
    figures = [
        Figure(
            f"closed mesh of {len(faces):,} faces -> {solid.shape}",
            seconds,
            "s",
            most=CLOSED_S if full else None,
        ),
        Figure(
            f"open mesh, every one of {holes.size:,} points",
            rate,
            "M points/s",
            least=OPEN_RATE if full else None,
        ),
    ]
    return record("mesh-to-bits", "voxels of a mesh", figures)


def surface(side: int, kind: str) -> dict[str, Any]:
    """Measure the surface of a grid of bits: of the bumpy ball, or of it with noise."""
    from fastsnf.signals.surface import surface_of

    small = ball_grid(16)
    surface_of(small.voxels, small.grid_of(small.shape))  # loads the code
    signal = ball_grid(side)
    bits = noisy(signal.voxels, NOISE) if kind == "noisy" else signal.voxels
    began = time.perf_counter()
    with watched() as peak:
        _vertices, faces = surface_of(bits, signal.grid_of(signal.shape))
    seconds = time.perf_counter() - began
    most_s, most_gb = LIMITS[kind] if side == 512 else (None, None)
    figures = [
        Figure("seconds", seconds, "s", most=most_s),
        Figure("peak above the bits", peak.own / 1e9, "GB", most=most_gb),
        Figure("faces", len(faces)),
    ]
    return record(f"surface-{kind}-{side}", f"bits of {side}^3 -> mesh, {kind}", figures)


if __name__ == "__main__":
    child.serve(lambda work, **job: (voxels if work == "voxels" else surface)(**job))
