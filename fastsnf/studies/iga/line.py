"""IGA, Experiment 2: the more eigenvalues are balanced, the sooner high frequencies are learned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch

from fastsnf.analysis.panels import Heat, Lines, Panel, draw_panels
from fastsnf.analysis.panels import Line as Curve
from fastsnf.nn import SNF, Field
from fastsnf.ntk.config import IGA
from fastsnf.signals import Samples
from fastsnf.spec import ReLU, Sine
from fastsnf.studies.fitting import full_batch
from fastsnf.studies.iga.config import LineSettings
from fastsnf.studies.iga.heads import widen_head_
from fastsnf.studies.iga.spectral import SpectralError
from fastsnf.studies.means import mean
from fastsnf.studies.progress import Told
from fastsnf.studies.study import Finished, Outcome, Row, Study, finished, reasons, results
from fastsnf.studies.table import Table, figure, small
from fastsnf.train import Callback, FitState, fit
from fastsnf.train.placement import resolve_device

FREQUENCIES = {"siren": (10, 20, 30, 40, 50, 60), "relu": (5, 10, 15, 20, 25, 30)}
"""Of the target, in Hz; ReLU gets half of them, "due to its limited representation capacity" (Eq. 9)."""
HEAT_MAPS, CURVES = "heat-maps.png", "curves.png"
LEARNED = 0.1
"""A frequency counts as learned once its relative error is below this."""


class Line(Study[LineSettings]):
    """Figures 2, 3 and 7 to 9 of the paper."""

    name: ClassVar[str] = "iga-1d"
    title: ClassVar[str] = "IGA, Experiment 2: six frequencies on a line"

    def rows(self) -> list[Row]:
        """Return one row for each architecture, number of balanced eigenvalues, group size and seed."""
        s = self.settings
        device = str(resolve_device(s.device))
        names = ("points", "steps", "lr", "hidden_features", "hidden_layers", "omega", "refresh", "snapshots")
        shared = {name: getattr(s, name) for name in names}
        rows = []
        for model in s.models:
            kinds: list[tuple[int | None, int | None]] = [(None, None)]
            kinds += [(group, balanced) for group in s.groups for balanced in s.balanced]
            for group, balanced in kinds:
                for seed in range(s.seeds):
                    facts = {"model": model, "group": group, "balanced": balanced, "seed": seed, **shared}
                    label = f"{name_of(model, group, balanced)}, seed {seed}"
                    rows.append(Row({**facts, "device": device}, label))
        return rows

    def train(self, row: Row) -> dict[str, Any]:
        """Fit; the curves are the loss and the six spectral errors at `snapshots` steps."""
        facts = row.facts
        signal = target_of(facts["model"], facts["points"])
        field = field_of(facts)
        watcher = Spectrum(signal, len(FREQUENCIES[facts["model"]]))
        config = full_batch(facts, facts["snapshots"], iga=adjustment_of(facts))
        result = fit(field, signal, config, callbacks=[watcher, Told(self.progress)])
        adjusted = result.iga or {}
        return {
            "loss": watcher.losses[-1],
            "mse": 10.0 ** (-result.psnr / 10.0),
            "failures": adjusted.get("failures", 0),
            "engine": result.engine,
            "bins": watcher.error.bins,
            "steps": watcher.steps,
            "losses": watcher.losses,
            "errors": watcher.errors,
        }

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return, for each architecture and group size, errors over the steps and at the end."""
        pairs = [(model, group) for model in self.settings.models for group in self.settings.groups]
        return [make(outcomes, *pair) for pair in pairs for make in (self._course, self._end)]

    def _course(self, outcomes: Sequence[Outcome], model: str, group: int) -> Table:
        """Return the errors' means over the steps: how light the paper's heat maps are."""
        count = len(FREQUENCIES[model])
        rows, high = [], []
        for name, found in self._results(outcomes, model, group):
            means = [mean([_course(r["errors"], k) for r in found]) for k in range(count)]
            upper = [value for value in means[count // 2 :] if value is not None]
            high.append(mean(upper))
            learned = mean([_first_below(r["errors"], r["steps"]) for r in found])
            rows.append((name, *(figure(value, 3) for value in (*means, high[-1])), figure(learned, 0)))
        return Table(
            f"{TITLES[model]}, groups of {group}: relative spectral error, mean over {self.settings.steps:,} "
            "steps (the paper: 10,000)",
            ("eigenvalues", *_heads(model), "upper half", "learned at"),
            rows,
            (
                verdict(high),
                "upper half: the three highest frequencies; learned at: the first step at which the error of "
                f"the highest is below {LEARNED}.",
                "The paper prints heat maps and curves of these (Fig. 2, 3, 7 to 9), no figures.",
                *reasons([o for o in outcomes if o.row.facts["model"] == model]),
            ),
        )

    def _end(self, outcomes: Sequence[Outcome], model: str, group: int) -> Table:
        """Return the errors after the last step."""
        count = len(FREQUENCIES[model])
        rows = []
        for name, found in self._results(outcomes, model, group):
            finals = [mean([r["errors"][-1][k] for r in found]) for k in range(count)]
            mse = small(mean([r["mse"] for r in found]))
            rows.append((name, *(figure(value, 3) for value in finals), mse))
        return Table(
            f"{TITLES[model]}, groups of {group}: at the end", ("eigenvalues", *_heads(model), "MSE"), rows
        )

    def _results(
        self, outcomes: Sequence[Outcome], model: str, group: int
    ) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
        """Yield the name and the results of plain training and of every number of eigenvalues."""
        for balanced in (None, *self.settings.balanced):
            name = "plain" if balanced is None else f"balanced {balanced}"
            yield (
                name,
                results(outcomes, model=model, group=None if balanced is None else group, balanced=balanced),
            )

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the heat maps of Fig. 2 and the curves of Fig. 3."""
        heats: list[list[Panel]] = []
        curves: list[list[Panel]] = []
        for model in self.settings.models:
            for group in self.settings.groups:
                found = [
                    outcome
                    for outcome in finished(outcomes, model=model, seed=0)
                    if outcome.row.facts["group"] in (None, group)
                ]
                if found:
                    heats.append([_heat(outcome, model) for outcome in found])
                    curves.append([_curves(found, model, group, k) for k in range(len(FREQUENCIES[model]))])
        draw_panels(heats, folder / HEAT_MAPS, title=self.title)
        draw_panels(curves, folder / CURVES, title=self.title)
        return [folder / HEAT_MAPS, folder / CURVES]


class Spectrum(Callback):
    """Keeps loss and spectral errors at every row of metrics."""

    def __init__(self, signal: Samples, count: int) -> None:
        self.error = SpectralError(signal.values, count)
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.errors: list[list[float]] = []

    def on_log(self, row: dict[str, Any], state: FitState) -> None:
        """Evaluate the field at every point."""
        with torch.no_grad():
            values = state.field(state.signal.coords.to(state.device))
        self.steps.append(row["step"])
        self.losses.append(row["loss"])
        self.errors.append(self.error(values))


TITLES = {"siren": "SIREN", "relu": "ReLU"}


def target_of(model: str, points: int) -> Samples:
    """Return ``f(x) = sum_k sin(2 pi k x)`` on [-1, 1], both ends included (Eq. 9)."""
    x = torch.linspace(-1.0, 1.0, points, dtype=torch.float64)
    waves = [torch.sin(2.0 * math.pi * k * x) for k in FREQUENCIES[model]]
    return Samples.from_array(torch.stack(waves).sum(dim=0).unsqueeze(-1))


def field_of(facts: Mapping[str, Any]) -> Field:
    """Return the field of a row, in its initial state: the same for every adjustment of a seed."""
    is_siren = facts["model"] == "siren"
    field = SNF(
        1,
        1,
        facts["hidden_features"],
        facts["hidden_layers"],
        activation=Sine(facts["omega"]) if is_siren else ReLU(),
        init="siren" if is_siren else "default",
        generator=torch.Generator().manual_seed(facts["seed"]),
    )
    if not is_siren:
        widen_head_(field, facts["seed"])
    return field


def adjustment_of(facts: Mapping[str, Any]) -> IGA | None:
    """Return IGA as the released code runs it: k balanced are lambda_0 .. lambda_(k - 2) -> lambda_(k - 1).

    The middle point of every group stands for it there, whatever the paper says of largest residuals.
    """
    if facts["balanced"] is None:
        return None
    last = facts["balanced"] - 1
    return IGA(
        group=f"run:{facts['group']}", start=0, end=last, target=last, form="adam", sample="center",
        refresh=facts["refresh"],
    )  # fmt: skip


def name_of(model: str, group: int | None, balanced: int | None) -> str:
    """Return the name of a training as the paper's figures have it."""
    return f"{TITLES[model]} plain" if group is None else f"{TITLES[model]} {balanced} balanced, IGA-{group}"


def verdict(errors: Sequence[float | None]) -> str:
    """Return one line: whether the error of high frequencies falls with balanced eigenvalues.

    Args:
        errors: of plain training and of every number of eigenvalues, ascending; None where there is none.

    >>> verdict([0.9, 0.5, 0.2])
    'The error of the high frequencies falls with the balanced eigenvalues: 0.900 -> 0.500 -> 0.200.'
    """
    there = [error for error in errors if error is not None]
    falls = [after < before for before, after in pairwise(there)]
    chain = " -> ".join(f"{error:.3f}" for error in there)
    what = "The error of the high frequencies"
    if len(there) < 2 or there[-1] >= there[0]:
        return f"{what} does not fall with the balanced eigenvalues: {chain or 'no rows'}."
    if all(falls):
        return f"{what} falls with the balanced eigenvalues: {chain}."
    return f"{what} falls with the balanced eigenvalues, but for {falls.count(False)} of them: {chain}."


def _heat(outcome: Finished, model: str) -> Heat:
    facts, result = outcome.row.facts, outcome.result
    rows = [list(row) for row in zip(*result["errors"], strict=True)]
    ticks = [f"{frequency}" for frequency in FREQUENCIES[model]]
    span = (result["steps"][0], result["steps"][-1])
    return Heat(name_of(model, facts["group"], facts["balanced"]), rows, ticks, span)


def _curves(found: Sequence[Finished], model: str, group: int, k: int) -> Lines:
    lines = []
    for outcome in found:
        facts, result = outcome.row.facts, outcome.result
        name = "plain" if facts["balanced"] is None else f"{facts['balanced']} balanced"
        lines.append(Curve(name, result["steps"], [errors[k] for errors in result["errors"]]))
    title = f"{TITLES[model]}, groups of {group}, {FREQUENCIES[model][k]} Hz"
    return Lines(title, lines, "step", "relative error")


def _first_below(errors: Sequence[Sequence[float]], steps: Sequence[int]) -> float:
    """Return the first step at which the highest frequency is learned, NaN where it is at none."""
    return next((float(step) for step, row in zip(steps, errors, strict=True) if row[-1] < LEARNED), math.nan)


def _course(errors: Sequence[Sequence[float]], k: int) -> float:
    """Return the mean error of frequency k over the steps."""
    return sum(row[k] for row in errors) / len(errors)


def _heads(model: str) -> list[str]:
    return [f"{frequency} Hz" for frequency in FREQUENCIES[model]]
