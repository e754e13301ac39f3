"""The empirical neural tangent kernel of a field, its spectrum, and inductive gradient adjustment (IGA)."""

from fastsnf.ntk.adjuster import Adjuster
from fastsnf.ntk.config import IGA
from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.ntk.groups import Groups, Members
from fastsnf.ntk.spectrum import Eigenpairs, alignment, condition_number, leading

__all__ = [
    "IGA",
    "Adjuster",
    "Eigenpairs",
    "Groups",
    "Members",
    "alignment",
    "condition_number",
    "empirical_ntk",
    "leading",
]
