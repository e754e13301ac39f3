"""NFSL, Fig. 1: which initializer trains a Gaussian network furthest in the same steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from fastsnf.analysis.panels import Line, Lines, Panel, draw_panels
from fastsnf.nn import SNF
from fastsnf.signals import Image
from fastsnf.spec import Gaussian
from fastsnf.studies.fitting import curve_of, fit_in, full_batch, run_folder
from fastsnf.studies.means import deviation, mean, values
from fastsnf.studies.nfsl.config import NORMAL, UNIFORM, ImagesSettings
from fastsnf.studies.pictures import NO_DATA, Picture, path_of, pictures
from fastsnf.studies.study import Finished, Outcome, Row, Study, finished, reasons
from fastsnf.studies.table import Table, figure
from fastsnf.train.placement import resolve_device

CURVES = "curves.png"
ROWS = 200
"""Points of a curve."""

FAMILIES = {"normal": NORMAL, "uniform": UNIFORM}
"""The initializers that the paper compares with each other, its own first."""


class Images(Study[ImagesSettings]):
    """Figure 1 of the paper, and its uniform counterpart."""

    name: ClassVar[str] = "nfsl-images"
    title: ClassVar[str] = "NFSL, Fig. 1: Gaussian networks from each initializer"

    def __init__(self, settings: ImagesSettings, folder: Path) -> None:
        super().__init__(settings, folder)
        self.pictures: list[Picture] = pictures(settings.data, settings.images, settings.size)

    def rows(self) -> list[Row]:
        """Return one row for each picture, initializer and seed."""
        s = self.settings
        names = ("size", "sigma", "optimizer", "lr", "steps", "hidden_features", "hidden_layers")
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
                grid.append([_panel(found, picture.name, *family) for family in FAMILIES.items()])
        if not grid:
            return []
        draw_panels(grid, folder / CURVES, title=self.title)
        return [folder / CURVES]


def field_of(facts: Mapping[str, Any]) -> SNF:
    """Return the field of a row, in its initial state."""
    return SNF(
        2,
        3,
        facts["hidden_features"],
        facts["hidden_layers"],
        activation=Gaussian.from_sigma(facts["sigma"]),
        init=facts["init"],
        bias_init="zero",
        generator=torch.Generator().manual_seed(facts["seed"]),
    )


def verdict(outcomes: Sequence[Outcome], family: str, names: Sequence[str]) -> str:
    """Return one line: whether the paper's initializer, the first of `names`, is the best of its family."""
    found = {name: mean(values(outcomes, "psnr", init=name)) for name in names}
    means = {name: psnr for name, psnr in found.items() if psnr is not None}
    own = names[0]
    if own not in means or len(means) < 2:
        return f"{family}: too few rows to compare {own} with the others."
    rival, best = max(((n, m) for n, m in means.items() if n != own), key=lambda pair: pair[1])
    gap = means[own] - best
    word = "above" if gap > 0 else "not above"
    return f"{family}: {own} is {word} all others, {gap:+.2f} dB from the best of them, {rival}."


def _panel(found: Sequence[Finished], picture: str, family: str, names: Sequence[str]) -> Lines:
    lines = [
        Line(o.row.facts["init"], o.result["steps"], o.result["psnrs"])
        for o in found
        if o.row.facts["init"] in names
    ]
    return Lines(f"{picture}, {family}", lines, "step", "PSNR [dB]")
