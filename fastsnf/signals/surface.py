"""The surface of a bit grid as triangles: scikit-image's marching cubes block by block, without seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError, RunError
from fastsnf.signals.grid import Grid
from fastsnf.signals.optional import require
from fastsnf.signals.progress import Progress
from fastsnf.signals.surface_edges import separated

if TYPE_CHECKING:
    from fastsnf.signals.bits import BitGrid

BLOCK = 64
"""Cells of a block along each axis: 32 takes as long and the least memory, 128 a fifth longer."""

MAX_VERTICES = 2**31 - 1
"""Vertices that faces of int32 can number."""

Crossing = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Called with the numbers of neighbours on a grid, `[B]` each, of which one is occupied; returns how much of
the way from the first to the second, between 0 and 1, lies before the surface."""

Vertices = NDArray[np.float32]
Faces = NDArray[np.int32]


def surface_of(
    bits: BitGrid,
    grid: Grid,
    *,
    block: int = BLOCK,
    crossing: Crossing | None = None,
    progress: Progress | None = None,
) -> tuple[Vertices, Faces]:
    """Return the surface between the occupied points of a grid and the others.

    Marching cubes by Lewiner et al. (2003) at level 0.5, so that a vertex lies half-way between two
    neighbours (or, rarely, inside a cell). Everything outside the grid counts as empty, which closes the
    surface at the border, half a step beyond the last points. The result does not depend on the blocks: they
    overlap in their outermost points, blocks of one value are left out, and vertices that two of them made
    are one, found by their integer place in half steps. Of the grid, one row of blocks is unpacked at a time.

    Args:
        bits: the occupied points, of three axes.
        grid: where they lie; of the same shape.
        block: cells of a block along each axis.
        crossing: where the surface lies between two neighbours; half-way by default.
        progress: called with (rows of blocks done, all of them).

    Returns:
        vertices: float32 `[V, 3]`, each once, in the order of the grid's coordinates, within its bounds but
            for half a step.
        faces: int32 `[F, 3]`, counter-clockwise seen from outside; every edge belongs to two of them.
            Both are empty for a grid of one value.

    Raises:
        InputError: for bits of another shape than the grid, or not of three axes; or scikit-image is missing.
        RunError: for more vertices than int32 can number.
    """
    if bits.shape != grid.shape or grid.ndim != 3:
        raise InputError(
            f"expected bits on a grid of three axes; got bits {bits.shape} for a grid {grid.shape}"
        )
    measure = require("skimage.measure", "mesh", "surfaces of solids")
    keys: list[NDArray[np.int64]] = []
    triangles: list[Faces] = []
    count = 0
    for first, values in _mixed_blocks(bits, block, progress):
        # "ascent" keeps the order of the tables: counter-clockwise around what is above the level.
        vertices, faces, _normals, _values = measure.marching_cubes(values, 0.5, gradient_direction="ascent")
        keys.append(_keys(vertices, first, bits.shape))
        triangles.append(faces + np.int32(count))
        count += len(vertices)
        if count > MAX_VERTICES:
            raise RunError(
                f"expected a surface of at most {MAX_VERTICES:,} vertices; got more: decode fewer points"
            )
    places, corners = _stitched(keys, triangles)
    vertices, corners = separated(_positions(places, bits.shape), corners)
    if crossing is not None:
        _move(vertices[: len(places)], bits.shape, crossing)
    return _in_coordinates(vertices, corners, grid)


def _mixed_blocks(
    bits: BitGrid, block: int, progress: Progress | None
) -> Iterator[tuple[tuple[int, int, int], NDArray[np.float32]]]:
    """Yield (first point on each axis, values) of the blocks with both values; points off the grid are 0.

    The grid has a layer of empty points around it, number -1 and number size on each axis.
    """
    spans = [_spans(size, block) for size in bits.shape]
    rows = [(i, j) for i in spans[0] for j in spans[1]]
    for number, (i, j) in enumerate(rows):
        bar = _bar(bits, i, j)
        if bar is not None:
            columns = bar.reshape(-1, bar.shape[2])
            some, every = np.logical_or.reduce(columns), np.logical_and.reduce(columns)
            for first, last in spans[2]:
                k = slice(first + 1, last + 2)
                if some[k].any() and not every[k].all():
                    yield (i[0], j[0], first), bar[:, :, k].astype(np.float32)
        if progress is not None:
            progress(number + 1, len(rows))


