"""The IoU that the published training loops print, for comparison with theirs.

WIRE's loop, and IGA's after it, gathers what the field says of each batch before its update, thresholds it at
the end of the epoch and compares it with all points; the best epoch counts. The weights have moved meanwhile,
and the field that reached the best is gone: our ``iou`` is of the final weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from fastsnf.nn import Field
from fastsnf.train.evaluate import values_at
from fastsnf.train.losses import to_values
from fastsnf.train.meters import OCCUPIED
from fastsnf.train.parallel import World
from fastsnf.train.points import Batch, as_tensors


class PublishedIou:
    """Counts, step by step, what a field says of the points that it is about to be updated with.

    Args:
        field: what is trained; it is asked as it is, in training mode.
        outputs: what it returns, ``values`` or ``logits``.
        steps_per_epoch: steps after which every point has come once.

    Attributes:
        best: of the epochs that came to their end, NaN before the first.
    """

    def __init__(self, field: Field, outputs: str, steps_per_epoch: int) -> None:
        self._field, self._outputs, self._steps_per_epoch = field, outputs, steps_per_epoch
        self._world = World.current()
        self._counts: Tensor | None = None
        self._steps = 0
        self.best = math.nan

    def add(self, batches: Iterable[Batch]) -> None:
        """Take a step's points, or this process's share of them, before the update.

        Occupied are predictions of at least 0.5 and all values but 0, as in WIRE's code. On a GPU the end of
        an epoch waits for it.
        """
        device = next(self._field.parameters()).device
        counts = torch.zeros(2, dtype=torch.float64, device=device)  # exact up to 2^53
        with torch.no_grad():
            for x, y, w in batches:
                x, y = as_tensors(x, y)
                here = to_values(values_at(self._field, x), self._outputs) >= OCCUPIED
                there = y != 0
                if w is not None:
                    here, there = here & (w > 0)[:, None], there & (w > 0)[:, None]
                counts += torch.stack([(here & there).sum(), (here | there).sum()])
        self._world.add_up(counts)
        self._counts = counts if self._counts is None else self._counts + counts
        self._steps += 1
        if self._steps == self._steps_per_epoch:
            both, either = self._counts.tolist()
            found = both / either if either else 1.0
            self.best = found if math.isnan(self.best) else max(self.best, found)
            self._counts, self._steps = None, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the counts of the current epoch, and the best of those before."""
        counts = [0.0, 0.0] if self._counts is None else self._counts.tolist()
        best = None if math.isnan(self.best) else self.best
        return {"both": counts[0], "any": counts[1], "steps": self._steps, "best": best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put the state of `state_dict` back in place."""
        device = next(self._field.parameters()).device
        self._counts = torch.tensor([state["both"], state["any"]], dtype=torch.float64, device=device)
        self._steps = int(state["steps"])
        self.best = math.nan if state["best"] is None else float(state["best"])
