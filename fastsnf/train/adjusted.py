"""Updates with inductive gradient adjustment: whole groups of points, adjusted residuals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from fastsnf.nn import Field
from fastsnf.ntk.adjuster import Adjuster
from fastsnf.ntk.groups import Members
from fastsnf.train.grouping import Grouping
from fastsnf.train.points import Batch, Points
from fastsnf.train.step import Step
from fastsnf.train.updates import Updates


class AdjustedUpdates(Updates):
    """The updates of a fit with `fastsnf.ntk.IGA`; `gradients` takes numbers of groups.

    All groups in every step lie arranged, offset by offset, from the first step on; of other batches each is
    gathered. Settings that adjust no eigenvalue make the plain step, whose points keep their order when the
    batch is everything: its weights are then bit for bit those of a fit without adjustment.

    Args:
        points, step: as for `Updates`.
        field: what is trained.
        grouping: the groups and their batches.
        device: of the batches.
    """

    def __init__(
        self, points: Points, step: Step, field: Field, grouping: Grouping, device: torch.device
    ) -> None:
        super().__init__(points, step)
        self._field, self._grouping, self._device = field, grouping, device
        self._adjuster = Adjuster(
            grouping.iga,
            grouping.groups,
            optimizer=grouping.optimizer,
            device=device,
            batch=grouping.sampler.groups,
        )
        self._everything: tuple[Tensor, Tensor, Tensor | None] | None = None

    def gradients(self, index: Tensor | slice) -> Tensor:
        """Fill in the adjusted gradients for the groups `index`; return the plain loss, 0-d."""
        members: Members | None = None
        if isinstance(index, slice):
            batch = self._whole()
        elif self._points.resident:
            members = self._adjuster.members(index)
            batch = self._points.tensors(members.points)
        else:  # the host reads the points: their numbers need not come back from the device
            here = self._grouping.groups.members(index)
            batch = self._points.tensors(here.points)
            members = here.to(self._device)
        self.batch = batch
        if self._grouping.plain:
            return self._step.gradients(*batch)
        return self._adjuster.value_and_grad(self._field, *batch, members=members)

    def batches(self, *, share: bool = False) -> Iterator[Batch]:
        """Yield the last batch."""
        yield self.batch

    def state_dict(self) -> dict[str, Any]:
        """Return what the next step depends on, beside weights and optimizer."""
        return {**super().state_dict(), **self._adjuster.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put the state of `state_dict` back in place."""
        super().load_state_dict(state)
        self._adjuster.load_state_dict({name: value for name, value in state.items() if name != "watch"})

    def report(self) -> dict[str, Any]:
        """Return the summary of the adjustment: its settings, and how it went."""
        return {**self._adjuster.report(), "groups_per_step": self._grouping.sampler.groups}

    def _whole(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return all points in the order in which they are taken, made once."""
        if self._everything is None:
            batch = self._points.tensors(slice(0, self._points.count))
            self._everything = batch if self._grouping.plain else self._adjuster.arrange(*batch)
        return self._everything
