"""NFSL, Sec. 5.2: single-image super-resolution with Gaussian networks from each initializer (Fig. 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fastsnf.analysis.panels import Panel, draw_panels
from fastsnf.signals import SuperResolution
from fastsnf.studies.fitting import curve_of, fit_in, full_batch, run_folder
from fastsnf.studies.means import mean, values
from fastsnf.studies.nfsl.config import SisrSettings
from fastsnf.studies.nfsl.initializers import (
    CURVES,
    FAMILIES,
    ROWS,
    PictureStudy,
    curves,
    field_of,
    verdict,
)
from fastsnf.studies.pictures import path_of
from fastsnf.studies.study import Outcome, Row, finished, reasons
from fastsnf.studies.table import Table, figure
from fastsnf.train.metrics import psnr_of, ssim

PAPER: Mapping[str, tuple[int, float]] = {"nfsl-normal": (32, 0.68), "nfsl-uniform": (34, 0.72)}
"""dB and SSIM in Fig. 5 of the paper's own two, the highest; its other labels have no certain names."""


class SuperResolutions(PictureStudy[SisrSettings]):
    """Figure 5 of the paper."""

    name: ClassVar[str] = "nfsl-sisr"
    title: ClassVar[str] = "NFSL, Fig. 5: super-resolution with Gaussian networks from each initializer"
    deciding: ClassVar[tuple[str, ...]] = (
        "size", "factor", "sigma", "lr", "steps", "hidden_features", "hidden_layers",
    )  # fmt: skip

    def train(self, row: Row) -> dict[str, Any]:
        """Fit the small picture of a row, and measure the large one."""
        facts = row.facts
        path = path_of(self.pictures, facts["picture"])
        signal = SuperResolution.open(path, factor=facts["factor"], size=facts["size"], mode="rgb")
        run = run_folder(self.folder, facts, facts["picture"], facts["init"], facts["seed"])
        result = fit_in(run, lambda: field_of(facts), signal, full_batch(facts, ROWS), self.progress)
        measured = signal.evaluation
        assert result.values is not None, "pictures are held"
        assert result.loss is not None, "a fit has steps"
        shape = (*measured.shape, measured.out_features)
        return {
            "psnr": result.psnr,
            "train_psnr": psnr_of(result.loss),
            "ssim": ssim(result.values.reshape(shape), measured.values.reshape(shape)),
            "engine": result.engine,
            **curve_of(result),
        }

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return PSNR and SSIM of every initializer, means over pictures and seeds."""
        s, rows = self.settings, []
        for init in s.inits:
            found = {key: values(outcomes, key, init=init) for key in ("train_psnr", "psnr", "ssim")}
            paper = PAPER.get(init)
            printed = f"{paper[0]} dB, {paper[1]:.2f}" if paper else "-"
            cells = (figure(mean(found["train_psnr"])), figure(mean(found["psnr"])))
            rows.append((init, *cells, figure(mean(found["ssim"]), 4), printed, str(len(found["psnr"]))))
        return [
            Table(
                f"{self.title}, {s.size}, {s.factor} x {s.factor} pixels averaged, {s.steps:,} steps",
                ("initializer", "train PSNR [dB]", "PSNR [dB]", "SSIM", "paper", "fits"),
                rows,
                (
                    *(verdict(outcomes, family, names) for family, names in FAMILIES.items()),
                    "Train PSNR: of the averaged pixels, last step; PSNR and SSIM: of the large picture. The "
                    "figure prints one PSNR. The paper's picture is one of DIV2K, which it does not name.",
                    *reasons(outcomes),
                ),
            )
        ]

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the training PSNR over the steps, seed 0 of the first picture."""
        found = finished(outcomes, picture=self.pictures[0].name, seed=0)
        if not found:
            return []
        panels: list[Panel] = [curves(found, *family, "train PSNR [dB]") for family in FAMILIES.items()]
        draw_panels([panels], folder / CURVES, title=self.title)
        return [folder / CURVES]
