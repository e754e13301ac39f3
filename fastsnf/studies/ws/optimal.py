"""Weight scaling, Fig. 6 and 7: the best alpha by Eq. 10, over sizes of the workload and over pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fastsnf.analysis.panels import Line, Lines, Panel, draw_panels
from fastsnf.nn import Field
from fastsnf.signals.atomic import disk_errors
from fastsnf.studies.fitting import digest_of
from fastsnf.studies.means import mean
from fastsnf.studies.records import Records
from fastsnf.studies.study import Outcome, Row, finished, reasons
from fastsnf.studies.table import EMPTY, Table, figure
from fastsnf.studies.tune import tune
from fastsnf.studies.tune.result import STEPS
from fastsnf.studies.ws.claims import Claim, chain, claims_table, steps_between
from fastsnf.studies.ws.config import OptimalSettings
from fastsnf.studies.ws.fits import WEIGHTS, config_of, field_of, shared_facts
from fastsnf.studies.ws.picture_study import PictureStudy
from fastsnf.studies.ws.sources import Source

PICTURE = "optimal.png"
TITLES = {"size": "resolution", "width": "width", "depth": "depth"}
PAPER = {"size": "positive", "width": "none", "depth": "negative"}
"""The caption of Fig. 6."""
PRINTED, NEAR = 2.37, 0.25
"""Alpha of Table 2 for images of 512 x 512 pixels and five layers of width 512; what counts as near it."""
ALIKE = 0.9
"""Least correlation of two pictures' curves that counts as "strikingly quite similar"."""


