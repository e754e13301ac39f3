"""Full passes, stateless: the batch of a step depends on (seed, step) alone, and there is nothing to save.

An epoch visits every point once, in a pseudo-random order drawn from (seed, epoch). Of a signal of up to
`GROUP_POINTS` points the order is held: on a GPU that of hashes of the points' numbers, the same on every
GPU; on the CPU torch shuffles, which is faster there, so that the orders of a CPU and a GPU differ. The order
of a larger signal is never held: `fastsnf.train.samplers.bijection` says which point stands where, the same
on every device.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fastsnf.train.samplers.bijection import Bijection
from fastsnf.train.samplers.hashing import hashes, key_of

GROUP_POINTS = 1 << 22
"""Points whose order is held at most: it bounds the memory to 32 MB for any signal."""


class Passes:
    """Batches that visit every point once an epoch, in a pseudo-random order.

    Args:
        points: number of training points, at least 1.
        batch: points a step; the last batch of an epoch may be smaller.
        seed: of the orders.
        device: where the indices live.
        group: see `GROUP_POINTS`; other values than the default serve tests.
        hashed: whether a held order is drawn on the device, by hashes; by default everywhere but on the CPU.
    """

    name: ClassVar[str] = "passes"

    def __init__(
        self,
        points: int,
        batch: int,
        seed: int,
        *,
        device: torch.device | str = "cpu",
        group: int = GROUP_POINTS,
        hashed: bool | None = None,
    ) -> None:
        self.points = points
        self.batch = min(batch, points)
        self.seed = seed
        self.device = torch.device(device)
        self.held = points <= group
        self.steps_per_epoch = -(-points // self.batch)
        self._hashed = self.device.type != "cpu" if hashed is None else hashed
        # On a GPU each operation is launched by the host: it is asked for many batches at once.
        self._at_once = 1 if self.device.type == "cpu" else max(1, group // self.batch)
        self._orders: dict[int, Tensor] = {}
        self._window: tuple[tuple[int, int], Tensor] | None = None
        self._last: tuple[int, Tensor] | None = None

    @property
    def order(self) -> str | None:
        """What an interrupted run has to agree on beside the settings: how the order is made."""
        return None if self.held else "bijection"

    def indices(self, step: int) -> Tensor | slice:
        """Return the batch of the update after `step` updates: int64 indices, or a slice of everything.

        Asked again for the step that it was asked for last, it returns the same tensor.
        """
        if self.batch == self.points:
            return slice(0, self.points)
        if self._last is None or self._last[0] != step:
            self._last = step, self._drawn(step)
        return self._last[1]

    def points_seen(self, step: int) -> int:
        """Return how many points the first `step` updates took."""
        epochs, rest = divmod(step, self.steps_per_epoch)
        return epochs * self.points + rest * self.batch

    def _drawn(self, step: int) -> Tensor:
        """Return the indices of a batch that is not everything."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if self.held:
            first = position * self.batch
            return self._order(epoch)[first : min(first + self.batch, self.points)]
        window, place = divmod(position, self._at_once)
        first = window * self._at_once * self.batch
        if self._window is None or self._window[0] != (epoch, window):
            last = min(first + self._at_once * self.batch, self.points)
            order = Bijection(self.points, self.seed, epoch).at(first, last, self.device)
            self._window = (epoch, window), order
        return self._window[1][place * self.batch : (place + 1) * self.batch]

    def _order(self, epoch: int) -> Tensor:
        """Return the points in the order of an epoch; the last two are kept."""
        if epoch not in self._orders:
            while len(self._orders) > 1:
                self._orders.pop(next(iter(self._orders)))
            seed = key_of(self.seed, "points", epoch, 0)
            if self._hashed:
                order = hashed_order(self.points, seed, self.device)
            else:
                order = torch.randperm(self.points, generator=torch.Generator().manual_seed(seed))
            self._orders[epoch] = order.to(self.device)
        return self._orders[epoch]


def hashed_order(size: int, seed: int, device: torch.device) -> Tensor:
    """Return the numbers 0 .. size - 1 in the order of their hashes, int64 `[size]`, without waiting."""
    return torch.argsort(hashes(torch.arange(1, size + 1, device=device), seed))
