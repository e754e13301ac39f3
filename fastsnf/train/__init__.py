"""Fitting a field to a signal: configuration, loop, metrics, checkpoints, run folders.

Names resolve on first use, so that ``fastsnf.train.config`` is there without torch.
"""

from __future__ import annotations

from fastsnf.lazy import on_first_use

_HOMES = {
    "fit": "trainer",
    "FitConfig": "config",
    "FitResult": "result",
    "Callback": "callbacks",
    "FitState": "state",
    "Interrupted": "interrupt",
    "layerwise_lr": "layerwise",
    "save": "checkpoint",
    "load": "checkpoint",
}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
