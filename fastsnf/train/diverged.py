"""Why a loss is not finite."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from fastsnf.errors import RunError
from fastsnf.train.points import Batch, as_tensors
from fastsnf.train.state import FitState


def diverged(
    state: FitState,
    batches: Iterable[Batch],
    lr: float,
    saved: str | None,
    *,
    step: int,
    finite: int,
) -> RunError:
    """Return the error for a loss that is not finite, naming the step, the likely cause and what to do.

    Args:
        state: the fit.
        batches: (x, y, w) of the step, in parts.
        lr: its learning rate.
        saved: the last good checkpoint in words, or None.
        step: the step, the first being 1.
        finite: the last step whose loss is known to be finite; on a GPU not every loss is looked at.
    """
    since = f" (it was finite at step {finite})" if finite < step - 1 else ""
    kept = f"; the last good checkpoint is {saved}" if saved else ""
    return RunError(
        f"expected a finite loss; got NaN or infinity at step {step}{since}: "
        f"{_cause(state, batches, lr, step)}{kept}"
    )


def _cause(state: FitState, batches: Iterable[Batch], lr: float, step: int) -> str:
    if not all(map(_known, batches)):
        return "the signal holds NaN or infinity: give those points weight 0"
    weights_finite = all(_finite(parameter) for parameter in state.field.parameters())
    if step == 1:
        if weights_finite:
            return "the loss itself is not finite for these weights: check the loss"
        return "the field's initial weights are not finite: initialize it again"
    if callable(state.config.loss) and weights_finite:
        return f"the loss callable or a learning rate of {lr:g} that is too high: check the loss, or lower lr"
    return f"the learning rate of {lr:g} is likely too high: lower lr"


def _known(batch: Batch) -> bool:
    """Return whether the points of a batch, and their values where they have weight, are finite."""
    x, y = as_tensors(*batch[:2])
    w = batch[2]
    there = torch.ones(len(y), dtype=torch.bool, device=y.device) if w is None else w > 0
    return _finite(x) and _finite(y[there]) and (w is None or _finite(w))


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor.detach()).all())
