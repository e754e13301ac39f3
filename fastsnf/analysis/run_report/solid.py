"""A shaded picture of a solid in a bit grid, as seen from far away, in plain NumPy.

Orthographic: every surface voxel of a thinned grid is projected, the first one that a ray meets is kept
(depths are compared), and its light is Lambert's, with the normal towards the empty side of its neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

MOST_VOXELS = 192
"""Voxels along the longest axis of the grid that is looked at; of a finer one every k-th."""
BACKGROUND = 255
MOST_ACROSS = 3
"""Pixels that a voxel covers across at most."""
AMBIENT = 0.18
LIGHT = (-0.45, 0.6, 0.66)
"""Where the light is: to the left of the viewer, above and behind."""
COLOUR = (0.80, 0.84, 0.90)


class Voxels(Protocol):
    """What is asked of a bit grid (`fastsnf.signals.bits.BitGrid`)."""

    shape: tuple[int, ...]

    def slab(self, first: int, last: int) -> NDArray[np.bool_]:
        """Return the voxels `[last - first, ...]`."""
        ...


def thinned(bits: Voxels, most: int = MOST_VOXELS) -> NDArray[np.bool_]:
    """Return every k-th voxel along each axis, at most `most` along the longest, read plane by plane."""
    step = max(1, -(-max(bits.shape) // most))
    planes = [bits.slab(place, place + 1)[0, ::step, ::step] for place in range(0, bits.shape[0], step)]
    return np.stack(planes)


@dataclass(frozen=True)
class Surface:
    """The voxels of a solid that have an empty neighbour: `places` `[V, 3]` and unit `normals` `[V, 3]`."""

    places: NDArray[np.int64]
    normals: NDArray[np.float64]

    @classmethod
    def of(cls, voxels: NDArray[np.bool_]) -> Surface:
        """Return the surface of `voxels` `[I, J, K]`, True inside."""
        places = surface(voxels)
        return cls(places, normals(voxels, places))

    @property
    def box(self) -> NDArray[np.float64]:
        """The lowest and the highest place along each axis, `[2, 3]`; of nothing, 0."""
        if not len(self.places):
            return np.zeros((2, 3))
        return np.stack([self.places.min(axis=0), self.places.max(axis=0)]).astype(np.float64)


def shaded(
    solid: Surface,
    box: NDArray[np.float64],
    *,
    azimuth: float,
    elevation: float = 12.0,
    up: int = 1,
    pixels: int = 400,
) -> NDArray[np.uint8]:
    """Return a picture uint8 `[pixels, pixels, 3]` of the solid, white where there is none.

    Args:
        solid: its surface.
        box: what fits into the picture, `[2, 3]`: one box for two solids shows both from the same distance.
        azimuth: degrees that the viewer stands to the side, around the axis `up`.
        elevation: degrees that the viewer stands above.
        up: the axis that points up in the picture.
        pixels: a side of the picture; of a solid of few voxels it is smaller.
    """
    across, upwards, towards = directions(azimuth, elevation, up)
    half = (box[1] - box[0] + 2) / 2
    reach = max(np.abs(across) @ half, np.abs(upwards) @ half)
    pixels = min(pixels, math.ceil(MOST_ACROSS * 2 * reach))
    picture = np.full((pixels, pixels, 3), BACKGROUND, dtype=np.uint8)
    if not len(solid.places):
        return picture
    scale = pixels / (2 * reach)
    centred = solid.places - box.mean(axis=0)
    column, row = pixels / 2 + scale * (centred @ across), pixels / 2 - scale * (centred @ upwards)
    first = first_hits(row, column, centred @ towards, pixels, reach=scale)
    hit = first >= 0
    light = np.asarray(LIGHT) / np.linalg.norm(LIGHT)
    lit = solid.normals[first[hit]] @ (light[0] * across + light[1] * upwards + light[2] * towards)
    strength = AMBIENT + (1 - AMBIENT) * np.clip(lit, 0, 1)
    picture[hit] = np.round(255 * np.asarray(COLOUR) * strength[:, None]).astype(np.uint8)
    return picture


def surface(voxels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the places `[V, 3]` of the voxels inside of which a neighbour along an axis is not."""
    padded = np.pad(voxels, 1)
    core = (slice(1, -1),) * 3
    inner = voxels.copy()
    for axis in range(3):
        for shift in (-1, 1):
            inner &= np.roll(padded, shift, axis)[core]
    return np.argwhere(voxels & ~inner)


def normals(voxels: NDArray[np.bool_], places: NDArray[np.int64], radius: int = 3) -> NDArray[np.float64]:
    """Return unit normals `[V, 3]`: from the mean place of what is inside near by to the outside."""
    padded = np.pad(voxels, radius)
    total = np.zeros((len(places), 3))
    span = range(-radius, radius + 1)
    for offset in ((a, b, c) for a in span for b in span for c in span):
        if 0 < np.dot(offset, offset) <= radius * radius + 1:
            at = places + radius + offset
            total -= padded[at[:, 0], at[:, 1], at[:, 2]][:, None] * (
                np.asarray(offset) / np.dot(offset, offset)
            )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.divide(total, length, out=np.zeros_like(total), where=length > 0)


def first_hits(
    row: NDArray[np.float64],
    column: NDArray[np.float64],
    depth: NDArray[np.float64],
    pixels: int,
    *,
    reach: float,
) -> NDArray[np.int64]:
    """Return the number `[pixels, pixels]` of the point nearest to the viewer in each pixel, -1 for none.

    Args:
        row, column: places in the picture `[V]`.
        depth: `[V]`, larger is nearer.
        pixels: a side of the picture.
        reach: pixels that a point covers across, so that neighbours leave no hole between them.
    """
    order = np.argsort(depth, kind="stable")  # of equal pixels the last, which is the nearest, stays
    row, column, depth = row[order], column[order], depth[order]
    nearest = np.full(pixels * pixels, -np.inf)
    found = np.full(pixels * pixels, -1, dtype=np.int64)
    steps = np.arange(max(1, math.ceil(reach) + 1)) - math.ceil(reach) / 2
    for down in steps:
        for side in steps:
            r, c = np.floor(row + down).astype(np.int64), np.floor(column + side).astype(np.int64)
            seen = np.flatnonzero((r >= 0) & (r < pixels) & (c >= 0) & (c < pixels))
            here = np.full(pixels * pixels, -1, dtype=np.int64)
            here[r[seen] * pixels + c[seen]] = seen
            closer = np.flatnonzero(here >= 0)
            closer = closer[depth[here[closer]] > nearest[closer]]
            found[closer], nearest[closer] = order[here[closer]], depth[here[closer]]
    return found.reshape(pixels, pixels)


def directions(azimuth: float, elevation: float, up: int) -> tuple[NDArray[np.float64], ...]:
    """Return (to the right, upwards, towards the viewer) `[3]` each, in the order of the grid's axes.

    At azimuth 0 the axis after `up` points towards the viewer and the one before it to the right.
    """
    turn, tilt = math.radians(azimuth), math.radians(elevation)
    axes = np.eye(3)
    height, ahead, aside = axes[up], axes[(up + 1) % 3], axes[(up + 2) % 3]
    level = math.cos(turn) * ahead + math.sin(turn) * aside
    across = math.cos(turn) * aside - math.sin(turn) * ahead
    towards = math.cos(tilt) * level + math.sin(tilt) * height
    upwards = math.cos(tilt) * height - math.sin(tilt) * level
    return across, upwards, towards
