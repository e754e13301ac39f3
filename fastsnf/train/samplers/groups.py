"""The sampler of groups: which groups of points make a step of inductive gradient adjustment."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsnf.ntk.groups import Groups
from fastsnf.train.samplers.passes import Passes


class GroupSampler:
    """Batches of whole groups, stateless like those of `Passes`: an epoch visits each once.

    Nothing is held for every group of a large signal: 512 runs of 256 voxels a step of a grid of 512^3 take
    as much memory as of one of 2048^3. Where the points are no whole number of groups, the last group is
    shorter and comes in a batch like any other; the code of the IGA paper trains on those points by
    themselves, unadjusted.

    The last batch of an epoch has fewer groups, as in the papers, unless those would be fewer than `least`:
    they then join the batch before them, since a batch of n groups has n eigenpairs.

    Args:
        all_groups: the groups.
        per_step: groups a step; all of them make every step the same slice.
        seed: of the orders.
        least: groups a step at the very least; `per_step` is no less.

    Attributes:
        groups: groups a step. batch: points a step; the last step of an epoch, and any with a group that the
            border cut, may have others.
    """

    def __init__(self, all_groups: Groups, per_step: int, seed: int, *, least: int = 1) -> None:
        self._all = all_groups
        self._points, self._count = all_groups.size, all_groups.count
        self._sampler = Passes(self._count, per_step, seed)
        rest = self._count % self._sampler.batch
        self._joined = 0 < rest < least
        self.steps_per_epoch = self._sampler.steps_per_epoch - self._joined
        self.groups = self._count if self.steps_per_epoch == 1 else self._sampler.batch
        self.batch = min(self._points, self.groups * all_groups.offsets)
        self._seen = (0, 0)

    @property
    def order(self) -> str | None:
        """How the groups of a step are chosen, as `fastsnf.train.samplers.passes.Passes.order`."""
        return self._sampler.order

    def indices(self, step: int) -> Tensor | slice:
        """Return the groups of the update after `step` updates: int64 numbers, or a slice of everything."""
        if self.steps_per_epoch == 1:
            return slice(0, self._count)
        epoch, position = divmod(step, self.steps_per_epoch)
        first = epoch * self._sampler.steps_per_epoch + position
        last = first + (self._joined and position == self.steps_per_epoch - 1)
        parts = [self._sampler.indices(number) for number in range(first, last + 1)]
        return torch.cat([part for part in parts if isinstance(part, Tensor)])

    def points_seen(self, step: int) -> int:
        """Return how many points the first `step` updates took; quick when steps are asked for in turn."""
        if self.steps_per_epoch == 1:
            return step * self._points
        done, seen = self._seen
        epochs = step // self.steps_per_epoch
        if self._all.whole:
            return epochs * self._points + (step - epochs * self.steps_per_epoch) * self.batch
        if not epochs * self.steps_per_epoch <= done <= step:
            done, seen = epochs * self.steps_per_epoch, epochs * self._points
        while done < step:
            index = self.indices(done)
            assert isinstance(index, Tensor), "it is not all of them"
            seen += int(self._all.sizes(index).sum())
            done += 1
        self._seen = (done, seen)
        return seen
