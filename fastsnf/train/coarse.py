"""Decoding a solid coarse to fine: the field is asked only near the surface that a coarser grid shows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.errors import check_whole
from fastsnf.signals.bit_rendering import BitRendering, Skipped
from fastsnf.signals.progress import Progress
from fastsnf.train.chunks import with_chunks
from fastsnf.train.grid_field import GridField

LOOKED_AT = 1 << 16
"""Skipped points that are looked at afterwards, about: no miss among them means fewer than 1 in 20,000."""
SEED = 0
"""Of the points that are looked at."""
MOST_DRAWN = 1 << 22
"""Points drawn at most to find that many skipped ones."""

OUTSIDE, INSIDE, MIXED = 0, 1, 2
"""What is known of a block: the same everywhere, or to be asked."""


@dataclass(frozen=True)
class Chunks:
    """How many points a field is asked for at once: `fastsnf.train.chunks.with_chunks` with its arguments."""

    points: int
    key: Hashable
    stop: Callable[[], bool] | None = None

    def each(self, total: int, work: Callable[[slice], object]) -> bool:
        """Call `work` for consecutive slices of ``range(total)``; return False once `stop` is True."""
        return with_chunks(total, self.points, work, key=self.key, stop=self.stop)


def decode_coarse(
    source: GridField,
    rendering: BitRendering,
    factor: int,
    chunks: Chunks,
    progress: Progress | None = None,
) -> bool:
    """Fill a rendering of bits, asking the field only where a coarse grid leaves it open.

    The field is asked at every `factor`-th point along each axis and at the last. These are the corners of
    blocks. A block whose corners and those of all its neighbours agree is filled with what they say; at every
    point of the others the field is asked. A part of the solid, or a hole, between the coarse points may be
    missed: ``rendering.skipped`` says how often, measured at about `LOOKED_AT` of the filled points.

    Args:
        source: the field at the rendering's points.
        rendering: gets the bits, and ``skipped``.
        factor: points along each side of a block, 2 or more.
        chunks: how many points at once, and whether to stop.
        progress: called with (points asked so far, all that will be asked).

    Returns:
        Whether it is complete: False when it was stopped.
    """
    check_whole("the coarse factor", factor, 2)
    corners = [_corners(size, factor) for size in rendering.shape]
    asker = _Asker(source, rendering, chunks, progress)
    lattice = asker.at_corners(corners)
    if lattice is None:
        return False
    blocks = _blocks(lattice)
    volumes = [
        np.diff(ends, append=size) for ends, size in zip(_firsts(corners), rendering.shape, strict=True)
    ]
    open_points = _volume(blocks == MIXED, volumes)
    asker.total = lattice.size + open_points
    start = 0
    for layer, planes in zip(blocks, volumes[0], strict=True):
        plane = np.repeat(np.repeat(layer, volumes[1], axis=0), volumes[2], axis=1).reshape(-1)
        if not asker.fill(start, plane, int(planes)):
            return False
        start += int(planes) * plane.size
    skipped = rendering.size - open_points
    rendering.skipped = asker.look(blocks, corners, skipped)
    return rendering.skipped is not None


class _Asker:
    """Asks the field, tells the progress and gives the bits to the rendering."""

    def __init__(
        self, source: GridField, rendering: BitRendering, chunks: Chunks, progress: Progress | None
    ) -> None:
        self._source, self._rendering, self._chunks, self._progress = source, rendering, chunks, progress
        self.done, self.total = 0, rendering.size

    def at_corners(self, corners: Sequence[NDArray[np.int64]]) -> NDArray[np.bool_] | None:
        """Return whether the corners are inside, bool `[n0, n1, n2]`; None when stopped."""
        shape = tuple(map(len, corners))
        axes = [torch.from_numpy(places) for places in corners]
        _, rows, columns = self._rendering.shape

        def numbers(part: slice) -> Tensor:
            i, j, k = torch.unravel_index(torch.arange(part.start, part.stop), shape)
            return (axes[0][i] * rows + axes[1][j]) * columns + axes[2][k]

        found = self._asked(int(np.prod(shape)), numbers)
        return None if found is None else found.reshape(shape)

    def fill(self, start: int, plane: NDArray[np.uint8], planes: int) -> bool:
        """Add `planes` planes from point `start` on that are all known as `plane` `[points]` says."""
        mixed = torch.from_numpy(np.flatnonzero(plane == MIXED))
        at_once = max(1, self._chunks.points // max(1, len(mixed)))
        for first in range(0, planes, at_once):
            count = min(at_once, planes - first)
            inside = np.tile(plane == INSIDE, count)
            offsets = torch.arange(first, first + count) * plane.size
            numbers = (offsets[:, None] + mixed).reshape(-1)
            found = self._asked(len(numbers), (start + numbers).__getitem__)
            if found is None:
                return False
            inside[(numbers - first * plane.size).numpy()] = found
            self._rendering.add_bools(start + first * plane.size, inside)
        return True

    def look(
        self, blocks: NDArray[np.uint8], corners: Sequence[NDArray[np.int64]], skipped: int
    ) -> Skipped | None:
        """Return how many of some random skipped points are wrong; None when stopped."""
        size = self._rendering.size
        drawn = min(MOST_DRAWN, LOOKED_AT * size // max(1, skipped)) if skipped else 0
        generator = torch.Generator().manual_seed(SEED)
        numbers = torch.randint(size, (drawn,), generator=generator).unique()
        places = [
            np.minimum(np.searchsorted(firsts, place.numpy(), side="right") - 1, len(firsts) - 1)
            for firsts, place in zip(
                _firsts(corners), torch.unravel_index(numbers, self._rendering.shape), strict=True
            )
        ]
        numbers = numbers[torch.from_numpy(blocks[tuple(places)] != MIXED)]
        found = self._asked(len(numbers), lambda part: numbers[part], counted=False)
        if found is None:
            return None
        filled = self._rendering.bits.at(numbers)[:, 0].numpy() > 0
        return Skipped(skipped, len(numbers), int((found != filled).sum()))

    def _asked(
        self, total: int, numbers: Callable[[slice], Tensor], *, counted: bool = True
    ) -> NDArray[np.bool_] | None:
        """Return whether points ``numbers(part)``, of all parts of `total`, are inside; None when stopped."""
        found = np.empty(total, dtype=np.bool_)

        def ask(part: slice) -> None:
            found[part] = self._rendering.inside(self._source.values(numbers(part)))
            if counted:
                self.done += part.stop - part.start
                if self._progress is not None:
                    self._progress(self.done, self.total)

        return found if self._chunks.each(total, ask) else None


def _corners(size: int, factor: int) -> NDArray[np.int64]:
    """Return every factor-th place along an axis and the last, int64."""
    places = np.arange(0, size, factor)
    return places if places[-1] == size - 1 else np.append(places, size - 1)


def _firsts(corners: Sequence[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
    """Return the first place of each block along each axis; the last block has the last corner too."""
    return (places[:-1] if len(places) > 1 else places for places in corners)


def _blocks(lattice: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return OUTSIDE, INSIDE or MIXED of each block from the corners `[n0, n1, n2]` around it."""
    every = some = lattice
    for axis, corners in enumerate(lattice.shape):
        every = np.logical_and.reduce(_windows(every, axis, corners), axis=-1)
        some = np.logical_or.reduce(_windows(some, axis, corners), axis=-1)
    return np.where(every, INSIDE, np.where(some, MIXED, OUTSIDE)).astype(np.uint8)


def _windows(values: NDArray[np.bool_], axis: int, corners: int) -> NDArray[np.bool_]:
    """Return the corners around each block along an axis, four on a new last axis; the ends repeat."""
    pads = [(0, 0)] * values.ndim
    pads[axis] = (1, 1 if corners > 1 else 2)
    return np.lib.stride_tricks.sliding_window_view(np.pad(values, pads, mode="edge"), 4, axis=axis)


def _volume(blocks: NDArray[np.bool_], volumes: Sequence[NDArray[np.int64]]) -> int:
    """Return the points of some of the blocks."""
    return int(np.einsum("ijk,i,j,k->", blocks.astype(np.int64), *volumes))
