"""The child process that evaluates winding numbers: libigl may abort, and must not take the fit with it.

Reads one request from standard input and writes frames to standard output: a letter, the length as eight
octets and the content. ``B``: the octets of the next points, in order; ``P``: points evaluated so far and all
that will be, as JSON; ``R``: the result as JSON, last. Imports NumPy, libigl and, if installed, embreex.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.signals.mesh.blocks import SIDE, touched_blocks
from fastsnf.signals.mesh.rays import inside_by_rays

LEVEL = 0.5
"""A point is inside where its winding number is at least this, or at most minus this (a flipped mesh)."""

AT_ONCE = 1 << 20
"""Points of a call: libigl builds its tree anew at every call, which takes 0.1 s for 100,000 triangles."""

SAMPLED = 4096
"""Points at which rays are asked for a second opinion."""

_CORNER = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
"""Places within a block, last axis fastest."""

Array = NDArray[Any]


def main() -> None:
    """Serve one request."""
    out = _own_output()
    request = json.loads(sys.stdin.buffer.readline())
    _die_with(int(request["parent"]))
    vertices = _received(request["vertices"], np.float64)
    faces = _received(request["faces"], np.int64)
    winding = Winding(vertices, faces, request["shape"], request["bounds"], closed=request["closed"])
    for octets in winding.octets():
        _send(out, b"B", octets.tobytes())
        _send(out, b"P", json.dumps([winding.done, winding.planned]).encode())
    _send(out, b"R", json.dumps(winding.second_opinion()).encode())


class Winding:
    """Evaluates which points of a grid a mesh encloses.

    Args:
        vertices: `[V, 3]` in the coordinates of the grid.
        faces: `[F, 3]`.
        shape: points along each axis.
        bounds: (low, high) of each axis.
        closed: evaluate one point of each block that no triangle touches; otherwise every point.
    """

    def __init__(
        self, vertices: Array, faces: Array, shape: Sequence[int], bounds: Sequence[Any], *, closed: bool
    ) -> None:
        self.vertices, self.faces, self.shape = vertices, faces, tuple(shape)
        # The coordinates of `Grid`: computed in float64 and rounded once.
        self.axes = [_axis(size, *ends) for size, ends in zip(shape, bounds, strict=True)]
        blocks = tuple(-(-size // SIDE) for size in shape)
        self.touched = (
            touched_blocks(vertices[faces], shape, bounds) if closed else np.ones(blocks, dtype=np.bool_)
        )
        whole = int(self.touched.sum())
        self.planned, self.done = whole * SIDE**3 + self.touched.size - whole, 0

    def octets(self) -> Iterator[Array]:
        """Yield the packed points in order, eight planes of the first axis or more at a time."""
        layers, first, points = len(self.touched), 0, 0
        for layer in range(layers):
            points += self._points_of(layer)
            if points >= AT_ONCE or layer == layers - 1:
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
        whole = int(self.touched[layer].sum())
        return whole * SIDE**3 + self.touched[layer].size - whole

    def _layers(self, first: int, last: int) -> Array:
        """Return the points of layers of blocks, bool `[planes, shape[1], shape[2]]`."""
        touched = self.touched[first:last]
        lone, whole = np.argwhere(~touched), np.argwhere(touched)
        offset, step = np.array([first * SIDE, 0, 0]), AT_ONCE // SIDE**3
        planes = np.zeros(tuple(SIDE * count for count in touched.shape), dtype=np.bool_)
        for start in range(0, max(1, len(whole)), step):
            # Blocks at the end reach beyond the grid: their last points are taken again, and cut off below.
            places = (whole[start : start + step, None, :] * SIDE + _CORNER).reshape(-1, 3)
            index = places if start else np.concatenate([lone * SIDE, places])
            inside = self._inside(self._coordinates(index + offset))
            self.done += len(inside)
            if not start:
                blocks = np.zeros(touched.shape, dtype=np.bool_)
                blocks[tuple(lone.T)] = inside[: len(lone)]
                planes.reshape(_split(touched.shape))[...] = blocks[:, None, :, None, :, None]
                inside = inside[len(lone) :]
            planes[tuple(places.T)] = inside
        end = min(last * SIDE, self.shape[0]) - first * SIDE
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


def _split(blocks: Sequence[int]) -> tuple[int, ...]:
    """Return the shape in which points of `blocks` along each axis have the place within a block apart."""
    return tuple(size for count in blocks for size in (count, SIDE))


def _axis(size: int, low: float, high: float) -> Array:
    """Return the coordinates along an axis, as `fastsnf.signals.grid.axis_coordinates` has them."""
    centred = (2.0 * np.arange(size) - (size - 1)) / (size - 1)
    exact = centred if (low, high) == (-1.0, 1.0) else (low + high) / 2 + (high - low) / 2 * centred
    return exact.astype(np.float32).astype(np.float64)


def _own_output() -> IO[bytes]:
    """Return standard output for the frames alone: what libraries print goes to standard error."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def _die_with(parent: int) -> None:
    """Have the system end this process when its parent dies; Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it died before that
        os._exit(1)


def _received(shape: Sequence[int], dtype: type) -> Array:
    size = math.prod(shape) * np.dtype(dtype).itemsize
    content = sys.stdin.buffer.read(size)
    if len(content) != size:
        raise EOFError("the request is cut short")
    return np.frombuffer(content, dtype).reshape(shape)


def _send(out: IO[bytes], tag: bytes, content: bytes) -> None:
    out.write(tag + len(content).to_bytes(8, "little"))
    out.write(content)
    out.flush()
