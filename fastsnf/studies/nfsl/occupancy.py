"""NFSL, Sec. 5.3: an occupancy field of Gabor wavelets from each initializer (Table 1, Fig. 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from fastsnf.analysis.panels import Panel, draw_panels
from fastsnf.nn import Field, make_field
from fastsnf.signals import Signal
from fastsnf.studies.files import NO_DATA, digest_of_file, file_called, files_of, solid
from fastsnf.studies.fitting import by_passes, curve_of, fit_in, run_folder
from fastsnf.studies.means import mean, values
from fastsnf.studies.nfsl.config import OccupancySettings
from fastsnf.studies.nfsl.initializers import CURVES, FAMILIES, curves, verdict
from fastsnf.studies.study import Outcome, Row, Study, finished, reasons
from fastsnf.studies.table import Table, figure
from fastsnf.train import FitConfig
from fastsnf.train.placement import resolve_device

PAPER: Mapping[str, tuple[float, float]] = {
    "nfsl-normal": (22.7, 0.89),
    "lecun-normal": (20.3, 0.81),
    "xavier-normal": (21.2, 0.84),
    "kaiming-normal": (19.9, 0.80),
    "nfsl-uniform": (24.5, 0.91),
    "lecun-uniform": (21.2, 0.86),
    "xavier-uniform": (21.6, 0.87),
    "kaiming-uniform": (20.2, 0.82),
}
"""Train PSNR [dB] and IoU of Table 1, on the Thai statue."""


class OccupancyFields(Study[OccupancySettings]):
    """Table 1 and Fig. 6 of the paper."""

    name: ClassVar[str] = "nfsl-occupancy"
    title: ClassVar[str] = "NFSL, Table 1: an occupancy field of wavelets from each initializer"

    def __init__(self, settings: OccupancySettings, folder: Path) -> None:
        super().__init__(settings, folder)
        self.paths = files_of(settings.data, "occupancy", 1)

    def rows(self) -> list[Row]:
        """Return one row for each initializer and seed."""
        s = self.settings
        names = ("size", "omega", "scale", "lr", "passes", "batch", "hidden_features", "hidden_layers")
        path = self.paths[0] if self.paths else None
        shared = {name: getattr(s, name) for name in names}
        shared |= {
            "file": path.name if path else None,
            "digest": digest_of_file(path),
            "device": str(resolve_device(s.device)),
        }
        return [
            Row({"init": init, "seed": seed, **shared}, f"{init}, seed {seed}", None if path else NO_DATA)
            for init in s.inits
            for seed in range(s.seeds)
        ]

    def train(self, row: Row) -> dict[str, Any]:
        """Fit the grid from the initializer of a row."""
        facts = row.facts
        signal = solid(file_called(self.paths, facts["file"]), facts["size"])
        run = run_folder(self.folder, facts, facts["init"], facts["seed"])
        result = fit_in(run, lambda: field_of(facts, signal), signal, config_of(facts), self.progress)
        return {**result.metrics, "engine": result.engine, **curve_of(result)}

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return PSNR and IoU of every initializer, beside the paper's."""
        s, rows = self.settings, []
        for init in s.inits:
            psnrs, ious = values(outcomes, "psnr", init=init), values(outcomes, "iou", init=init)
            psnr, iou = PAPER[init]
            cells = (figure(mean(psnrs)), figure(psnr, 1), figure(mean(ious), 4), figure(iou))
            rows.append((init, *cells, str(len(ious))))
        return [
            Table(
                f"{self.title}, {s.passes:,} passes",
                ("initializer", "PSNR [dB]", "paper", "IoU", "paper", "fits"),
                rows,
                (
                    *(verdict(outcomes, family, names) for family, names in FAMILIES.items()),
                    "Over the whole grid with the final weights. Biases start at 0; omega, scale, rate and "
                    "passes are WIRE's, the paper's are in a supplement that is not public.",
                    *reasons(outcomes),
                ),
            )
        ]

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the PSNR of the batches over the steps, seed 0, the normal and the uniform ones (Fig. 6)."""
        found = finished(outcomes, seed=0)
        if not found:
            return []
        panels: list[Panel] = [curves(found, *family, "PSNR [dB]") for family in FAMILIES.items()]
        draw_panels([panels], folder / CURVES, title=self.title)
        return [folder / CURVES]


def field_of(facts: Mapping[str, Any], signal: Signal) -> Field:
    """Return the field of a row in its initial state: WIRE's, its weights and biases as NFSL starts them."""
    return make_field(
        "wire",
        signal.in_features,
        signal.out_features,
        kind=signal.kind,
        generator=torch.Generator().manual_seed(facts["seed"]),
        first_omega=facts["omega"],
        hidden_omega=facts["omega"],
        scale=facts["scale"],
        hidden_features=facts["hidden_features"],
        hidden_layers=facts["hidden_layers"],
        init=facts["init"],
        bias_init="zero",
    )


def config_of(facts: Mapping[str, Any]) -> FitConfig:
    """Return the settings of a row's fit: WIRE's loop."""
    return by_passes(facts, facts["passes"], schedule="exponential:0.2", batch_size=facts["batch"])
