"""Optimizers by name, and the learning rate that a schedule gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fastsnf.errors import InputError
from fastsnf.train.config import FitConfig

_FUSED_DTYPES = (torch.float32, torch.float64)


def make_optimizer(config: FitConfig, params: Sequence[Tensor]) -> Optimizer:
    """Return the optimizer of a configuration over `params`.

    Named optimizers have torch's defaults. They take torch's fused kernel where it exists: one pass over
    memory for the whole update; complex parameters have none.

    Raises:
        InputError: when a callable returns anything but an optimizer.
    """
    if callable(config.optimizer):
        optimizer = config.optimizer(list(params))
        if not isinstance(optimizer, Optimizer):
            raise InputError(
                "expected the optimizer callable to return a torch.optim.Optimizer; "
                f"got {type(optimizer).__name__}"
            )
        return optimizer
    fused = all(p.dtype in _FUSED_DTYPES and p.device.type in ("cpu", "cuda") for p in params)
    cls: Callable[..., Optimizer] = _CLASSES[config.optimizer]
    options: dict[str, Any] = {"fused": True} if fused else {}
    return cls(list(params), lr=config.base_lr, **options)


def base_rates(optimizer: Optimizer) -> list[float]:
    """Return the learning rate of each parameter group, before any schedule."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def set_rates(optimizer: Optimizer, rates: Sequence[float], multiplier: float) -> float:
    """Give each group its base rate times `multiplier`; return the first group's."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * multiplier
    return rates[0] * multiplier


_CLASSES: dict[str, Callable[..., Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
