"""IGA, Experiment 1: as the net widens, adjustments by NTK, empirical NTK and groups become one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from fastsnf.analysis.panels import Heat, Line, Lines, Panel, draw_panels
from fastsnf.errors import RunError
from fastsnf.ntk.spectrum import SpectrumError
from fastsnf.studies.iga.config import ToySettings
from fastsnf.studies.iga.spectral import SpectralError
from fastsnf.studies.iga.two_layers import FREQUENCIES, Descent, circle, two_layer_field
from fastsnf.studies.means import mean
from fastsnf.studies.study import Outcome, Row, Study, finished, reasons, results
from fastsnf.studies.table import Table, figure, small
from fastsnf.train.placement import resolve_device

PICTURE = "curves.png"
PAIRS = (("S", "S~"), ("S", "S~e"), ("S~", "S~e"))
"""The adjustments whose loss curves the paper compares by eye."""


class Toy(Study[ToySettings]):
    """Figures 1, 6 and 7 of the paper: loss curves and spectral errors for each width and method."""

    name: ClassVar[str] = "iga-toy"
    title: ClassVar[str] = "IGA, Experiment 1: two-layer ReLU nets on the circle"

    def rows(self) -> list[Row]:
        """Return one row for each width, method, end and seed; plain gradients have no end."""
        s = self.settings
        device = str(resolve_device(s.device))
        shared = {
            name: getattr(s, name) for name in ("points", "group", "steps", "lr", "refresh", "snapshots")
        }
        rows = []
        for width in s.widths:
            for method in s.methods:
                for end in (None,) if method == "I" else s.ends:
                    for seed in range(s.seeds):
                        facts = {"width": width, "method": method, "end": end, "seed": seed, **shared}
                        label = f"{name_of(method, end)}, width {width}, seed {seed}"
                        rows.append(Row({**facts, "device": device}, label))
        return rows

    def train(self, row: Row) -> dict[str, Any]:
        """Run gradient descent; the curves are the loss and the spectral errors at `snapshots` steps."""
        facts = row.facts
        steps, device = facts["steps"], torch.device(facts["device"])
        # One net for each width and seed, whatever the method.
        generator = torch.Generator().manual_seed(1_000_003 * facts["seed"] + facts["width"])
        field = two_layer_field(facts["width"], generator, device)
        x, y = (tensor.to(device) for tensor in circle(facts["points"]))
        errors = SpectralError(y, len(FREQUENCIES))
        every = max(1, steps // facts["snapshots"])
        curve: dict[str, list[Any]] = {"steps": [], "losses": [], "errors": []}

        def observe(step: int, loss: Tensor) -> None:
            if step % every and step != steps:
                return
            if not math.isfinite(float(loss)):
                raise RunError(f"expected a finite loss; got {float(loss)} at step {step}: lower --lr")
            with torch.no_grad():
                values = field(x)
            self.progress(step, steps, float(loss))
            curve["steps"].append(step)
            curve["losses"].append(float(loss))
            curve["errors"].append(errors(values))

        # The paper counts from 1 and leaves lambda_end out, as its scripts' replace_end does counting from 0.
        end = 0 if facts["end"] is None else facts["end"] - 1
        descent = Descent(facts["method"], end, facts["group"], facts["lr"], facts["refresh"])
        try:
            descent.run(field, x, y, steps, observe)
        except SpectrumError as error:
            raise RunError(f"expected a finite NTK; got: {error}: lower --lr") from error
        return {"loss": curve["losses"][-1], "bins": errors.bins, **curve}

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the final errors of each row, and how far apart the loss curves are at each width."""
        return [self._final(outcomes), self._distances(outcomes)]

    def _final(self, outcomes: Sequence[Outcome]) -> Table:
        s = self.settings
        rows = []
        for width in s.widths:
            for method in s.methods:
                for end in (None,) if method == "I" else s.ends:
                    found = results(outcomes, width=width, method=method, end=end)
                    cells = [small(mean([result["loss"] for result in found]))]
                    for k in range(len(FREQUENCIES)):
                        cells.append(figure(mean([result["errors"][-1][k] for result in found]), 3))
                    rows.append((f"{width} {name_of(method, end)}", *cells))
        return Table(
            f"MSE and relative spectral error after {s.steps:,} steps (the paper: 20,000)",
            ("width, method", "MSE", *(f"k{k + 1}" for k in range(len(FREQUENCIES)))),
            rows,
            (
                "k1 to k4: the four strongest bins of the target's spectrum, lowest first.",
                "S: analytic NTK; S~: empirical NTK; S~e: of one point in each group. The paper prints "
                "curves and heat maps of these (Fig. 1, 6, 7), no figures.",
                *reasons(outcomes),
            ),
        )

    def _distances(self, outcomes: Sequence[Outcome]) -> Table:
        s = self.settings
        rows = []
        for width in s.widths:
            for end in s.ends:
                cells = []
                for first, second in PAIRS:
                    gaps = [
                        distance(a, b)
                        for seed in range(s.seeds)
                        for a in _losses(outcomes, width, first, end, seed)
                        for b in _losses(outcomes, width, second, end, seed)
                    ]
                    cells.append(small(mean(gaps)))
                rows.append((f"{width}, end {end}", *cells))
        return Table(
            "Distance of the loss curves: mean |log10 MSE - log10 MSE'| over the steps",
            ("width", *(f"{first} to {second}" for first, second in PAIRS)),
            rows,
            ("The paper's claim (Theorem 4.1): it falls with width.",),
        )

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw, for each width, the loss curves and a heat map of the spectral errors of each method."""
        grid: list[list[Panel]] = []
        for width in self.settings.widths:
            found = [outcome for outcome in finished(outcomes, width=width, seed=0) if outcome.result]
            if not found:
                continue
            lines, heats = [], []
            for outcome in found:
                facts, result = outcome.row.facts, outcome.result
                name = name_of(facts["method"], facts["end"])
                lines.append(Line(name, result["steps"], result["losses"]))
                heats.append(
                    Heat(
                        f"{name}, width {width}",
                        [list(row) for row in zip(*result["errors"], strict=True)],
                        [f"k{k + 1}" for k in range(len(FREQUENCIES))],
                        (result["steps"][0], result["steps"][-1]),
                    )
                )
            grid.append([Lines(f"width {width}", lines, "step", "MSE", log=True), *heats])
        path = folder / PICTURE
        draw_panels(grid, path, title=self.title)
        return [path]


def name_of(method: str, end: int | None) -> str:
    """Return the name of a method as the paper's figures have it."""
    return method if end is None else f"{method}-{end}"


def distance(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the mean distance of two loss curves on a logarithmic scale.

    >>> distance([1.0, 0.1], [1.0, 0.01])
    0.5
    """
    gaps = [abs(math.log10(a) - math.log10(b)) for a, b in zip(first, second, strict=True)]
    return sum(gaps) / len(gaps)


def _losses(outcomes: Sequence[Outcome], width: int, method: str, end: int, seed: int) -> list[list[float]]:
    facts = {"width": width, "method": method, "end": end, "seed": seed}
    return [result["losses"] for result in results(outcomes, **facts)]
