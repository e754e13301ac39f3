"""VI3NR, Table 6: signed distances of meshes fitted from different initializers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fastsnf.signals import Signal, SignedDistance
from fastsnf.studies.means import deviation, mean
from fastsnf.studies.study import Outcome, reasons
from fastsnf.studies.table import Table, figure
from fastsnf.studies.vi3nr.config import SdfSettings
from fastsnf.studies.vi3nr.fits import Start
from fastsnf.studies.vi3nr.reconstruction import Reconstruction, gaussian_lines, sinc_lines, siren_lines
from fastsnf.train import FitResult

NEAR, SPREAD = 1.0, (0.2, 0.002)
"""Samples as BACON draws them, whose shapes the paper takes: all about the surface, coarsely and finely."""

TABLE_6: Mapping[str, tuple[float, float]] = {
    "SIREN + random normal": (0.0139, 0.0071),
    "SIREN + SIREN init": (0.9791, 0.0112),
    "Sinc + random normal": (0.7252, 0.1037),
    "Sinc + VI3NR, Monte Carlo": (0.9055, 0.0466),
    "Gaussian + random normal": (0.8628, 0.0718),
    "Gaussian + VI3NR, Monte Carlo": (0.9693, 0.0149),
    "Gaussian + VI3NR": (0.9697, 0.0148),
}
"""Mean and deviation of the IoU over BACON's four shapes."""


class Shapes(Reconstruction[SdfSettings]):
    """Table 6 of the paper."""

    name: ClassVar[str] = "vi3nr-sdf"
    title: ClassVar[str] = "VI3NR, Table 6: signed distances by initializer"
    kind: ClassVar[str] = "sdf"
    metric: ClassVar[str] = "iou"

    def __init__(self, settings: SdfSettings, folder: Path) -> None:
        super().__init__(settings, folder)
        self._opened: tuple[Path, Signal] | None = None

    def lines(self) -> Mapping[str, Sequence[Start]]:
        """Return the starts of each line."""
        s = self.settings
        return {**siren_lines(s), **sinc_lines(s, s.sinc_omega, s.sinc_sigma_p), **gaussian_lines(s)}

    def more_facts(self) -> dict[str, Any]:
        """Return how many samples are drawn, and the grid on which the insides are compared."""
        return {name: getattr(self.settings, name) for name in ("points", "resolution")}

    def open(self, path: Path) -> Signal:
        """Return the distances to a mesh, measured once for all rows of its file."""
        if self._opened is None or self._opened[0] != path:
            s = self.settings
            signal = SignedDistance.open(
                path, points=s.points, resolution=s.resolution, near=NEAR, spread=SPREAD
            )
            self._opened = path, signal
        return self._opened[1]

    def figures(self, result: FitResult, signal: Signal) -> dict[str, Any]:
        """Return IoU of the insides, PSNR and mean absolute error of the distances, on the grid."""
        return dict(result.metrics)

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the IoU of each line, mean and deviation over the files, beside the paper's."""
        rows = []
        for label, starts in self.lines().items():
            ious, start = self.best(outcomes, starts)
            chosen = "-" if start is None else f"{start.activation}"
            cells = (figure(mean(ious), 4), figure(deviation(ious), 4))
            rows.append(
                (label, *cells, *(figure(value, 4) for value in TABLE_6[label]), str(len(ious)), chosen)
            )
        s = self.settings
        return [
            Table(
                f"{self.title}, {s.steps:,} steps",
                ("training", "IoU", "deviation", "paper", "deviation", "fits", "best of"),
                rows,
                (
                    f"IoU of the insides on a grid of {s.resolution}^3; {s.points:,} samples, drawn as BACON "
                    "draws them. The paper takes BACON's four shapes.",
                    self.note(),
                    *reasons(outcomes),
                ),
            )
        ]
