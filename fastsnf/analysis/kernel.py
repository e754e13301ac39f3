"""The spectrum of the empirical NTK at sampled points: conditioning and kernel-task alignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fastsnf.analysis.apart import any_engine, in_dtype
from fastsnf.analysis.panels import Drawn, Line, Lines, Panel
from fastsnf.errors import InputError
from fastsnf.ntk import Alignment, empirical_ntk
from fastsnf.ntk.spectrum import alignment_of, condition_of, eigenpairs

THRESHOLDS = (1e-1, 1e-2, 1e-3, 1e-4)
"""t of Eq. 9 at which tables give E(t)."""


@dataclass(frozen=True)
class NtkSpectrum(Drawn):
    """All eigenvalues of a field's NTK at n points.

    The eigenvalues over n are those of an integral operator, which n points estimate: compare `values / n`
    between different n. The smallest ones, and so the condition number, belong to these very points: more
    points lie closer together, and make the matrix more singular. Compare condition numbers and alignments
    of the same points only.

    How n sampled points of a gray 48×48 picture differ from all 2,304 (sine of width 64, 4 linear layers at
    initialization, worst of three seeds):

    ============================  ==========  ==========  ======  ==========  =====
    n                             128         256         512     1,024       2,304
    ============================  ==========  ==========  ======  ==========  =====
    alpha 1: condition number     105 to 128  374 to 468  3.4e3   4e4 to 5e4  1.0e7
    ... error of lambda_0 .. 4    40 %        15 %        7 %     2 %
    ... error of E(0.01)          0.10        0.05        0.02    0.01
    alpha 2.37: condition number  3.4 to 3.9  4.7 to 5.0  7.8     16 to 17    63
    ... error of lambda_0 .. 4    460 %       200 %       91 %    34 %
    ... error of E(0.1)           0.11        0.11        0.11    0.07
    ============================  ==========  ==========  ======  ==========  =====

    Points further apart than the kernel reaches are unrelated, whatever the field: a sample that is too thin
    looks well-conditioned and aligned. `leading_spectrum` at all points has neither error.

    Attributes:
        values: [n], largest first.
        condition: mean of the `average` largest over the mean of as many of the smallest; inf where those
            are 0 to rounding.
        average: 5 as in Fig. 5a of the source.
        alignment: Eq. 9's curve; None without errors.

    Source: Section 4.3 of Yeom et al. 2025, "Fast training of sinusoidal neural fields via scaling
    initialization".
    """

    values: Tensor
    condition: float
    average: int
    alignment: Alignment | None

    @property
    def points(self) -> int:
        """Return n."""
        return len(self.values)

    def energy_at(self, thresholds: Sequence[float] | Tensor) -> Tensor:
        """Return Eq. 9's E(t) at thresholds t [m] of ``lambda_i / lambda_0``: [m].

        Raises:
            InputError: for a spectrum that was taken without errors.
        """
        if self.alignment is None:
            raise InputError("expected a spectrum with errors, to know their alignment; got one without")
        return self.alignment.at(torch.as_tensor(thresholds, dtype=torch.float64))

    def row(self) -> dict[str, Any]:
        """Return the numbers of a table, JSON-able but for inf."""
        row: dict[str, Any] = {"points": self.points, "condition": self.condition, "average": self.average}
        row |= {"largest": float(self.values[0]), "smallest": float(self.values[-1])}
        if self.alignment is not None:
            row["alignment"] = alignment_row(self.alignment)
        return row

    def panels(self, name: str = "NTK") -> list[Panel]:
        """Return the spectrum and, where there is one, the alignment."""
        n = self.points
        title = f"NTK eigenvalues, {n:,} points, condition {self.condition:.3g}"
        curve = Line(name, list(range(1, n + 1)), (self.values / n).tolist())
        panels: list[Panel] = [Lines(title, [curve], "index", "eigenvalue / n", log=True, x_log=True)]
        if self.alignment is not None:
            panels.append(alignment_panel({name: self.alignment}))
        return panels


def ntk_spectrum(
    field: nn.Module,
    x: Tensor,
    errors: Tensor | None = None,
    *,
    average: int = 5,
    dtype: torch.dtype = torch.float64,
) -> NtkSpectrum:
    """Return the spectrum of a field's NTK, of the sum of its outputs over sqrt(C), at all of the points.

    Time grows as n^3: 1,024 points are a second's work. For more points see `leading_spectrum`.

    Args:
        field: a field, or another module from [n, D] to [n, C], as `fastsnf.ntk.empirical_ntk` takes it.
        x: coordinates [n, D].
        errors: ``e = y - f(x)`` [n] or [n, C], for the alignment, summed over channels.
        average: eigenvalues at each end of the condition number.
        dtype: of the matrix. In float32 rounding hides eigenvalues below n * 6e-8 of the largest, which
            fields of low frequency have; the default takes a copy of the field in float64.

    Raises:
        InputError: as `empirical_ntk` (batch normalisation couples points and has no NTK), for errors of
            another length, or an average that is not in 1 .. n.
        fastsnf.ntk.SpectrumError: when outputs or derivatives are not finite.
    """
    if errors is not None and (errors.dim() not in (1, 2) or len(errors) != len(x)):
        raise InputError(f"expected errors [{len(x)}] or [{len(x)}, C]; got {list(errors.shape)}")
    with any_engine():
        gram = empirical_ntk(in_dtype(field, dtype), x.to(dtype))
    values, vectors = eigenpairs(gram)
    rounding = len(x) * torch.finfo(dtype).eps
    condition = float(condition_of(values, average=average, rank_tolerance=rounding))
    aligned = None
    if errors is not None:
        aligned = Alignment(*(part.cpu() for part in alignment_of(values, vectors, errors)))
    return NtkSpectrum(values.cpu(), condition, average, aligned)


def alignment_row(alignment: Alignment) -> dict[str, float]:
    """Return E(t) at `THRESHOLDS`, by t as text."""
    energies = alignment.at(torch.tensor(THRESHOLDS, dtype=torch.float64)).tolist()
    return {f"{t:g}": energy for t, energy in zip(THRESHOLDS, energies, strict=True)}


def alignment_panel(curves: dict[str, Alignment]) -> Panel:
    """Return the alignments by name, E(t) over t from 1 down to where rounding begins."""
    t = torch.logspace(0, -8, 81, dtype=torch.float64)
    lines = [
        Line(name, t.log10().tolist(), curve.at(t.to(curve.ratios)).tolist())
        for name, curve in curves.items()
    ]
    return Lines("kernel-task alignment, Eq. 9", lines, "log10 t", "E(t)")
