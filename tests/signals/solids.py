"""Meshes whose distances are known: boxes of eight vertices."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FACES = np.array(
    [
        [0, 2, 1], [1, 2, 3], [4, 5, 6], [5, 7, 6], [0, 1, 4], [1, 5, 4],
        [2, 6, 3], [3, 6, 7], [0, 4, 2], [2, 4, 6], [1, 3, 5], [3, 7, 5],
    ]
)  # fmt: skip
"""Triangles of a box, turned outwards; vertex n is at the corner of its bits, x the lowest."""


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The mesh [8, 3], [12, 3] of a box."""
    ends = np.array([low, high])
    corners = [[ends[n & 1, 0], ends[n >> 1 & 1, 1], ends[n >> 2 & 1, 2]] for n in range(8)]
    return np.array(corners), FACES


def box_distance(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The distance [M] of points [M, 3] to a box, negative inside."""
    beyond = np.abs(points - (low + high) / 2) - (high - low) / 2
    outside = np.linalg.norm(np.maximum(beyond, 0), axis=1)
    return outside + np.minimum(beyond.max(axis=1), 0)


def obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> Path:
    """Write an OBJ file and return its path."""
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces.tolist()]
    path.write_text("\n".join(lines) + "\n")
    return path
