"""Choosing alpha, an omega, a scale, sigma_p, a learning rate or IGA's end by short races (`tune`).

Names resolve on first use, so that the command line reads `knobs` and `rule` without torch.
"""

from __future__ import annotations

from fastsnf.lazy import on_first_use

_HOMES = {
    "tune": "search",
    "TuneResult": "result",
    "Trial": "result",
    "Run": "result",
    "MakeField": "race",
    "Knob": "knobs",
    "OVER": "knobs",
    "transfer": "transfers",
    "Transfer": "transfers",
    "rule_of_thumb": "rule",
    "rule_for": "rule",
    "auto_alpha": "auto",
    "AutoAlpha": "auto",
}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
