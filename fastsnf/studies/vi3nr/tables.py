"""VI3NR, Tables 1 to 4: variances of weights, sigma_p, and errors of a deep net, beside the paper's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from fastsnf.analysis.panels import Line, Lines, draw_panels
from fastsnf.nn.init import moments, solve_sigma_p
from fastsnf.studies.study import Outcome, Row, Study, finished
from fastsnf.studies.table import Table
from fastsnf.studies.vi3nr import report
from fastsnf.studies.vi3nr.activations import SPECS
from fastsnf.studies.vi3nr.cases import (
    PRINTED_CASES,
    SAMPLED,
    exact_variance,
    net_of,
    root_of,
    sampled_variance,
    sigma_p_of,
    variance_of,
)
from fastsnf.studies.vi3nr.config import TablesSettings
from fastsnf.studies.vi3nr.deep import variance_errors
from fastsnf.studies.vi3nr.published import SIGMA_P, VARIANCES

PICTURE = "condition.png"
SEARCHES = 5
"""Seeds of the paper's search at most."""
TIMED = 5
"""Timings of a Monte Carlo estimate, of which the median counts."""


class Tables(Study[TablesSettings]):
    """Tables 1 to 4 of the paper: some 12 s of one core for each seed, 4 minutes at the defaults."""

    name: ClassVar[str] = "vi3nr-tables"
    title: ClassVar[str] = "VI3NR, Tables 1 to 4: weights by initializer, and deep nets that start from them"

    def rows(self) -> list[Row]:
        """Return one row an activation, one a size of samples, and one a net's seed."""
        s = self.settings
        rows = [Row({"kind": "variances", "activation": a}, f"variances, {a}") for a in SPECS]
        for samples in s.samples:
            facts = {"kind": "samples", "samples": samples, "seeds": s.seeds}
            rows.append(Row(facts, f"{samples:,} samples"))
        if s.as_published:
            for activation in report.SEARCHED:
                for seed in (None, *range(min(s.seeds, SEARCHES))):
                    facts = {"kind": "grid", "activation": activation, "seed": seed}
                    which = "its own seed" if seed is None else f"seed {seed}"
                    rows.append(Row(facts, f"the paper's search, {activation}, {which}"))
        shared = {name: getattr(s, name) for name in ("layers", "width", "batch", "distribution")}
        for seed in range(s.seeds):
            facts = {"kind": "net", "seed": seed, "cases": [list(case) for case in self.cases()], **shared}
            rows.append(Row(facts, f"nets, seed {seed}"))
        return rows

    def cases(self) -> list[tuple[str, str]]:
        """Return activation and method of every net."""
        found = list(VARIANCES)
        found += [("gaussian", f"{SAMPLED}{samples}") for samples in self.settings.samples]
        return found + (list(PRINTED_CASES) if self.settings.as_published else [])

    def train(self, row: Row) -> dict[str, Any]:
        """Run what the row's kind says."""
        facts = row.facts
        if facts["kind"] == "variances":
            return variances_of(facts["activation"])
        if facts["kind"] == "samples":
            return _sample(facts["samples"], facts["seeds"])
        if facts["kind"] == "grid":
            spec = SPECS[facts["activation"]]
            return {"sigma_p": solve_sigma_p(spec, as_published=True, seed=facts["seed"])}
        nets = [net_of(activation, method, facts["seed"]) for activation, method in facts["cases"]]
        alone = list(dict.fromkeys(nets))  # Xavier and Kumar are one with tanh, all methods with ReLU
        forward, backward = variance_errors(
            alone,
            seed=facts["seed"],
            width=facts["width"],
            layers=facts["layers"],
            batch=facts["batch"],
            distribution=facts["distribution"],
            progress=self.progress,
        )
        places = [alone.index(net) for net in nets]
        return {"forward": [forward[k] for k in places], "backward": [backward[k] for k in places]}

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return Tables 1 and 3 (variances, sigma_p), 2 and 3 (errors), and 4."""
        s = self.settings
        sizes = (s.layers, s.width)
        found = [report.variances(outcomes), report.roots(outcomes)]
        found.append(report.errors(outcomes, list(VARIANCES), sizes, s.batch))
        found.append(report.samples(outcomes, s.samples, sizes))
        if s.as_published:
            found += [report.searches(outcomes), report.printed(outcomes, sizes)]
        return found

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw the left side of Eq. 13 over sigma_p for every activation that was run."""
        lines = []
        for outcome in finished(outcomes, kind="variances"):
            result = outcome.result
            lines.append(Line(outcome.row.facts["activation"], result["sigmas"], result["conditions"]))
        title = "Gradients are stable where it is 1"
        panel = Lines(title, lines, "sigma_p", "left side of Eq. 13", log=True, x_log=True)
        draw_panels([[panel]], folder / PICTURE)
        return [folder / PICTURE]


def variances_of(activation: str) -> dict[str, Any]:
    """Return fan-in times sigma^2(W) by every method of the tables, sigma_p, and a curve of Eq. 13.

    The curve has 61 points from a thirtieth of the root (or the paper's sigma_p) to thirty times it.
    """
    methods = [method for name, method in VARIANCES if name == activation]
    center = sigma_p_of(activation, "vi3nr-root")
    sigmas = [center * 30.0 ** (k / 30.0 - 1.0) for k in range(61)]
    found = [moments(SPECS[activation], sigma_p) for sigma_p in sigmas]
    return {
        "variances": {method: variance_of(activation, method) for method in methods},
        "root": root_of(activation),
        "sigma_p": center,
        "at_printed": exact_variance(activation, float(SIGMA_P[activation])),
        "sigmas": sigmas,
        "conditions": [s**2 * m.slope_square / m.square for s, m in zip(sigmas, found, strict=True)],
    }


def _sample(samples: int, seeds: int) -> dict[str, Any]:
    """Return the relative errors of the Gaussian's sampled variance, and milliseconds of one estimate."""
    sigma_p = sigma_p_of("gaussian", "vi3nr-root")
    exact = exact_variance("gaussian", sigma_p)
    errors = [
        abs(sampled_variance("gaussian", sigma_p, samples, seed) / exact - 1.0) for seed in range(seeds)
    ]
    seconds = []
    for _ in range(TIMED):
        began = time.perf_counter()
        sampled_variance(
            "gaussian", sigma_p, samples, time.time_ns()
        )  # no seed again: results are remembered
        seconds.append(time.perf_counter() - began)
    return {"errors": errors, "milliseconds": 1e3 * statistics.median(seconds)}
