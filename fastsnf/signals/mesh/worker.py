"""The child process that evaluates winding numbers: libigl may abort, and must not take the fit with it.

Vertices and faces come from standard input; the parts of its answer are the octets of the points in order,
the result is what rays say. Imports NumPy, libigl and, if installed, embreex.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.signals.mesh.blocks import block_counts, touched_blocks
from fastsnf.signals.mesh.rays import inside_by_rays
from fastsnf.signals.worker import Answer, received

LEVEL = 0.5
"""A point is inside where its winding number is at least this, or at most minus this (a flipped mesh)."""

AT_ONCE = 1 << 21
"""Points of a call: at every one libigl builds its tree anew, on one thread: 0.1 s for 100,000 triangles."""

SIDE, CELL = 4, 8
"""Points along each axis of a block, and of a cell of blocks. Blocks of 4 rather than 8 halve the points near
the surface, which are the slow ones; cells spare most of the points that stand for a block."""

SAMPLED = 4096
"""Points at which rays are asked for a second opinion."""

_CORNER = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
"""Places within a block, last axis fastest."""

Array = NDArray[Any]


def main(request: dict[str, Any]) -> None:
    """Serve one request."""
    answer = Answer(request)
    vertices = received(request["vertices"], np.float64)
    faces = received(request["faces"], np.int64)
    winding = Winding(vertices, faces, request["shape"], request["bounds"], closed=request["closed"])
    winding.report = lambda: answer.progress(winding.done, winding.planned)
    for octets in winding.octets():
        answer.part(octets)
    answer.result(winding.second_opinion())


class Winding:
    """Evaluates which points of a grid a mesh encloses.

    Of a closed mesh only the points of blocks of 4^3 that a triangle touches are evaluated. In the others
    they are all inside or all outside: one point is, and one for all of a cell of 2^3 such blocks.

    Args:
        vertices: `[V, 3]` in the coordinates of the grid.
        faces: `[F, 3]`.
        shape: points along each axis.
        bounds: (low, high) of each axis.
        closed: whether the mesh is closed; otherwise every point is evaluated.

    Attributes:
        planned: points that will be evaluated.
        done: points that have been.
        report: called after every million of them.
    """

    report: Callable[[], None] = staticmethod(lambda: None)

    def __init__(
        self, vertices: Array, faces: Array, shape: Sequence[int], bounds: Sequence[Any], *, closed: bool
    ) -> None:
        self.vertices, self.faces, self.shape = vertices, faces, tuple(shape)
        self.axes = [_axis(size, *ends) for size, ends in zip(shape, bounds, strict=True)]
        cells = block_counts(shape, CELL)
        self.blocks = np.full(tuple(2 * count for count in cells), not closed)
        if closed:
            found = touched_blocks(vertices[faces], shape, bounds, SIDE)
            self.blocks[tuple(slice(size) for size in found.shape)] = found
        self.cells: Array = np.logical_or.reduce(self.blocks.reshape(_split(cells, 2)), axis=(1, 3, 5))
        if closed:  # a cell is touched between its blocks too
            self.cells |= touched_blocks(vertices[faces], shape, bounds, CELL)
        self.planned, self.done = sum(self._points_of(layer) for layer in range(len(self.cells))), 0

    def octets(self) -> Iterator[Array]:
        """Yield the packed points in order, eight planes of the first axis or more at a time."""
        first, points = 0, 0
        for layer in range(len(self.cells)):
            points += self._points_of(layer)
            if points >= AT_ONCE or layer == len(self.cells) - 1:
                yield np.packbits(self._layers(first, layer + 1).reshape(-1), bitorder="little")
                first, points = layer + 1, 0

    def second_opinion(self) -> dict[str, Any]:
        """Return at how many of some random points of the grid rays disagree; None without embreex."""
        rng = np.random.default_rng(0)
        index = np.stack([rng.integers(0, size, SAMPLED) for size in self.shape], axis=-1)
        points = self._coordinates(index)
        by_rays = inside_by_rays(self.vertices, self.faces, points)
        differ = None if by_rays is None else int((by_rays != self._inside(points)).sum())
        return {"rays_sampled": SAMPLED, "rays_differ": differ}

    def _points_of(self, layer: int) -> int:
        """Return how many points of a layer of cells are evaluated."""
        cells, blocks = int(self.cells[layer].sum()), int(self.blocks[2 * layer : 2 * layer + 2].sum())
        return blocks * SIDE**3 + (8 * cells - blocks) + self.cells[layer].size - cells

    def _layers(self, first: int, last: int) -> Array:
        """Return the points of layers of cells, bool `[planes, shape[1], shape[2]]`."""
        cells, blocks = self.cells[first:last], self.blocks[2 * first : 2 * last]
        inner = np.repeat(np.repeat(np.repeat(cells, 2, 0), 2, 1), 2, 2) & ~blocks
        lone_cells, lone_blocks, whole = np.argwhere(~cells), np.argwhere(inner), np.argwhere(blocks)
        lone = np.concatenate([lone_cells * CELL, lone_blocks * SIDE])
        planes = np.zeros(tuple(CELL * count for count in cells.shape), dtype=np.bool_)
        by_cell, by_block = (
            planes.reshape(_split(cells.shape, CELL)),
            planes.reshape(_split(blocks.shape, SIDE)),
        )
        for start in range(0, max(1, len(whole)), AT_ONCE // SIDE**3):
            # Blocks at the end reach beyond the grid: its last points are taken again, and cut off below.
            part = whole[start : start + AT_ONCE // SIDE**3]
            index = (part[:, None, :] * SIDE + _CORNER).reshape(-1, 3)
            index = index if start else np.concatenate([lone, index])
            inside = self._inside(self._coordinates(index + np.array([first * CELL, 0, 0])))
            self.done += len(inside)
            self.report()
            if not start:
                _fill(by_cell, lone_cells, inside[: len(lone_cells)].reshape(-1, 1, 1, 1))
                _fill(by_block, lone_blocks, inside[len(lone_cells) : len(lone)].reshape(-1, 1, 1, 1))
                inside = inside[len(lone) :]
            _fill(by_block, part, inside.reshape(-1, SIDE, SIDE, SIDE))
        end = min(last * CELL, self.shape[0]) - first * CELL
        return planes[:end, : self.shape[1], : self.shape[2]]

    def _coordinates(self, index: Array) -> Array:
        """Return the coordinates of grid points `[B, 3]`, float64 that hold float32 numbers."""
        points = np.empty(index.shape)
        for axis, places in enumerate(self.axes):
            points[:, axis] = places[np.minimum(index[:, axis], self.shape[axis] - 1)]
        return points

    def _inside(self, points: Array) -> Array:
        import igl

        number = np.asarray(igl.fast_winding_number(self.vertices, self.faces, points)).reshape(-1)
        if not np.isfinite(number).all():
            raise FloatingPointError("a winding number that is not finite")
        return np.abs(number) >= LEVEL


def _split(counts: Sequence[int], side: int) -> tuple[int, ...]:
    """Return the shape in which the points of `counts` boxes of `side` have the place in a box apart."""
    return tuple(size for count in counts for size in (count, side))


def _fill(boxes: Array, chosen: Array, values: Array) -> None:
    """Set the `chosen` `[B, 3]` of `boxes`, see `_split`, to `values` `[B, side, side, side]`."""
    i, j, k = chosen.T
    boxes[i, :, j, :, k, :] = values


def _axis(size: int, low: float, high: float) -> Array:
    """Return the coordinates along an axis, as `Grid` has them: in float64, rounded once."""
    centred = (2.0 * np.arange(size) - (size - 1)) / (size - 1)
    exact = centred if (low, high) == (-1.0, 1.0) else (low + high) / 2 + (high - low) / 2 * centred
    return exact.astype(np.float32).astype(np.float64)
