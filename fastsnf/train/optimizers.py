"""Optimizers by name, and the learning rate that a schedule gives them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fastsnf.errors import InputError
from fastsnf.train.config import FitConfig

_FUSED_DTYPES = (torch.float32, torch.float64)


def make_optimizer(config: FitConfig, params: Sequence[Tensor], *, recorded: bool = False) -> Optimizer:
    """Return the optimizer of a configuration over `params`.

    Named optimizers have torch's defaults. They take torch's fused kernel where it exists: one pass over
    memory for the whole update; complex parameters have none.

    Args:
        config: its name, or a callable.
        params: what it updates.
        recorded: whether its updates become part of a CUDA graph (`recordable`): the learning rate is then a
            tensor on the device of the parameters, and no update waits for the device.

    Raises:
        InputError: when a callable returns anything but an optimizer, or one that calls the loss itself.
    """
    if callable(config.optimizer):
        optimizer = config.optimizer(list(params))
        if not isinstance(optimizer, Optimizer):
            raise InputError(
                "expected the optimizer callable to return a torch.optim.Optimizer; "
                f"got {type(optimizer).__name__}"
            )
        closure = inspect.signature(type(optimizer).step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise InputError(
                "expected an optimizer whose step needs no closure; "
                f"got {type(optimizer).__name__}: it evaluates the loss itself, in a loop of your own"
            )
        return optimizer
    fused = all(p.dtype in _FUSED_DTYPES and p.device.type in ("cpu", "cuda") for p in params)
    cls: Callable[..., Optimizer] = _CLASSES[config.optimizer]
    options: dict[str, Any] = {"fused": True} if fused else {}
    if not recorded:
        return cls(list(params), lr=config.base_lr, **options)
    if config.optimizer != "sgd":
        options |= {"capturable": True} if fused else {"capturable": True, "foreach": True}
    rate = torch.tensor(config.base_lr, dtype=torch.float32, device=params[0].device)
    optimizer = cls(list(params), lr=rate, **options)
    # It would warn that it updates outside a graph, as it does before the graph is recorded.
    optimizer._warned_capturable_if_run_uncaptured = True  # type: ignore[attr-defined]
    return optimizer


def recordable(config: FitConfig, params: Sequence[Tensor]) -> bool:
    """Return whether a CUDA graph can hold the updates of the configuration's optimizer.

    Not those of a caller's optimizer, which may do anything, nor SGD's on complex parameters: torch has no
    fused kernel for them, and its other ones read the learning rate on the host.
    """
    if callable(config.optimizer):
        return False
    return config.optimizer != "sgd" or not any(p.is_complex() for p in params)


def base_rates(config: FitConfig, optimizer: Optimizer) -> list[float]:
    """Return the learning rate of each parameter group, before any schedule."""
    if not callable(config.optimizer):
        return [config.base_lr] * len(optimizer.param_groups)  # a tensor has it rounded
    return [float(group["lr"]) for group in optimizer.param_groups]


def set_rates(optimizer: Optimizer, rates: Sequence[float], multiplier: float) -> float:
    """Give each group its base rate times `multiplier`; return the first group's.

    A rate that is a tensor, which a CUDA graph reads, is filled, without waiting for the device.
    """
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate * multiplier)
        else:
            group["lr"] = rate * multiplier
    return rates[0] * multiplier


def load_state(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Put a state of ``optimizer.state_dict()`` in place, also one that another device wrote.

    How an optimizer computes (`MANNER`) is its own and no part of the state: the learning rate stays the
    float or the tensor that it is, with its value to be set by the schedule.

    Raises:
        KeyError, ValueError, RuntimeError: when it is the state of other parameters or of another optimizer.
    """
    manners = [{name: group[name] for name in MANNER if name in group} for group in optimizer.param_groups]
    groups = state["param_groups"]
    if len(groups) == len(manners):  # torch says so when they are not
        groups = [{**group, **manner} for group, manner in zip(groups, manners, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for group, manner in zip(optimizer.param_groups, manners, strict=True):
        group.update(manner)  # torch has copied the tensor


MANNER = ("lr", "fused", "foreach", "capturable")
"""Entries of an optimizer's groups that say how it computes; the schedule sets the rate before each step."""

_CLASSES: dict[str, Callable[..., Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