class Optimal(PictureStudy[OptimalSettings]):
    """Figures 6 and 7 of the paper."""

    name: ClassVar[str] = "ws-optimal"
    title: ClassVar[str] = "Weight scaling, Fig. 6 and 7: the best alpha"

    def rows(self) -> list[Row]:
        """Return one search for each size, width and depth on the first picture, and one for each picture."""
        s = self.settings
        first = next(source for source in self.sources if source.missing is None)
        rows: dict[str, Row] = {}
        if "picture" in s.axes:
            for source in self.sources:
                row = self._row(source, self._workload(), race=False)
                rows[row.label] = row
        for axis in TITLES:
            if axis in s.axes:
                for value in self._values(axis):
                    row = self._row(first, self._workload(axis, value), race=True)
                    rows.setdefault(row.label, row)
        return list(rows.values())

    def _values(self, axis: str) -> tuple[int, ...]:
        return tuple(sorted(getattr(self.settings, f"{axis}s")))

    def _workload(self, axis: str = "", value: int = 0) -> dict[str, int]:
        """Return size, width and depth: the settings', but for that of `axis`."""
        s = self.settings
        usual = {"size": s.size, "width": s.hidden_features, "depth": s.hidden_layers + 2}
        return {**usual, axis: value} if axis else usual

    def _row(self, source: Source, load: Mapping[str, int], *, race: bool) -> Row:
        s = self.settings
        facts = {
            **shared_facts(s), **load, "picture": source.name, "digest": source.digest, "race": race,
            "alphas": sorted(s.alphas), "share": s.share, "seeds": s.seeds,
        }  # fmt: skip
        for name in ("hidden_features", "hidden_layers"):  # width and depth say it
            del facts[name]
        label = f"{source.name} {load['size']} x {load['size']}, width {load['width']}, depth {load['depth']}"
        return Row(facts, label, source.missing)

    def train(self, row: Row) -> dict[str, Any]:
        """Search the best alpha; finished fits are kept, so that an interrupted search goes on."""
        facts = row.facts
        source = self.source_of(row)
        folder = self.folder / "searches" / digest_of(facts)
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        result = tune(
            source.image(facts["size"]),
            lambda overrides, seed: field_for(facts, overrides, seed),
            config_of({**facts, "seed": 0}),
            over="alpha",
            values=facts["alphas"],
            reference=1.0,
            seeds=range(facts["seeds"]),
            share=facts["share"],
            race=facts["race"],
            records=Records(folder),
            progress=self.progress,
        )
        ended = [trial.stopped in ("target", "budget") for trial in result.trials]
        return {
            "best": result.value,
            "speedup": result.speedup,
            "ranked_by": result.ranked_by,
            "alphas": [trial.value for trial in result.trials],
            "steps": [trial.steps for trial in result.trials],
            "psnrs": [trial.psnr for trial in result.trials],
            "tests": [t.psnr_test if end else None for t, end in zip(result.trials, ended, strict=True)],
            "stopped": [trial.stopped for trial in result.trials],
        }

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return the best factors over each axis and over the pictures, and the paper's claims."""
        s = self.settings
        tables, claims = [], []
        for axis in (axis for axis in TITLES if axis in s.axes):
            found = self._along(outcomes, axis)
            tables.append(_axis_table(axis, found))
            best = best_alphas([o.result for _, o in found if o.result is not None])
            claims.append(axis_claim(axis, best, s.alphas))
        if "picture" in s.axes:
            found_pictures = self._pictures(outcomes)
            tables.append(_pictures_table(found_pictures))
            results = [o.result for o in found_pictures if o.result is not None]
            claims += [*picture_claims(results, s.alphas), printed_claim(results, self._workload())]
        notes = (
            f"Best: the fewest steps to {s.target:g} dB among the alphas whose test PSNR is at least "
            f"{s.share:g} of alpha = 1's (Eq. 10); {s.steps} steps at most, Adam {s.lr:g}, "
            f"seeds: {s.seeds}, one pixel in {s.holdout} of both axes trained; none: no such alpha did.",
            f"Candidates: {', '.join(f'{alpha:g}' for alpha in sorted(s.alphas))}.",
            *reasons(outcomes),
        )
        return [*tables, claims_table(claims, notes, "Fig. 6 and 7: what the paper says")]

    def _along(self, outcomes: Sequence[Outcome], axis: str) -> list[tuple[int, Outcome]]:
        """Return the searches on the first picture along an axis, with the value that it has there."""
        name = next(source.name for source in self.sources if source.missing is None)
        found = []
        for value in self._values(axis):
            facts = {**self._workload(axis, value), "picture": name}
            found += [
                (value, outcome)
                for outcome in outcomes
                if all(outcome.row.facts[key] == entry for key, entry in facts.items())
            ][:1]
        return found

    def _pictures(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        return [outcome for outcome in outcomes if not outcome.row.facts["race"]]

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw Fig. 6, one panel an axis, and Fig. 7: speed and test PSNR of the pictures."""
        s = self.settings
        top: list[Panel] = []
        for axis in (axis for axis in TITLES if axis in s.axes):
            found = [
                (v, best_alpha(o.result)) for v, o in self._along(outcomes, axis) if o.result is not None
            ]
            line = Line.known("best", [v for v, _ in found], [best for _, best in found])
            top.append(Lines(f"Fig. 6: {TITLES[axis]}", [line], TITLES[axis], "best alpha"))
        speeds, tests = [], []
        for outcome in finished(self._pictures(outcomes)):
            r, name = outcome.result, outcome.row.facts["picture"]
            speeds.append(Line.known(name, r["alphas"], [1e3 / n if n else None for n in r["steps"]]))
            tests.append(Line.known(name, r["alphas"], r["tests"]))
        bottom: list[Panel] = [
            Lines("Fig. 7: speed", speeds, "alpha", "1000 / steps"),
            Lines("Fig. 7: generalization", tests, "alpha", "test PSNR (dB)"),
        ]
        draw_panels([top, bottom], folder / PICTURE, title=self.title)
        return [folder / PICTURE]


def field_for(facts: Mapping[str, Any], overrides: Mapping[str, Any], seed: int) -> Field:
    """Return the field of a search's candidate."""
    return field_of(
        {
            "method": WEIGHTS,
            "factor": overrides.get("alpha", 1.0),
            "omega": facts["omega"],
            "hidden_features": facts["width"],
            "hidden_layers": facts["depth"] - 2,
            "seed": seed,
        }
    )


def best_alpha(result: Mapping[str, Any]) -> float | None:
    """Return the best alpha of a search by Eq. 10, None where no admissible one reached the target."""
    return float(result["best"]) if result["ranked_by"] == STEPS else None


def best_alphas(results: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the best alphas of the searches that have one."""
    return [best for result in results if (best := best_alpha(result)) is not None]


def axis_claim(axis: str, best: Sequence[float], ladder: Sequence[float]) -> Claim:
    """Return what Fig. 6 says of an axis, about the best factors in its ascending order."""
    change = None if len(best) < 2 else steps_between(best[0], best[-1], ladder)
    tests = {
        "positive": lambda steps: steps >= 1,
        "none": lambda steps: abs(steps) <= 1,
        "negative": lambda steps: steps <= -1,
    }
    paper = PAPER[axis]
    tolerance = {"positive": ">= 1 candidate up", "none": "<= 1 candidate", "negative": ">= 1 candidate down"}
    return Claim(
        f"Fig. 6: correlation of the best alpha with {TITLES[axis]}",
        paper,
        chain(best),
        tolerance[paper],
        None if change is None else tests[paper](change),
        "not at these sizes, with these candidates",
    )


def picture_claims(results: Sequence[Mapping[str, Any]], ladder: Sequence[float]) -> list[Claim]:
    """Return what Fig. 7 says of the pictures' searches."""
    best = best_alphas(results)
    apart = None if len(best) < 2 else abs(steps_between(min(best), max(best), ladder))
    speeds = least_correlation([[1.0 / n if n else None for n in r["steps"]] for r in results])
    tests = least_correlation([r["tests"] for r in results])
    text = "Fig. 7: pictures have similar curves over alpha"
    return [
        Claim("Fig. 7: the best alpha hardly depends on the picture", "relatively constant",
              ", ".join(f"{b:g}" for b in best) or EMPTY, "<= 2 candidates apart",
              None if apart is None else apart <= 2, "some pictures differ by more"),
        Claim(f"{text}: speed", "quite similar", f"least correlation {figure(speeds, 3)}", f">= {ALIKE:g}",
              None if speeds is None else speeds >= ALIKE,
              "the curves of small pictures differ more"),
        Claim(f"{text}: test PSNR", "quite similar", f"least correlation {figure(tests, 3)}", f">= {ALIKE:g}",
              None if tests is None else tests >= ALIKE),
    ]  # fmt: skip


def printed_claim(results: Sequence[Mapping[str, Any]], load: Mapping[str, int]) -> Claim:
    """Return the alpha of Table 2 beside the mean of the pictures' best ones."""
    best = mean(best_alphas(results))
    return Claim(
        "Table 2: alpha of images",
        f"{PRINTED:g}",
        figure(best),
        f"+- {NEAR:g}",
        None if best is None else abs(best - PRINTED) <= NEAR,
        f"the paper's is for 512 x 512, width 512, depth 5; here {load['size']} x {load['size']}, width "
        f"{load['width']}, depth {load['depth']}, and half of the pixels of each axis held out",
    )


def least_correlation(curves: Sequence[Sequence[float | None]]) -> float | None:
    """Return the least of Pearson's correlations between two curves, where both have points; None for fewer
    than two curves, or fewer than three common points of two.

    >>> round(least_correlation([[1.0, 2.0, 3.0, None], [2.0, 4.0, 6.0, 0.0]]), 6)
    1.0
    """
    found = []
    for first, second in combinations(curves, 2):
        pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
        if len(pairs) < 3:
            return None
        found.append(float(np.corrcoef(*np.asarray(pairs, dtype=np.float64).T)[0, 1]))
    return min(found, default=None)


def _axis_table(axis: str, found: Sequence[tuple[int, Outcome]]) -> Table:
    rows = [(f"{TITLES[axis]} {value}", *_cells(outcome)) for value, outcome in found]
    return Table(f"Fig. 6: best alpha against {TITLES[axis]}", _heads(TITLES[axis]), rows)


def _pictures_table(found: Sequence[Outcome]) -> Table:
    rows = [(outcome.row.facts["picture"], *_cells(outcome)) for outcome in found]
    return Table("Fig. 7: best alpha by picture", _heads("picture"), rows)


def _heads(what: str) -> tuple[str, ...]:
    return (what, "best alpha", "speed / SIREN's", "steps", "SIREN's steps", "test PSNR", "SIREN's")


def _cells(outcome: Outcome) -> tuple[str, ...]:
    r = outcome.result
    if r is None:
        return (outcome.why.partition(":")[0], *(EMPTY,) * 5)
    best, one = r["alphas"].index(r["best"]), r["alphas"].index(1.0)
    budget = outcome.row.facts["steps"]
    if best_alpha(r) is None:
        return ("none", EMPTY, EMPTY, f"> {budget}", EMPTY, figure(r["tests"][one]))
    steps = [f"> {budget}" if r["steps"][k] is None else figure(r["steps"][k], 0) for k in (best, one)]
    tests = [figure(r["tests"][k]) for k in (best, one)]
    return (f"{r['best']:g}", figure(r["speedup"]), *steps, *tests)
