"""What an analysis consists of, and how much of it is looked at by default. No torch here."""

from __future__ import annotations

PARTS = ("ntk", "spectrum", "hessian", "layers", "ntk-all")
"""What there is to say about a field, in the order of the report."""
DEFAULT_PARTS = PARTS[:-1]
"""Without products over all points, of which each takes seconds for a large picture."""

POINTS = 2048
"""Sampled points of the NTK, whose time grows as their cube, and of the layers."""
HESSIAN_POINTS = 4096
"""Sampled points of the Hessian's loss."""
HESSIAN_STEPS = 30
"""Lanczos steps on the Hessian."""
NTK_STEPS = 30
"""Lanczos steps on the NTK at all points."""
