"""The settings of inductive gradient adjustment. No torch here: the command line reads this module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastsnf.errors import InputError, unknown

SAMPLES = ("argmax_lagged", "argmax", "argmax_shared_sum", "center", "random", "random_once")
FORMS = ("auto", "adam", "sgd")


@dataclass(frozen=True)
class IGA:
    """How to adjust gradients (Eq. 4 to 6 and 9 of the IGA paper).

    Args:
        group: how points form groups: ``patch:32`` (32 x 32 pixels), ``cube:8``, ``run:256`` (consecutive
            points), ``ray:64``, a number (the size, of the kind that the signal's axes suggest), a
            `fastsnf.ntk.Groups`, or None for the papers' choice for the signal: patches of 32 x 32, runs of
            256 in one and three dimensions.
        start, end: eigenvalues ``lambda_start .. lambda_(end - 1)``, counted from 0, are adjusted; the rest
            of the spectrum keeps its gradients.
        target: the eigenvalue that they become; None for the form's own.
        form: ``sgd`` amplifies towards ``lambda_start``, ``adam`` attenuates to ``lambda_end``; ``auto``
            is ``sgd`` for the optimizer of that name and ``adam`` for every other.
        sample: which point stands for its group. ``argmax_lagged``: that of the largest residual in the
            previous pass, which costs nothing. ``argmax``: of this pass, as the paper says, for one more
            forward pass. ``argmax_shared_sum``: what the released code does, the sum over all groups'
            offsets. ``center``, ``random`` (anew each step), ``random_once``.
        refresh: steps between two computations of the adjustment.
        seed: of ``random`` and ``random_once``.
    """

    group: Any = None
    start: int = 0
    end: int = 20
    target: int | None = None
    form: str = "auto"
    sample: str = "argmax_lagged"
    refresh: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sample not in SAMPLES:
            raise unknown("the sample point", self.sample, SAMPLES)
        if self.form not in FORMS:
            raise unknown("the form", self.form, FORMS)
        if not 0 <= self.start <= self.end:
            raise InputError(f"expected 0 <= start <= end; got start={self.start}, end={self.end}")

    def target_of(self, optimizer: str = "adam") -> int:
        """Return the index of the eigenvalue that the adjusted ones become, under an optimizer's form."""
        if self.target is not None:
            return self.target
        form = ("sgd" if optimizer == "sgd" else "adam") if self.form == "auto" else self.form
        return self.start if form == "sgd" else self.end

    def pairs(self, optimizer: str = "adam") -> int:
        """Return how many leading eigenpairs the adjustment reads."""
        return 0 if self.start == self.end else max(self.end, self.target_of(optimizer) + 1)