def _spans(size: int, block: int) -> list[tuple[int, int]]:
    """Return (first, last) point, both included, of the blocks along an axis with its two empty layers."""
    return [(first, min(first + block, size)) for first in range(-1, size, block)]


def _bar(bits: BitGrid, i: tuple[int, int], j: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return the values [i, j, size + 2] of a row of blocks, or None where all its bytes are 0."""
    _, rows, columns = bits.shape
    planes = range(max(i[0], 0), min(i[1] + 1, bits.shape[0]))
    among = range(max(j[0], 0), min(j[1] + 1, rows))
    # The rows of a plane are one run, whose first and last octet hold bits of its neighbours at most.
    length = len(among) * columns
    starts = [(plane * rows + among.start) * columns for plane in planes]
    octets = np.asarray(bits.octets)
    if not any(octets[start // 8 : -(-(start + length) // 8)].any() for start in starts):
        return None
    bar = np.zeros((i[1] - i[0] + 1, j[1] - j[0] + 1, columns + 2), dtype=np.bool_)
    i_inside = slice(planes.start - i[0], planes.stop - i[0])
    j_inside = slice(among.start - j[0], among.stop - j[0])
    bar[i_inside, j_inside, 1:-1] = bits.rows(planes, among)
    return bar


def _keys(vertices: NDArray[Any], first: tuple[int, int, int], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return one number for the place of each vertex, in half steps from point -1 on."""
    halves = np.rint(2 * vertices).astype(np.int64) + 2 * (np.array(first) + 1)
    _, rows, columns = (2 * size + 3 for size in shape)
    return (halves[:, 0] * rows + halves[:, 1]) * columns + halves[:, 2]


def _stitched(keys: list[NDArray[np.int64]], triangles: list[Faces]) -> tuple[NDArray[np.int64], Faces]:
    """Return the different keys, sorted, and all faces as places among them; empties the lists."""
    if not keys:
        return np.empty(0, np.int64), np.empty((0, 3), np.int32)
    joined = np.concatenate(keys)
    keys.clear()
    places, inverse = np.unique(joined, return_inverse=True)
    del joined
    renumbered = inverse.astype(np.int32)
    del inverse
    faces = np.concatenate(triangles)
    triangles.clear()
    return places, renumbered[faces]


def _positions(keys: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the places [V, 3] of keys in steps, the first point of each axis at 0: exact in float32."""
    positions = np.empty((len(keys), 3), np.float32)
    for axis in (2, 1):
        keys, halves = np.divmod(keys, 2 * shape[axis] + 3)
        positions[:, axis] = halves / 2 - 1
    positions[:, 0] = keys / 2 - 1
    return positions


def _move(positions: NDArray[np.float32], shape: tuple[int, ...], crossing: Crossing) -> None:
    """Move the vertices between two neighbours on the grid to where the surface crosses; in place."""
    halves = positions % 1 != 0
    low, high = np.floor(positions), np.ceil(positions)
    inside = (low >= 0).all(axis=1) & (high < shape).all(axis=1)
    moved = np.flatnonzero((halves.sum(axis=1) == 1) & inside)
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    first, second = ((ends[moved].astype(np.int64) @ strides) for ends in (low, high))
    axis = halves[moved].argmax(axis=1)
    positions[moved, axis] = low[moved, axis] + crossing(first, second)


def _in_coordinates(positions: NDArray[np.float32], faces: Faces, grid: Grid) -> tuple[Vertices, Faces]:
    """Return vertices in the grid's coordinates, and faces turned where those mirror the axes."""
    vertices = np.empty_like(positions)
    mirrored = _is_odd(grid.columns)
    for column, axis in enumerate(grid.columns):
        low, high = grid.bounds[axis]
        points = grid.shape[axis]
        # One point lies in the middle and stands for all there is between the bounds.
        step, start = (high - low) / max(1, points - 1), low if points > 1 else (low + high) / 2
        vertices[:, column] = start + step * positions[:, axis].astype(np.float64)
        mirrored ^= high < low
    return vertices, np.ascontiguousarray(faces[:, ::-1] if mirrored else faces)


def _is_odd(columns: tuple[int, ...]) -> bool:
    """Return whether a permutation mirrors."""
    swaps = sum(a > b for place, a in enumerate(columns) for b in columns[place + 1 :])
    return swaps % 2 == 1
