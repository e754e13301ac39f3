"""VI3NR, Fig. 2a: where gradients are stable, over the activation's parameter and sigma_p."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fastsnf.analysis.panels import Line, Panel, Plane, draw_panels
from fastsnf.nn.init import condition, solve_sigma_p
from fastsnf.spec import Activation, Gaussian, Sinc
from fastsnf.studies.study import Outcome, Row, Study, finished, reasons, results
from fastsnf.studies.table import EMPTY, Table, yes_no
from fastsnf.studies.vi3nr.config import HeatmapSettings

PICTURE = "heatmap.png"
RATIO = math.sqrt(math.sqrt(2.0) - 1.0)
"""Sigma_a over the root of Eq. 13 with a Gaussian, 0.6436; the paper reads 0.66 off its figure."""
SHOWN = 8
"""Columns of the map in the table."""
PARAMETERS = {"gaussian": "sigma_a", "sinc": "a"}


class Heatmap(Study[HeatmapSettings]):
    """Figure 2a of the paper, and the same with the sinc."""

    name: ClassVar[str] = "vi3nr-heatmap"
    title: ClassVar[str] = "VI3NR, Fig. 2a: one minus the error of Eq. 13"

    def rows(self) -> list[Row]:
        """Return one row an activation."""
        s = self.settings
        spans = {
            "gaussian": (s.sigma_a_most, s.sigma_p_most),
            "sinc": (s.a_most, s.sinc_sigma_p_most),
        }
        rows = []
        for activation in s.activations:
            most, sigma_p_most = spans[activation]
            facts = {
                "activation": activation, "points": s.points, "most": most, "sigma_p_most": sigma_p_most,
            }  # fmt: skip
            rows.append(Row(facts, activation))
        return rows

    def train(self, row: Row) -> dict[str, Any]:
        """Evaluate Eq. 13 on the grid."""
        facts = row.facts
        parameters = _axis(facts["most"], facts["points"])
        sigmas = _axis(facts["sigma_p_most"], facts["points"])
        columns, ridge = [], []
        for done, parameter in enumerate(parameters, start=1):
            activation = activation_of(facts["activation"], parameter)
            columns.append([agreement(condition(activation, sigma_p)) for sigma_p in sigmas])
            ridge.append(solve_sigma_p(activation))
            self.progress(done, len(parameters), 0.0)
        values = [list(values) for values in zip(*columns, strict=True)]
        return {"parameters": parameters, "sigmas": sigmas, "values": values, "ridge": ridge}

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return, for each activation, the best sigma_p on the grid beside the root of Eq. 13."""
        return [_table(outcomes, activation) for activation in self.settings.activations]

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the maps with their ridges."""
        panels: list[Panel] = []
        for outcome in finished(outcomes):
            result = outcome.result
            name = outcome.row.facts["activation"]
            ridge = Line("root of Eq. 13", result["parameters"], result["ridge"])
            panels.append(
                Plane(
                    f"{name}: one minus SMAPE", result["parameters"], result["sigmas"], result["values"],
                    PARAMETERS[name], "sigma_p", [ridge], 0.0, 1.0,
                )
            )  # fmt: skip
        draw_panels([panels], folder / PICTURE, title=self.title)
        return [folder / PICTURE]


def activation_of(name: str, parameter: float) -> Activation:
    """Return exp(-u^2 / (2 sigma_a^2)) or sin(a u) / (a u)."""
    return Gaussian.from_sigma(parameter) if name == "gaussian" else Sinc(parameter)


def agreement(left: float) -> float:
    """Return one minus |c - 1| / (c + 1), the SMAPE (without its factor 2) of Eq. 13's left side c >= 0.

    >>> agreement(1.0), agreement(3.0), agreement(0.0)
    (1.0, 0.5, 0.0)
    """
    return 1.0 - abs(left - 1.0) / (left + 1.0)


def best_on_grid(result: Mapping[str, Any]) -> list[float | None]:
    """Return for each column the sigma_p with the best value, None where it is the grid's last."""
    found: list[float | None] = []
    for column in zip(*result["values"], strict=True):
        place = max(range(len(column)), key=column.__getitem__)
        found.append(None if place == len(column) - 1 else result["sigmas"][place])
    return found


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the slope of the line through the origin that lies nearest to the points."""
    return sum(a * b for a, b in zip(x, y, strict=True)) / sum(a * a for a in x)


def _table(outcomes: Sequence[Outcome], name: str) -> Table:
    head = (PARAMETERS[name], "best on the grid", "Eq. 13", "tolerance", "within", "ratio")
    title = f"{name}: sigma_p at which Eq. 13 holds"
    found = results(outcomes, activation=name)
    if not found:
        return Table(title, head, notes=reasons(outcomes))
    result = found[0]
    step, best = result["sigmas"][0], best_on_grid(result)
    rows, inside = [], []
    for k, (parameter, place, root) in enumerate(
        zip(result["parameters"], best, result["ridge"], strict=True)
    ):
        if place is not None:
            inside.append((parameter, place))
        if k % max(1, len(best) // SHOWN) == max(1, len(best) // SHOWN) - 1:
            cells = [EMPTY, f"{root:.4f}", EMPTY, EMPTY, EMPTY]
            if place is not None:
                ratio = parameter / place if name == "gaussian" else parameter * place
                within = yes_no(abs(place - root) <= step)
                cells = [f"{place:.4f}", f"{root:.4f}", f"+-{step:.4f}", within, f"{ratio:.3f}"]
            rows.append((f"{parameter:.4f}", *cells))
    notes = ["Tolerance: one step of the grid; empty where the best sigma_p would lie outside it."]
    if name == "gaussian":
        notes.insert(0, _trend(inside))
        notes.append("ratio: sigma_a / sigma_p. The axes' spans are not in the paper's text.")
    else:
        notes.append("ratio: a sigma_p, on which alone Eq. 13 depends: 2.2233 at its root. Not in the paper.")
    return Table(title, head, rows, tuple(notes))


def _trend(inside: Sequence[tuple[float, float]]) -> str:
    if not inside:
        return "No best sigma_p lies within the grid: take a larger one."
    ratio = 1.0 / slope([x for x, _ in inside], [y for _, y in inside])
    return (
        f"A line through the ridge has sigma_a / sigma_p = {ratio:.4f}; Eq. 13 gives sqrt(sqrt(2) - 1) = "
        f"{RATIO:.4f}, and the paper reads about 0.66 off its grid."
    )


def _axis(most: float, points: int) -> list[float]:
    """Return `points` equal steps above 0 up to `most`."""
    return [most * (k + 1) / points for k in range(points)]
