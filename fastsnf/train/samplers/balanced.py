"""Batches of which half are occupied voxels and half empty ones, each half exactly uniform."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.ntk.upload import uploaded
from fastsnf.signals.bits import BitGrid
from fastsnf.train.samplers.draws import Draws

RUN = 32
"""Octets of a run, whose occupied voxels are counted together."""
RUNS = 128
"""Runs of a stretch: 4 KiB, 32,768 voxels, so that counts within one have 16 bits."""
PIECE = 1 << 22
"""Octets looked at together while they are counted: a whole number of stretches."""


class Balanced(Draws):
    """Half of a batch occupied voxels, half empty ones; of its kind, each is as likely as any other.

    Drawn is which one of its kind it is, in order; `Ranks` says where that one is. This is work of the host,
    for every device.

    Args:
        bits: the grid.
        batch, seed, device: as for `Draws`.

    Raises:
        InputError: for a grid of one kind.
    """

    name: ClassVar[str] = "balanced"

    def __init__(self, bits: BitGrid, batch: int, seed: int, *, device: torch.device | str = "cpu") -> None:
        super().__init__(bits.size, batch, seed)
        self._home = torch.device(device)
        self._ranks = Ranks(bits)
        if not 0 < self._ranks.occupied < bits.size:
            raise InputError(
                "expected a grid with occupied and empty voxels for the sampler balanced; got "
                f"{self._ranks.occupied:,} of {bits.size:,} occupied: take passes or uniform"
            )

    def _drawn(self, step: int) -> Tensor:
        inside, ones = self.batch // 2, self._ranks.occupied
        ranks = self._numbers(inside, ones, step, "occupied").numpy()
        others = self._numbers(self.batch - inside, self.points - ones, step, "empty").numpy()
        for numbers in (ranks, others):
            numbers.sort()  # the order within a batch is nothing; neighbours share memory
        found = [self._ranks.of_occupied(ranks), self._ranks.of_empty(others)]
        return uploaded(torch.from_numpy(np.concatenate(found)), self._home)


class Ranks:
    """Where the n-th occupied, and the n-th empty voxel of a grid is.

    Held are the occupied voxels before each stretch, and before each run within its stretch: 1/16 of the
    grid's octets (1 MB at 512^3, 67 MB at 2048^3). A look-up is a search among stretches, a search among
    runs, and the counting of one run's bits.

    Args:
        bits: the grid.

    Attributes:
        occupied: how many voxels are.
    """

    def __init__(self, bits: BitGrid) -> None:
        whole = len(bits.octets) // RUN * RUN
        rest = np.zeros(RUN, dtype=np.uint8)
        rest[: len(bits.octets) - whole] = bits.octets[whole:]
        self._rest = rest.view(np.uint64)
        held = bits.octets[:whole] if whole else rest
        self._words = held.view(np.uint64).reshape(-1, RUN // 8)
        stretches = -(-len(bits.octets) // (RUN * RUNS))
        self._before_run = np.empty((stretches, RUNS), dtype=np.uint16)
        self._before_stretch = np.zeros(stretches + 1, dtype=np.int64)
        for start in range(0, len(bits.octets), PIECE):
            piece = bits.octets[start : start + PIECE]
            piece = np.pad(piece, (0, -len(piece) % (RUN * RUNS)))
            words = _ones(piece.view(np.uint64)).reshape(-1, RUNS, RUN // 8).astype(np.uint16)
            # Column by column: NumPy is slow to sum so few numbers at a time.
            runs = words[..., 0] + words[..., 1] + words[..., 2] + words[..., 3]
            ends = np.cumsum(runs, axis=1, dtype=np.uint16)
            first = start // (RUN * RUNS)
            self._before_run[first : first + len(runs)] = ends - runs
            self._before_stretch[first + 1 : first + 1 + len(runs)] = ends[:, -1]
        np.cumsum(self._before_stretch, out=self._before_stretch)
        self.occupied = int(self._before_stretch[-1])
        self._before_stretch = self._before_stretch[:-1]

    def of_occupied(self, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the occupied voxels of these ranks [n], from 0."""
        return self._select(ranks, empty=False)

    def of_empty(self, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the empty voxels of these ranks [n], from 0."""
        return self._select(ranks, empty=True)

    def _select(self, ranks: NDArray[np.int64], *, empty: bool) -> NDArray[np.int64]:
        before = self._before_stretch
        if empty:
            before = np.arange(len(before)) * (RUN * RUNS * 8) - before
        stretch = np.searchsorted(before, ranks, side="right") - 1
        rest = ranks - before[stretch]
        run = self._run(stretch, rest, empty)
        rest -= self._before(stretch, run, empty)
        rows, number = np.arange(len(ranks)), stretch * RUNS + run
        words = self._words_of(number)
        words = ~words if empty else words
        word = _last_before(_ones(words), rest)
        octets = words.view(np.uint8).reshape(len(ranks), RUN // 8, 8)[rows, word]
        octet = _last_before(_ones(octets), rest)
        return number * (RUN * 8) + word * 64 + octet * 8 + _PLACES[octets[rows, octet], rest]

    def _words_of(self, number: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the bits of runs [n], uint64 [n, 4]; after the last octet they are 0."""
        words = self._words[np.minimum(number, len(self._words) - 1)]
        words[number == len(self._words)] = self._rest
        return words

    def _run(self, stretch: NDArray[np.int64], rest: NDArray[np.int64], empty: bool) -> NDArray[np.int64]:
        """Return the last run of each stretch [n] before which there are `rest` [n] of a kind, or fewer."""
        run, step = np.zeros_like(stretch), RUNS // 2
        while step:
            further = self._before(stretch, run + step, empty) <= rest
            run += step * further
            step //= 2
        return run

    def _before(self, stretch: NDArray[np.int64], run: NDArray[np.int64], empty: bool) -> NDArray[np.int64]:
        """Return how many voxels of a kind are before the runs [n], within their stretches."""
        occupied = self._before_run[stretch, run].astype(np.int64)
        return run * (RUN * 8) - occupied if empty else occupied


_COUNTS = np.array([value.bit_count() for value in range(256)], dtype=np.uint8)
_PLACES = np.zeros((256, 8), dtype=np.int64)
"""Where the n-th 1 of an octet is."""
for _octet in range(256):
    _ones_of = [place for place in range(8) if _octet >> place & 1]
    _PLACES[_octet, : len(_ones_of)] = _ones_of


def _ones(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    """Return how many bits of each of `numbers`, uint8 or uint64, are 1."""
    count = getattr(np, "bitwise_count", None)
    if count is not None:
        return count(numbers)
    counts = _COUNTS[np.ascontiguousarray(numbers).view(np.uint8)]  # NumPy 1
    return counts.reshape(*numbers.shape, -1).sum(axis=-1, dtype=np.uint8)


def _last_before(counts: NDArray[np.uint8], rest: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return in which of [n, k] places the one number `rest` [n] is; `rest` is then counted from there."""
    ends = np.cumsum(counts, axis=1, dtype=np.uint16)
    place = (ends <= rest[:, None]).sum(axis=1)
    rest -= np.where(place > 0, ends[np.arange(len(rest)), place - 1], 0)
    return place
