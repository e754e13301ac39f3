"""What the loop writes while it runs: rows, reconstructions and checkpoints of one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.optim import Optimizer

from fastsnf.errors import InputError
from fastsnf.train.interrupt import Interrupted
from fastsnf.train.run import RunFolder
from fastsnf.train.state import FitState
from fastsnf.train.updates import Updates


@dataclass(frozen=True)
class Recorder:
    """Writes the state of a fit into its run folder.

    Attributes:
        folder: where.
        optimizer, updates: their state is part of a checkpoint.
        description: the metadata of a checkpoint, `fastsnf.train.plan.Plan.describe`.
    """

    folder: RunFolder
    optimizer: Optimizer
    updates: Updates
    description: dict[str, Any]

    def save(self, state: FitState) -> None:
        """Write a checkpoint of the run as it is now."""
        progress = {
            "step": state.step,
            "seconds": state.seconds,
            "seconds_steps": state.seconds_steps,
            "loss": state.loss,
            "threads": torch.get_num_threads(),
        }
        self.folder.snapshots.save(
            state.field, self.optimizer, progress, self.description, self.updates.state_dict()
        )

    def interrupted(self, state: FitState, signum: int) -> Interrupted:
        """Write the field, whose checkpoint is saved, and return what a signal ends the fit with."""
        self.folder.save_field(state)
        return Interrupted(
            signum, f"step {state.step} is saved in {self.folder.path}: resume the run to go on"
        )

    def last_saved(self) -> str | None:
        """Return the newest good checkpoint in words, or None when there is none."""
        try:
            snapshot = self.folder.snapshots.newest()
        except InputError:
            return None
        return None if snapshot is None else f"step {snapshot.step} in {self.folder.path}"
