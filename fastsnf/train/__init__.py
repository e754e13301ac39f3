"""Fitting a field to a signal: configuration, loop, metrics, checkpoints, run folders.

Names resolve on first use, so that ``fastsnf.train.config`` is there without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "fit": "trainer",
    "FitConfig": "config",
    "FitResult": "result",
    "Callback": "callbacks",
    "FitState": "state",
    "Interrupted": "interrupt",
    "save": "checkpoint",
    "load": "checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastsnf.train' has no attribute {name!r}")
    return getattr(import_module(f"fastsnf.train.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
