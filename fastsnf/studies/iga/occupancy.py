"""IGA, Tables 2 and 9: occupancy grids, plain gradients against adjusted ones and the rivals of those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from fastsnf.analysis.panels import Line, Lines, draw_panels
from fastsnf.encodings import Encoding, Positional
from fastsnf.nn import SNF, Field, FourierReparameterized, NormalizedField
from fastsnf.ntk.config import IGA
from fastsnf.spec import Activation, ReLU, Sine
from fastsnf.studies.files import NO_DATA, digest_of_file, file_called, files_of, solid
from fastsnf.studies.fitting import by_passes, curve_of, fit_in, run_folder, seconds_a_step
from fastsnf.studies.iga.config import OccupancySettings
from fastsnf.studies.iga.heads import widen_head_
from fastsnf.studies.means import mean, values
from fastsnf.studies.study import Outcome, Row, Study, finished, reasons
from fastsnf.studies.table import Table, figure
from fastsnf.train import FitConfig
from fastsnf.train.placement import resolve_device

CURVES = "curves.png"
SCENES = ("thai", "armadillo", "dragon", "bun", "lucy")


@dataclass(frozen=True)
class Model:
    """An architecture with the paper's settings (App. E).

    Attributes:
        title: the paper's name. activation, init, encoding: of the layers. lr: of all its trainings.
        end: lambda_0 .. lambda_(end - 1) become lambda_end. factor: height of the bases of FR.
        order: where the batch normalisation is.
    """

    title: str
    activation: Activation
    init: str
    lr: float
    end: int
    factor: float
    order: str
    encoding: Encoding | None = None


MODELS = {
    "siren": Model("SIREN", Sine(30.0), "siren", lr=5e-4, end=14, factor=0.001, order="before"),
    "relu": Model("ReLU", ReLU(), "default", lr=2e-3, end=7, factor=0.01, order="after"),
    "pe": Model("PE", ReLU(), "default", 2e-3, 7, factor=0.01, order="before", encoding=Positional(10)),
}

TABLE_9: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "relu": {
        "plain": (0.9379, 0.9756, 0.9708, 0.9924, 0.9467),
        "fr": (0.9428, 0.9756, 0.9707, 0.9914, 0.9465),
        "bn": (0.9260, 0.9677, 0.9612, 0.9873, 0.9286),
        "iga": (0.9563, 0.9805, 0.9793, 0.9931, 0.9571),
    },
    "pe": {
        "plain": (0.9897, 0.9956, 0.9953, 0.9985, 0.9920),
        "fr": (0.9929, 0.9979, 0.9964, 0.9990, 0.9945),
        "bn": (0.9912, 0.9960, 0.9941, 0.9987, 0.9892),
        "iga": (0.9943, 0.9979, 0.9975, 0.9990, 0.9961),
    },
    "siren": {
        "plain": (0.9786, 0.9908, 0.9937, 0.9953, 0.9862),
        "fr": (0.9731, 0.9935, 0.9905, 0.9972, 0.9785),
        "bn": (0.9788, 0.9931, 0.9612, 0.9970, 0.9823),
        "iga": (0.9802, 0.9920, 0.9938, 0.9958, 0.9868),
    },
}
"""IoU of the scenes in the order of `SCENES`; Table 2 has their means."""


class OccupancyFields(Study[OccupancySettings]):
    """Tables 2 and 9 of the paper."""

    name: ClassVar[str] = "iga-occupancy"
    title: ClassVar[str] = "IGA, Tables 2 and 9: occupancy grids"

    def __init__(self, settings: OccupancySettings, folder: Path) -> None:
        super().__init__(settings, folder)
        self.paths = files_of(settings.data, "occupancy", settings.files)

    def rows(self) -> list[Row]:
        """Return one row for each file, architecture, way to train and seed."""
        s = self.settings
        names = ("size", "epochs", "group", "groups", "sample", "refresh", "hidden_features", "hidden_layers")
        shared = {name: getattr(s, name) for name in names} | {"device": str(resolve_device(s.device))}
        paths: Sequence[Path | None] = self.paths or [None]
        return [
            Row(
                {
                    "file": path.name if path else None, "digest": digest_of_file(path), **shared,
                    "model": model, "training": training, "seed": seed,
                    "lr": MODELS[model].lr, "end": MODELS[model].end,
                },
                f"{path.stem if path else 'grid'} {title_of(model, training)}, seed {seed}",
                None if path else NO_DATA,
            )
            for path in paths
            for model in s.models
            for training in s.trainings
            for seed in range(s.seeds)
        ]  # fmt: skip

    def train(self, row: Row) -> dict[str, Any]:
        """Fit the grid of a row."""
        facts = row.facts
        path = file_called(self.paths, facts["file"])
        run = run_folder(self.folder, facts, path.stem, facts["model"], facts["training"], facts["seed"])
        result = fit_in(
            run, lambda: field_of(facts), solid(path, facts["size"]), config_of(facts), self.progress
        )
        about = {"engine": result.engine, "seconds_step": seconds_a_step(result)}
        return {
            **result.metrics,
            "failures": (result.iga or {}).get("failures", 0),
            **about,
            **curve_of(result),
        }

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the IoU of every architecture and way to train, on each file and beside the paper's."""
        s, rows = self.settings, []
        for model in s.models:
            for training in s.trainings:
                facts = {"model": model, "training": training}
                ious = [mean(values(outcomes, "iou", file=path.name, **facts)) for path in self.paths]
                papers = [printed(model, training, path.stem) for path in self.paths]
                cells = [figure(number, 4) for pair in zip(ious, papers, strict=True) for number in pair]
                psnr, seconds = (mean(values(outcomes, key, **facts)) for key in ("psnr", "seconds_step"))
                step = None if seconds is None else 1e3 * seconds
                rows.append((title_of(model, training), *cells, figure(psnr), figure(step, 1)))
        heads = [head for path in self.paths for head in (path.stem, "paper")]
        return [
            Table(
                f"{self.title}, {s.epochs:g} epochs",
                ("training", *heads, "PSNR [dB]", "ms a step"),
                rows,
                (
                    "IoU over the whole grid, final weights (the paper: the best epoch's, while it trains). "
                    f"Groups of {s.group} voxels in a row, {s.groups} a step; BN: batches of as many voxels, "
                    "drawn one by one.",
                    *reasons(outcomes),
                ),
            )
        ]

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the PSNR of the batches over the steps on the first file, seed 0."""
        if not self.paths:
            return []
        lines = []
        for outcome in finished(outcomes, file=self.paths[0].name, seed=0):
            facts, result = outcome.row.facts, outcome.result
            lines.append(Line(title_of(facts["model"], facts["training"]), result["steps"], result["psnrs"]))
        if not lines:
            return []
        panel = Lines(self.paths[0].stem, lines, "step", "PSNR [dB]")
        draw_panels([[panel]], folder / CURVES, title=self.title)
        return [folder / CURVES]


def title_of(model: str, training: str) -> str:
    """Return the paper's name of a training.

    >>> title_of("siren", "plain"), title_of("pe", "iga")
    ('SIREN', 'PE+IGA')
    """
    return MODELS[model].title + ("" if training == "plain" else f"+{training.upper()}")


def printed(model: str, training: str, stem: str) -> float | None:
    """Return the paper's IoU of a scene, told by the file's name; None for another."""
    found = next((index for index, scene in enumerate(SCENES) if scene in stem.lower()), None)
    return None if found is None else TABLE_9[model][training][found]


def field_of(facts: Mapping[str, Any]) -> Field:
    """Return the field of a row in its initial state: the same for plain and adjusted gradients of a seed."""
    model, training = MODELS[facts["model"]], facts["training"]
    sizes = (3, 1, facts["hidden_features"], facts["hidden_layers"])
    shared: dict[str, Any] = {
        "activation": model.activation,
        "encoding": model.encoding,
        "generator": torch.Generator().manual_seed(facts["seed"]),
    }
    if training == "fr":
        return FourierReparameterized(*sizes, factor=model.factor, low=256, high=256, phases=8, **shared)
    field: SNF | NormalizedField
    if training == "bn":
        field = NormalizedField(*sizes, order=model.order, **shared)
    else:
        field = SNF(*sizes, init=model.init, **shared)
    return widen_head_(field, facts["seed"]) if model.activation == ReLU() else field


def config_of(facts: Mapping[str, Any]) -> FitConfig:
    """Return the settings of a row's fit; plain trainings but BN take the same groups, unadjusted."""
    end = facts["end"] if facts["training"] == "iga" else 0
    iga = None
    if facts["training"] != "bn":
        iga = IGA(
            group=f"run:{facts['group']}", end=end, form="adam", sample=facts["sample"],
            refresh=facts["refresh"], seed=facts["seed"],
        )  # fmt: skip
    size = facts["groups"] * facts["group"]
    return by_passes(facts, facts["epochs"], schedule="exponential:0.1", batch_size=size, iga=iga)
