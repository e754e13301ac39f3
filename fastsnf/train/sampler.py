"""The stateless sampler: the batch of a step depends on (seed, step) alone, so that there is nothing to save.

An epoch visits every point once, in a pseudo-random order drawn from (seed, epoch). On a GPU that is the
order of hashes of the points' numbers, the same on every GPU; on the CPU torch shuffles, which is faster
there, so that the orders of a CPU and a GPU differ.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastsnf.train.samplers.hashing import hashes, key_of

GROUP_POINTS = 1 << 22
"""Points whose order is drawn at once: it bounds the memory of a permutation to 32 MB for any signal."""


class Sampler:
    """Batches of indices into `points` points.

    Signals of more than `group` points are split into K strided groups, {i : i mod K = k}; an epoch visits
    the groups in random order and the points of each in random order, so that a batch still covers the whole
    domain.

    Args:
        points: number of training points, at least 1.
        batch: points a step; the last batch of an epoch may be smaller.
        seed: of the orders.
        device: where the indices live.
        group: see above; other values than the default serve tests.
        hashed: whether orders are drawn on the device, by hashes; by default everywhere but on the CPU.
    """

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
        self._hashed = self.device.type != "cpu" if hashed is None else hashed
        self.groups = -(-points // group)
        self.steps_per_epoch = -(-points // self.batch)
        self._orders: dict[tuple[int, int], Tensor] = {}
        self._last: tuple[int, Tensor] | None = None

    def indices(self, step: int) -> Tensor | slice:
        """Return the batch of the update after `step` updates: int64 indices, or a slice of everything.

        Asked again for the step that it was asked for last, it returns the same tensor.
        """
        if self.batch == self.points:
            return slice(0, self.points)
        if self._last is None or self._last[0] != step:
            self._last = step, self._drawn(step)
        return self._last[1]

    def _drawn(self, step: int) -> Tensor:
        """Return the indices of a batch that is not everything."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self.batch
        stop = min(start + self.batch, self.points)
        sequence = (
            self._permutation(self.groups, "groups", epoch)
            if self.groups > 1
            else torch.zeros(1, dtype=torch.int64)
        )
        parts = []
        begin = 0
        for group in sequence.tolist():
            size = -(-(self.points - group) // self.groups)
            first, last = max(start, begin), min(stop, begin + size)
            if first < last:
                parts.append(self._order(epoch, group, size)[first - begin : last - begin])
            begin += size
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def points_seen(self, step: int) -> int:
        """Return how many points the first `step` updates took."""
        epochs, rest = divmod(step, self.steps_per_epoch)
        return epochs * self.points + rest * self.batch

    def _order(self, epoch: int, group: int, size: int) -> Tensor:
        """Return the points of a group in the order of an epoch; the last two are kept."""
        key = (epoch, group)
        if key not in self._orders:
            while len(self._orders) > 1:
                self._orders.pop(next(iter(self._orders)))
            if self._hashed:
                order = hashed_order(size, self._seed("points", epoch, group), self.device)
            else:
                order = self._permutation(size, "points", epoch, group)
            if self.groups > 1:
                order.mul_(self.groups).add_(group)
            self._orders[key] = order.to(self.device)
        return self._orders[key]

    def _permutation(self, size: int, *key: object) -> Tensor:
        return torch.randperm(size, generator=torch.Generator().manual_seed(self._seed(*key)))

    def _seed(self, *key: object) -> int:
        return key_of(self.seed, *key)


def hashed_order(size: int, seed: int, device: torch.device) -> Tensor:
    """Return the numbers 0 .. size - 1 in the order of their hashes, int64 `[size]`, without waiting."""
    return torch.argsort(hashes(torch.arange(1, size + 1, device=device), seed))
