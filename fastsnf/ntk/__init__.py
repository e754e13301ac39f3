"""The empirical neural tangent kernel of a field, its spectrum, and inductive gradient adjustment (IGA).

Names resolve on first use: the command line reads `fastsnf.ntk.config` without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "IGA": "config",
    "Adjuster": "adjuster",
    "Groups": "groups",
    "Members": "groups",
    "make_groups": "groups",
    "empirical_ntk": "empirical",
    "NtkOperator": "operator",
    "SizeEstimate": "size",
    "size_estimate": "size",
    "Alignment": "spectrum",
    "Eigenpairs": "spectrum",
    "SpectrumError": "spectrum",
    "alignment": "spectrum",
    "condition_number": "spectrum",
    "leading": "spectrum",
    "adjustment_of": "coefficients",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastsnf.ntk' has no attribute {name!r}")
    return getattr(import_module(f"fastsnf.ntk.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
