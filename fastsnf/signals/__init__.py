"""Signals: what is fitted. No parameters, no devices.

Names resolve on first use, so that `fastsnf.signals.kinds` and `fastsnf.signals.size` serve the command line
without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES: dict[str, str] = {
    "Grid": "grid",
    "Image": "image",
    "Samples": "samples",
    "Signal": "signal",
    "from_metadata": "registry",
    "holdout_split": "grid",
    "open": "registry",
    "synthetic": "synthetic",
}
"""Every public name and the module that holds it; a module's own name stands for the module."""

__all__ = ["Grid", "Image", "Samples", "Signal", "from_metadata", "holdout_split", "open", "synthetic"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastsnf.signals' has no attribute {name!r}")
    module = import_module(f"fastsnf.signals.{_HOMES[name]}")
    value = module if _HOMES[name] == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
