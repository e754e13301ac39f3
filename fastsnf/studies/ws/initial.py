"""Weight scaling before any step: Prop. 3.1 and Fig. 4, 5, 9 and 11."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from fastsnf.analysis.panels import draw_panels
from fastsnf.studies.study import Outcome, Row
from fastsnf.studies.table import Table
from fastsnf.studies.ws import initial_tables as tables_of
from fastsnf.studies.ws import measures
from fastsnf.studies.ws.config import InitSettings
from fastsnf.studies.ws.fits import WEIGHTS, methods, name_of
from fastsnf.studies.ws.initial_claims import claims
from fastsnf.studies.ws.initial_pictures import panels_of
from fastsnf.studies.ws.picture_study import PictureStudy
from fastsnf.studies.ws.sources import Source

PICTURE = "initial.png"
BIASES = ("zero", "default")
"""Prop. 3.1 has no biases; SIREN's and the paper's code have PyTorch's, which add to the pre-activations."""


class Initial(PictureStudy[InitSettings]):
    """What the paper says of initialized fields."""

    name: ClassVar[str] = "ws-init"
    title: ClassVar[str] = "Weight scaling at initialization"

    def rows(self) -> list[Row]:
        """Return the rows, figure by figure."""
        rows = [Row({"kind": "curve"}, "curve of Eq. 27"), Row({"kind": "lemmas"}, "Lemmas 4.1 and 4.2")]
        rows += self._activations() + self._spectra() + self._pictures() + self._ntks()
        return rows

    def _activations(self) -> list[Row]:
        s = self.settings
        return [
            Row(
                {**self._field(alpha, seed), "kind": "activations", "bias": bias, "points": s.points},
                f"activations, alpha {alpha:g}, biases {bias}, seed {seed}",
            )
            for bias in BIASES
            for alpha in s.alphas
            for seed in range(s.seeds)
        ]

    def _spectra(self) -> list[Row]:
        s = self.settings
        rows = []
        for alpha in s.alphas:
            for seed in range(s.seeds):
                line = {
                    "kind": "line", "method": WEIGHTS, "factor": alpha, "seed": seed, "omega": s.omega,
                    "first_omega": s.line_omega, "points": s.line_points, "hidden_features": s.line_features,
                    "hidden_layers": s.hidden_layers,
                }  # fmt: skip
                plane = {**self._field(alpha, seed), "kind": "plane", "size": s.size, "bands": s.bands}
                rows.append(Row(line, f"spectrum on a line, alpha {alpha:g}, seed {seed}"))
                rows.append(Row(plane, f"spectrum on a grid, alpha {alpha:g}, seed {seed}"))
        return rows

    def _pictures(self) -> list[Row]:
        s = self.settings
        return [
            Row({"kind": "picture", **self._source(source), "bands": s.bands}, f"spectrum of {source.name}",
                source.missing)
            for source in self.sources
        ]  # fmt: skip

    def _ntks(self) -> list[Row]:
        s = self.settings
        source = next((source for source in self.sources if source.missing is None), self.sources[-1])
        rows = []
        for method, factor in methods([a for a in s.alphas if a >= 1.0], s.tuned):
            for seed in range(s.seeds):
                facts = {
                    **self._field(factor, seed), "kind": "ntk", "method": method, "points": s.ntk_points,
                    **self._source(source),
                }  # fmt: skip
                rows.append(Row(facts, f"eNTK, {name_of(method, factor, s.omega)}, seed {seed}"))
        return rows

    def _field(self, alpha: float, seed: int) -> dict[str, Any]:
        s = self.settings
        return {
            "method": WEIGHTS,
            "factor": alpha,
            "seed": seed,
            "omega": s.omega,
            "hidden_features": s.hidden_features,
            "hidden_layers": s.hidden_layers,
        }

    def _source(self, source: Source) -> dict[str, Any]:
        return {"picture": source.name, "digest": source.digest, "size": self.settings.size}

    def train(self, row: Row) -> dict[str, Any]:
        """Measure; nothing is trained here."""
        facts = row.facts
        kind = facts["kind"]
        if kind == "curve":
            return measures.arcsine_curve()
        if kind == "lemmas":
            return measures.lemmas()
        if kind == "activations":
            return measures.activations(facts)
        if kind == "line":
            return measures.line_spectrum(facts)
        if kind == "plane":
            return measures.plane_spectrum(facts)
        source = self.source_of(row)
        return measures.picture_spectrum(facts, source) if kind == "picture" else measures.initial_ntk(
            facts, source
        )  # fmt: skip

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return one table a figure, and the paper's claims."""
        s = self.settings
        return [
            tables_of.activations_table(outcomes, s),
            tables_of.curve_table(outcomes),
            tables_of.spectra_table(outcomes, s, "line"),
            tables_of.spectra_table(outcomes, s, "plane"),
            tables_of.pictures_table(outcomes),
            tables_of.ntk_table(outcomes, s),
            claims(outcomes, s),
        ]

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw one panel a figure."""
        draw_panels(panels_of(outcomes), folder / PICTURE, title=self.title)
        return [folder / PICTURE]
