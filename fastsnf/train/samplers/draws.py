"""Batches of independent draws: a point may come twice; an epoch is as many points as there are."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from fastsnf.train.samplers.hashing import draws, key_of


class Draws:
    """Batches that are drawn anew every step, a function of (seed, step) alone.

    Args:
        points: the points to draw from.
        batch: points a step.
        seed: of the draws.
        device: where the indices live; all devices draw the same.

    Attributes:
        steps_per_epoch: steps that take as many points as there are, at least.
    """

    name: ClassVar[str]

    def __init__(self, points: int, batch: int, seed: int, *, device: torch.device | str = "cpu") -> None:
        self.points, self.batch, self.seed = points, batch, seed
        self.device = torch.device(device)
        self.steps_per_epoch = -(-points // batch)
        self._last: tuple[int, Tensor] | None = None

    @property
    def order(self) -> str | None:
        """What an interrupted run has to agree on beside the settings: how points are drawn."""
        return self.name

    def indices(self, step: int) -> Tensor | slice:
        """Return the batch of the update after `step` updates, int64 `[batch]`.

        Asked again for the step that it was asked for last, it returns the same tensor.
        """
        if self._last is None or self._last[0] != step:
            self._last = step, self._drawn(step)
        return self._last[1]

    def points_seen(self, step: int) -> int:
        """Return how many points the first `step` updates took."""
        return step * self.batch

    def _drawn(self, step: int) -> Tensor:
        raise NotImplementedError

    def _numbers(self, count: int, below: int, step: int, what: str) -> Tensor:
        """Return `count` independent numbers in [0, below) for a step, other ones for each `what`."""
        return draws(count, below, key_of(self.seed, self.name, what, step), self.device)


class Uniform(Draws):
    """Every point as likely as any other."""

    name: ClassVar[str] = "uniform"

    def _drawn(self, step: int) -> Tensor:
        return self._numbers(self.batch, self.points, step, "points")
