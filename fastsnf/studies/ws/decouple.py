"""Weight scaling, Fig. 3: scaled weights without the learning rates that come with them, and the reverse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from fastsnf.analysis.panels import Line, Lines, Panel, draw_panels
from fastsnf.nn import Field
from fastsnf.studies.means import mean
from fastsnf.studies.study import Outcome, Row, finished, reasons, results
from fastsnf.studies.table import EMPTY, Table, figure
from fastsnf.studies.ws.claims import Claim, claims_table
from fastsnf.studies.ws.config import DecoupleSettings
from fastsnf.studies.ws.fits import (
    WEIGHTS,
    config_of,
    course_of,
    field_of,
    fit_row,
    shared_facts,
    steps_to_target,
)
from fastsnf.studies.ws.picture_study import PictureStudy
from fastsnf.train import layerwise_lr

PICTURE = "decouple.png"
TITLES = {
    "none": "neither (SIREN)",
    "both": "both (weight scaling)",
    "weights-only": "scaled weights, unscaled rates",
    "rates-only": "unscaled weights, scaled rates",
}
SLACK = 0.1
"""dB by which test PSNRs of a few seeds differ anyway."""


class Decouple(PictureStudy[DecoupleSettings]):
    """Figure 3 of the paper."""

    name: ClassVar[str] = "ws-decouple"
    title: ClassVar[str] = "Weight scaling, Fig. 3: two effects apart"

    def rows(self) -> list[Row]:
        """Return one row for each picture, kind of training and seed."""
        s = self.settings
        return [
            Row(
                {
                    "picture": source.name, "digest": source.digest, "mode": mode, "alpha": s.alpha,
                    "power": s.power, "seed": seed, "snapshots": s.snapshots, **shared_facts(s),
                },
                f"{source.name} {TITLES[mode]}, seed {seed}",
                source.missing,
            )
            for source in self.sources
            for mode in s.modes
            for seed in range(s.seeds)
        ]  # fmt: skip

    def train(self, row: Row) -> dict[str, Any]:
        """Fit until the target or the last step."""
        facts = row.facts
        source = self.source_of(row)
        field = field_for(facts)
        options: dict[str, Any] = {"log_every": max(1, facts["steps"] // facts["snapshots"])}
        if facts["mode"] in ("weights-only", "rates-only"):
            options["optimizer"] = optimizer_for(field, facts)
        result = fit_row(
            facts,
            lambda: field,
            source.image(facts["size"]),
            config_of(facts, **options),
            self.folder,
            self.progress,
        )
        return course_of(result, facts["target"])

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return steps and PSNRs of the four trainings of each picture, and the paper's claims."""
        s = self.settings
        tables, claims = [], []
        for source in self.sources:
            found = {mode: summary(outcomes, source.name, mode) for mode in s.modes}
            plain = found.get("none")
            rows = [(TITLES[mode], *_cells(found[mode], plain, s.steps)) for mode in s.modes]
            if source.missing:
                rows = [("no data", *(EMPTY,) * 4)]
            tables.append(
                Table(
                    f"{source.name}, {s.size} x {s.size} gray, alpha {s.alpha:g}",
                    ("training", f"steps to {s.target:g} dB", "speed / SIREN's", "PSNR", "test PSNR"),
                    rows,
                    (
                        f"Rates of layer k of L: {s.lr:g} times or over alpha^({s.power:g} (L - 1 - k)), "
                        "the last layer's unchanged (App. B.3).",
                    ),
                )
            )
            if source.missing is None:
                claims += claims_of(found)
        return [*tables, claims_table(claims, reasons(outcomes), "Fig. 3: what the paper says")]

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the training PSNR over the steps."""
        grid: list[list[Panel]] = []
        for source in self.sources:
            lines = []
            for outcome in finished(outcomes, picture=source.name, seed=0):
                r = outcome.result
                lines.append(Line(TITLES[outcome.row.facts["mode"]], r["steps"], r["psnrs"]))
            if lines:
                grid.append([Lines(source.name, lines, "step", "PSNR (dB)")])
        draw_panels(grid, folder / PICTURE, title=self.title)
        return [folder / PICTURE]


def field_for(facts: Mapping[str, Any]) -> Field:
    """Return the field of a row: scaled weights where its mode has them."""
    scaled = facts["mode"] in ("both", "weights-only")
    return field_of({**facts, "method": WEIGHTS, "factor": facts["alpha"] if scaled else 1.0})


def optimizer_for(field: Field, facts: Mapping[str, Any]) -> Callable[[Any], torch.optim.Optimizer]:
    """Return what makes Adam with the rates of the row's mode, which undo or imitate those of alpha."""

    def make(_: Any) -> torch.optim.Optimizer:
        groups = layerwise_lr(field, facts["alpha"], facts["mode"], lr=facts["lr"], power=facts["power"])
        return torch.optim.Adam(groups)

    return make


def summary(outcomes: Sequence[Outcome], picture: str, mode: str) -> dict[str, float | None] | None:
    """Return a training's means over the seeds: steps to the target or None, PSNR and test PSNR."""
    found = results(outcomes, picture=picture, mode=mode)
    if not found:
        return None
    return {
        "steps": steps_to_target(found),
        "psnr": mean([r["psnr"] for r in found]),
        "test": mean([r["psnr_test"] for r in found]),
    }


Summary = Mapping[str, float | None] | None


def claims_of(found: Mapping[str, Summary]) -> list[Claim]:
    """Return the claims of Fig. 3 about the four trainings of a picture."""
    none, weights, rates = (found.get(mode) for mode in ("none", "weights-only", "rates-only"))
    fast, slow = _speed(weights, none), _speed(rates, none)
    tests = [entry["test"] if entry else None for entry in (weights, rates)]
    return [
        Claim("the initial function alone speeds up more than the rates alone", "much greater",
              f"{figure(fast)} x against {figure(slow)} x", "greater",
              None if fast is None or slow is None else fast > slow,
              "the rates alone are faster here"),
        Claim("the rates alone give a mild speedup", "> 1 x", f"{figure(slow)} x", "> 1 x",
              None if slow is None else slow > 1.0, "the rates alone do not speed up here"),
        Claim("and cost less test PSNR than the initial function", "less sacrifice",
              f"{figure(tests[1])} dB against {figure(tests[0])} dB", f"{SLACK:g} dB",
              None if tests[0] is None or tests[1] is None else tests[1] >= tests[0] - SLACK,
              "the rates alone cost more here"),
    ]  # fmt: skip


def _speed(entry: Summary, plain: Summary) -> float | None:
    if entry is None or plain is None or entry["steps"] is None or plain["steps"] is None:
        return None
    return plain["steps"] / entry["steps"]


def _cells(entry: Summary, plain: Summary, budget: int) -> tuple[str, ...]:
    if entry is None:
        return (EMPTY,) * 4
    steps = f"> {budget}" if entry["steps"] is None else figure(entry["steps"], 0)
    return (steps, figure(_speed(entry, plain)), figure(entry["psnr"]), figure(entry["test"]))
