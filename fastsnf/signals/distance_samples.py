"""Where the distance to a mesh is sampled: near its surface and anywhere in the box, by a seed alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError, check_whole

LEAST, MOST = 16, 1 << 26
"""Samples of a mesh."""


@dataclass(frozen=True)
class Sampling:
    """How the points of a `fastsnf.signals.SignedDistance` are chosen.

    Args:
        count: N.
        near: the share of them near the surface: a point of it, chosen by area, and Laplacian noise on each
            coordinate. What leaves the box [-1, 1]^3 comes in again at the opposite side. The others are
            uniform in the box.
        spread: scales of the noise; the points near the surface take turns.
        seed: of all of it.

    ``Sampling(near=1.0, spread=(0.2, 0.002))`` is what BACON's released code does, to which VI3NR refers, in
    our box, which is twice as long.
    """

    count: int = 500_000
    near: float = 0.5
    spread: tuple[float, ...] = (0.002, 0.02)
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole("samples", self.count, LEAST, MOST)
        check_whole("the seed", self.seed, 0)
        if not isinstance(self.near, int | float) or not 0 <= self.near <= 1:
            raise InputError(f"expected the share of samples near the surface, 0 to 1; got {self.near!r}")
        spread = tuple(self.spread) if isinstance(self.spread, Sequence) else ()
        if not spread or not all(isinstance(one, int | float) and 0 <= one <= 1 for one in spread):
            raise InputError(f"expected one or more scales of noise, each from 0 to 1; got {self.spread!r}")
        object.__setattr__(self, "spread", tuple(float(one) for one in spread))

    def points(self, vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the samples `[N, 3]` of a mesh in the box [-1, 1]^3."""
        generator = np.random.Generator(np.random.Philox(self.seed))
        number = round(self.near * self.count)
        near = on_surface(vertices, faces, number, generator)
        noise = generator.laplace(size=near.shape)
        scales = np.array(self.spread)[np.arange(number) % len(self.spread)]
        near += noise * scales[:, None]
        near = (near + 1) % 2 - 1
        far = generator.uniform(-1, 1, (self.count - number, 3))
        return np.clip(np.concatenate([near, far]), -1, 1).astype(np.float32)


def on_surface(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], count: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return `count` points `[count, 3]` of a mesh, uniform over its area."""
    corners = vertices[faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    total = np.cumsum(areas)
    if not math.isfinite(total[-1]) or total[-1] <= 0:
        raise InputError("expected triangles of some area; got none: the mesh is degenerate")
    chosen = np.searchsorted(total, generator.uniform(0, total[-1], count), side="right")
    chosen = np.minimum(chosen, len(faces) - 1)
    # The square root makes the points of a triangle uniform (Osada et al. 2002, Eq. 1).
    first, second = np.sqrt(generator.uniform(size=(count, 1))), generator.uniform(size=(count, 1))
    a, b, c = (corners[chosen, corner] for corner in range(3))
    return (1 - first) * a + first * (1 - second) * b + first * second * c
