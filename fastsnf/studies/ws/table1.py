"""Weight scaling, Tables 1 and 4: the scaled field beside every baseline, on one kind of signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from fastsnf.analysis.panels import Line, Lines, draw_panels
from fastsnf.nn import Field, make_field
from fastsnf.signals import Signal
from fastsnf.signals import open as open_signal
from fastsnf.signals.kinds import DEFAULTS
from fastsnf.studies.files import NO_DATA, digest_of_file, file_called, files_of, solid
from fastsnf.studies.fitting import by_passes, curve_of, fit_in, full_batch, run_folder
from fastsnf.studies.means import deviation, mean, values
from fastsnf.studies.study import Outcome, Row, Study, finished, reasons
from fastsnf.studies.table import Table, figure
from fastsnf.studies.ws.config import Table1Settings
from fastsnf.studies.ws.published import IMAGE, METHODS, OCCUPANCY, STEPS, TABLE_1, TABLE_4, WIDTHS
from fastsnf.train import FitConfig
from fastsnf.train.placement import resolve_device

CURVES = "curves.png"
ROWS = 100
"""Points of a curve."""
FIELDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "xavier": ("snf", {"init": "xavier-uniform"}),
    "relu-pe": ("relu-pe", {}),
    "ffn": ("ffn", {}),
    "siren": ("snf", {"init": "siren"}),
    "gauss": ("gauss", {}),
    "wire": ("wire", {}),
    "nfsl": ("snf", {"init": "nfsl-sine"}),
    "mfn": ("mfn-fourier", {}),
    "sinc": ("sinc", {}),
    "weight-scaling": ("snf", {}),
}
"""The preset of each method, which has the values of Table 2, and what replaces them."""


class Table1(Study[Table1Settings]):
    """Tables 1 and 4 of the paper."""

    name: ClassVar[str] = "ws-table1"
    title: ClassVar[str] = "Weight scaling, Table 1"

    def __init__(self, settings: Table1Settings, folder: Path) -> None:
        super().__init__(settings, folder)
        self.paths = files_of(settings.data, settings.signal, settings.files)
        if settings.long:
            self.paper, self.title = TABLE_4, "Weight scaling, Table 4"  # type: ignore[misc]
        else:
            self.paper = TABLE_1

    @property
    def metric(self) -> str:
        """The figure that the table compares: a key of the summary."""
        return "iou" if self.settings.signal == OCCUPANCY else "psnr"

    def rows(self) -> list[Row]:
        """Return one row for each file, method and seed."""
        s = self.settings
        paths: Sequence[Path | None] = self.paths or [None]
        shared = {
            "signal": s.signal,
            "steps": s.steps or STEPS[s.signal][s.long],
            "lr": s.lr,
            "size": s.size or 512,
            "hidden_features": s.hidden_features or WIDTHS[s.signal],
            "hidden_layers": s.hidden_layers,
            "batch": s.batch,
            "alpha": s.alpha or DEFAULTS[s.signal].alpha,
            "device": str(resolve_device(s.device)),
        }
        return [
            Row(
                {
                    "file": path.name if path else None,
                    "digest": digest_of_file(path),
                    "method": method,
                    "seed": seed,
                }
                | shared,
                f"{path.stem if path else s.signal} {method}, seed {seed}",
                None if path else NO_DATA,
            )
            for path in paths
            for method in METHODS
            if method in s.methods
            for seed in range(s.seeds)
        ]

    def train(self, row: Row) -> dict[str, Any]:
        """Fit the signal of a row with its method."""
        facts = row.facts
        path = file_called(self.paths, facts["file"])
        signal = signal_of(path, facts)
        run = run_folder(self.folder, facts, path.stem, facts["method"], facts["seed"])
        config = config_of(facts)
        result = fit_in(run, lambda: field_of(facts, signal), signal, config, self.progress)
        return {
            **result.metrics,
            "parameters": result.parameters,
            "engine": result.engine,
            **curve_of(result),
        }

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the figure of every method, mean and deviation over files and seeds, beside the paper's."""
        s, digits = self.settings, 4 if self.metric == "iou" else 2
        unit = "IoU" if self.metric == "iou" else "PSNR [dB]"
        rows = []
        for method in METHODS:
            if method not in s.methods:
                continue
            found = values(outcomes, self.metric, method=method)
            printed = self.paper.get(method, {}).get(s.signal)
            here = (figure(mean(found), digits), figure(deviation(found), digits), str(len(found)))
            rows.append((method, *here, figure(printed, digits)))
        return [
            Table(
                f"{self.title}, {s.signal}",
                ("method", unit, "deviation", "fits", "paper"),
                rows,
                (*notes_of(s), verdict(outcomes, self.metric), *reasons(outcomes)),
            )
        ]

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the PSNR of the batches over the steps, seed 0 of the first file."""
        lines = [
            Line(o.row.facts["method"], o.result["steps"], o.result["psnrs"])
            for o in finished(outcomes, seed=0, file=self.paths[0].name if self.paths else None)
        ]
        if not lines:
            return []
        panel = Lines(f"{self.settings.signal}, {self.paths[0].stem}", lines, "step", "PSNR [dB]")
        draw_panels([[panel]], folder / CURVES, title=self.title)
        return [folder / CURVES]


def signal_of(path: Path, facts: Mapping[str, Any]) -> Signal:
    """Return the signal of a row as the paper prepares it: images gray, cropped to a square and resized."""
    kind, size = facts["signal"], facts["size"]
    if kind == IMAGE:
        return open_signal(path, kind, mode="gray", size=(size, size))
    return solid(path, size) if kind == OCCUPANCY else open_signal(path, kind)


def field_of(facts: Mapping[str, Any], signal: Signal) -> Field:
    """Return the field of a row in its initial state, with the settings of Table 2 for its kind of signal."""
    preset, overrides = FIELDS[facts["method"]]
    alpha = {"alpha": facts["alpha"]} if facts["method"] == "weight-scaling" else {}
    return make_field(
        preset,
        signal.in_features,
        signal.out_features,
        shape=signal.shape,
        kind=signal.kind,
        generator=torch.Generator().manual_seed(facts["seed"]),
        hidden_features=facts["hidden_features"],
        hidden_layers=facts["hidden_layers"],
        **overrides,
        **alpha,
    )


def config_of(facts: Mapping[str, Any]) -> FitConfig:
    """Return the settings of a row's fit (App. E.1): Adam at 1e-4 on all points; of occupancy WIRE's loop.

    Only the occupancy fits have a schedule, which the paper does not name; WIRE's falls to a fifth.
    """
    if facts["signal"] != OCCUPANCY:
        return full_batch(facts, ROWS)
    return by_passes(facts, facts["steps"], schedule="exponential:0.2", batch_size=facts["batch"])


def notes_of(settings: Table1Settings) -> tuple[str, ...]:
    """Return what differs from the paper's runs, or is not said there."""
    steps, paper = settings.steps, STEPS[settings.signal][settings.long]
    notes = [] if steps in (0, paper) else [f"{steps:,} steps here, {paper:,} in the paper."]
    if settings.signal == OCCUPANCY:
        notes.append(
            f"Steps are passes over the grid in batches of {settings.batch:,} (the paper: 100,000) at "
            f"{settings.lr:g}, which falls to a fifth as in WIRE's script; the hidden layers' omega is the "
            "first one's. Lucy's voxels are not public, only the scan."
        )
    if settings.signal == "sphere":
        notes.append(
            "The paper's ten ERA5 samples are not named, and their range was that of a training set."
        )
    if {"mfn", "sinc"} & set(settings.methods) and not settings.long:
        notes.append(
            "mfn and sinc stand on the paper's poster, without their settings: ours are the presets'."
        )
    if settings.alpha:
        notes.append(f"alpha {settings.alpha:g} here, {DEFAULTS[settings.signal].alpha:g} in the paper.")
    return tuple(notes)


def verdict(outcomes: Sequence[Outcome], metric: str) -> str:
    """Return one line: whether weight scaling is above all others, and by how much."""
    found = {method: mean(values(outcomes, metric, method=method)) for method in METHODS}
    means = {method: figure for method, figure in found.items() if figure is not None}
    own = means.pop("weight-scaling", None)
    if own is None or not means:
        return "too few rows to compare weight scaling with the others."
    rival = max(means, key=means.__getitem__)
    gap, word = own - means[rival], "above" if own > means[rival] else "not above"
    shown = f"{gap:+.4f}" if metric == "iou" else f"{gap:+.2f} dB"
    return (
        f"Weight scaling is {word} all others: {shown} from the best of them, {rival} (in the paper it is "
        "above them on every signal)."
    )
