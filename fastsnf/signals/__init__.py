"""Signals: what is fitted. No parameters, no devices.

Names resolve on first use, so that `fastsnf.signals.kinds` and `fastsnf.signals.size` serve the command line
without torch.
"""

from __future__ import annotations

from fastsnf.lazy import on_first_use

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

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
