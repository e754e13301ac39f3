"""NFSL, Sec. 5.2: single-image super-resolution with Gaussian networks from each initializer (Fig. 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fastsnf.analysis.panels import Line, Lines, Panel, draw_panels
from fastsnf.signals import SuperResolution
from fastsnf.studies.fitting import curve_of, fit_in, full_batch, run_folder
from fastsnf.studies.means import mean, values
from fastsnf.studies.nfsl.config import SisrSettings
from fastsnf.studies.nfsl.images import FAMILIES, ROWS, field_of, verdict
from fastsnf.studies.pictures import NO_DATA, Picture, path_of, pictures
from fastsnf.studies.study import Outcome, Row, Study, finished, reasons
from fastsnf.studies.table import Table, figure
from fastsnf.train.metrics import psnr_of, ssim
from fastsnf.train.placement import resolve_device

CURVES = "curves.png"

PAPER: Mapping[str, tuple[int, float]] = {"nfsl-normal": (32, 0.68), "nfsl-uniform": (34, 0.72)}
"""dB and SSIM in Fig. 5 of the paper's own two, the highest; its other labels have no certain names."""


class SuperResolutions(Study[SisrSettings]):
    """Figure 5 of the paper."""

    name: ClassVar[str] = "nfsl-sisr"
    title: ClassVar[str] = "NFSL, Fig. 5: super-resolution with Gaussian networks from each initializer"

    def __init__(self, settings: SisrSettings, folder: Path) -> None:
        super().__init__(settings, folder)
        self.pictures: list[Picture] = pictures(settings.data, settings.images, settings.size)

    def rows(self) -> list[Row]:
        """Return one row for each picture, initializer and seed."""
        s = self.settings
        names = ("size", "factor", "sigma", "lr", "steps", "hidden_features", "hidden_layers")
        shared = {name: getattr(s, name) for name in names} | {"device": str(resolve_device(s.device))}
        return [
            Row(
                {"picture": p.name, "digest": p.digest, "init": init, "seed": seed, **shared},
                f"{p.name} {init}, seed {seed}",
                NO_DATA if p.path is None else None,
            )
            for p in self.pictures
            for init in s.inits
            for seed in range(s.seeds)
        ]

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
        panels: list[Panel] = []
        for family, names in FAMILIES.items():
            chosen = [o for o in found if o.row.facts["init"] in names]
            lines = [Line(o.row.facts["init"], o.result["steps"], o.result["psnrs"]) for o in chosen]
            panels.append(Lines(family, lines, "step", "train PSNR [dB]"))
        draw_panels([panels], folder / CURVES, title=self.title)
        return [folder / CURVES]
