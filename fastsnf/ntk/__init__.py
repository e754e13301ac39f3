"""The empirical neural tangent kernel of a field, its spectrum, and inductive gradient adjustment (IGA).

Names resolve on first use: the command line reads `fastsnf.ntk.config` without torch.
"""

from __future__ import annotations

from fastsnf.lazy import on_first_use

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

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
