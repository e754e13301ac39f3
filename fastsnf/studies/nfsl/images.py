"""NFSL, Fig. 1: which initializer trains a Gaussian network furthest in the same steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from fastsnf.analysis.panels import Panel, draw_panels
from fastsnf.signals import Image
from fastsnf.studies.fitting import curve_of, fit_in, full_batch, run_folder
from fastsnf.studies.means import deviation, mean, values
from fastsnf.studies.nfsl.config import ImagesSettings
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


class Images(PictureStudy[ImagesSettings]):
    """Figure 1 of the paper, and its uniform counterpart."""

    name: ClassVar[str] = "nfsl-images"
    title: ClassVar[str] = "NFSL, Fig. 1: Gaussian networks from each initializer"
    deciding: ClassVar[tuple[str, ...]] = (
        "size", "sigma", "optimizer", "lr", "steps", "hidden_features", "hidden_layers",
    )  # fmt: skip

    def train(self, row: Row) -> dict[str, Any]:
        """Fit the picture of a row from its initializer."""
        facts = row.facts
        image = Image.open(path_of(self.pictures, facts["picture"]), mode="rgb", size=facts["size"])
        run = run_folder(self.folder, facts, facts["picture"], facts["init"], facts["seed"])
        config = full_batch(facts, ROWS, optimizer=facts["optimizer"])
        result = fit_in(run, lambda: field_of(facts), image, config, self.progress)
        return {"psnr": result.psnr, "engine": result.engine, **curve_of(result)}

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the PSNR of every initializer, mean and deviation over pictures and seeds."""
        rows = []
        for init in self.settings.inits:
            psnrs = values(outcomes, "psnr", init=init)
            rows.append((init, figure(mean(psnrs)), figure(deviation(psnrs)), str(len(psnrs))))
        s = self.settings
        return [
            Table(
                f"{self.title}, {s.size}, {s.steps:,} steps of {s.optimizer}",
                ("initializer", "PSNR [dB]", "deviation", "fits"),
                rows,
                (
                    *(verdict(outcomes, family, names) for family, names in FAMILIES.items()),
                    "The paper prints curves (Fig. 1, the normal ones): its initialization above all others.",
                    "Biases start at 0, as it says. Picture size, optimizer's settings and width: ours, the "
                    "paper's are in a supplement that is not public.",
                    *reasons(outcomes),
                ),
            )
        ]

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the curves of seed 0, a panel a picture and family."""
        grid: list[list[Panel]] = []
        for picture in self.pictures:
            found = finished(outcomes, picture=picture.name, seed=0)
            if found:
                panels = [(f"{picture.name}, {family}", names) for family, names in FAMILIES.items()]
                grid.append([curves(found, *panel, "PSNR [dB]") for panel in panels])
        if not grid:
            return []
        draw_panels(grid, folder / CURVES, title=self.title)
        return [folder / CURVES]
