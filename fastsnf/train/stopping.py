"""When a fit stops, and how far along it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastsnf.train.config import FitConfig


@dataclass(frozen=True)
class StopRule:
    """The first limit reached ends the fit; a limit that is None does not count."""

    max_steps: int | None
    time_limit: float | None
    target_psnr: float | None

    @classmethod
    def of(cls, config: FitConfig, steps_per_epoch: int) -> StopRule:
        """Return the rule of a configuration for a signal that takes `steps_per_epoch` steps an epoch."""
        budgets = []
        if config.steps is not None:
            budgets.append(config.steps)
        if config.epochs is not None:
            budgets.append(max(1, math.ceil(config.epochs * steps_per_epoch)))
        if not budgets and config.time_limit is None and config.target_psnr is None:
            budgets.append(config.default_steps)
        return cls(min(budgets) if budgets else None, config.time_limit, config.target_psnr)

    def reached(self, step: int, seconds: float) -> bool:
        """Return whether `step` updates or `seconds` use up the budget."""
        if self.max_steps is not None and step >= self.max_steps:
            return True
        return self.time_limit is not None and seconds >= self.time_limit

    def progress(self, step: int, seconds: float) -> float:
        """Return how far along the run is, in [0, 1], before the update after `step` updates.

        With a step budget it is the share of the steps, so that a run is reproducible. With a time limit
        alone it is the share of the time, so that the schedule ends with the run. With a PSNR target alone
        the end is unknown and progress stays 0: ``cosine`` and ``exponential:F`` are then constant.
        """
        if self.max_steps is not None:
            return min(1.0, step / self.max_steps)
        if self.time_limit is not None:
            return min(1.0, seconds / self.time_limit)
        return 0.0
