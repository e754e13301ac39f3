"""Losses, and the values that a field's outputs stand for.

All are weighted means over the points: ``sum_n w_n l_n / sum_n w_n``, with l_n the mean over the channels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from fastsnf.errors import InputError
from fastsnf.ops.weighted import known, weighted_mean
from fastsnf.signals.signal import Signal

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""``(out [B, C], target [B, C], weights [B] or None) -> 0-d loss``."""

VALUES = "values"
LOGITS = "logits"


def mse(out: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean squared error of out [B, C] against target [B, C]."""
    return weighted_mean((out - known(target, weights)).square(), weights)


def bce(out: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Return the binary cross entropy of the logits out [B, C] against target [B, C] in [0, 1]."""
    errors = functional.binary_cross_entropy_with_logits(out, known(target, weights), reduction="none")
    return weighted_mean(errors, weights)


LOSSES: dict[str, Loss] = {"mse": mse, "bce": bce}
"""The named losses of `fastsnf.train.config.LOSSES`."""


def make_loss(loss: str | Loss) -> Loss:
    """Return the loss of a configuration; a callable is checked at each call.

    Raises:
        InputError: from a call, when a callable returns anything but a 0-d tensor that depends on `out`.
    """
    if isinstance(loss, str):
        return LOSSES[loss]
    user = loss

    def checked(out: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        value = user(out, target, weights)
        if not isinstance(value, Tensor) or value.dim() != 0 or not value.requires_grad:
            got = (
                f"a tensor of shape {list(value.shape)}"
                if isinstance(value, Tensor)
                else type(value).__name__
            )
            raise InputError(f"expected the loss to return a 0-d tensor that depends on out; got {got}")
        return value

    return checked


def outputs_of(loss: str | Loss) -> str:
    """Return what the field's outputs are under a loss: ``values`` of the signal, or their ``logits``."""
    return LOGITS if loss == "bce" else VALUES


def reduction_of(signal: Signal | None, loss: str | Loss) -> Callable[[Tensor], Tensor] | None:
    """Return what makes a signal's values [B, C] of a field's outputs [B, S, C]; None where they are these.

    Raises:
        InputError: for a loss on logits, which are no values to be averaged.
    """
    if signal is None or signal.samples == 1:
        return None
    if outputs_of(loss) == LOGITS:
        raise InputError(
            f"expected the loss mse, or a callable, for a {signal.kind}, whose values are made of several "
            f"outputs; got {loss}: choose mse"
        )
    return signal.reduce


def to_values(out: Tensor, outputs: str) -> Tensor:
    """Return the signal's values that `out` stands for: itself, or the sigmoid of logits."""
    return torch.sigmoid(out) if outputs == LOGITS else out
