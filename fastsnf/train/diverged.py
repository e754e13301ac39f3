"""Why a loss is not finite."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsnf.errors import RunError
from fastsnf.train.state import FitState


def diverged(
    state: FitState, batch: tuple[Tensor, Tensor, Tensor | None], lr: float, saved: str | None
) -> RunError:
    """Return the error for a loss that is not finite, naming the step, the likely cause and what to do.

    Args:
        state: the fit, `state.step` updates done.
        batch: (x, y, w) of the step.
        lr: its learning rate.
        saved: the last good checkpoint in words, or None.
    """
    kept = f"; the last good checkpoint is {saved}" if saved else ""
    return RunError(
        f"expected a finite loss; got NaN or infinity at step {state.step + 1}: "
        f"{_cause(state, batch, lr)}{kept}"
    )


def _cause(state: FitState, batch: tuple[Tensor, Tensor, Tensor | None], lr: float) -> str:
    x, y, w = batch
    there = torch.ones(len(y), dtype=torch.bool, device=y.device) if w is None else w > 0
    if not (_finite(x) and _finite(y[there]) and (w is None or _finite(w))):
        return "the signal holds NaN or infinity: give those points weight 0"
    weights_finite = all(_finite(parameter) for parameter in state.field.parameters())
    if state.step == 0:
        if weights_finite:
            return "the loss itself is not finite for these weights: check the loss"
        return "the field's initial weights are not finite: initialize it again"
    if callable(state.config.loss) and weights_finite:
        return f"the loss callable or a learning rate of {lr:g} that is too high: check the loss, or lower lr"
    return f"the learning rate of {lr:g} is likely too high: lower lr"


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor.detach()).all())
