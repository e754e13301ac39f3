"""Weight scaling, Fig. 2: speed against what the field makes of pixels that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

from fastsnf.analysis.panels import Line, Lines, Panel, draw_panels
from fastsnf.studies.study import Outcome, Row, finished, reasons, results
from fastsnf.studies.table import EMPTY, Table, figure
from fastsnf.studies.ws.claims import Claim, chain, claims_table, rises
from fastsnf.studies.ws.config import TradeoffSettings
from fastsnf.studies.ws.fits import (
    FREQUENCY,
    WEIGHTS,
    config_of,
    course_of,
    field_of,
    fit_row,
    methods,
    name_of,
    shared_facts,
    steps_to_target,
)
from fastsnf.studies.ws.picture_study import PictureStudy
from fastsnf.studies.ws.sources import Source

PICTURE = "tradeoff.png"
PRINTED = 10.0
"""How many times faster the abstract says weight scaling is."""
SHARE = 0.95
"""Of SIREN's test PSNR that an admissible factor keeps (Eq. 10)."""
DIP = 0.05
"""Of the largest speed, by which a rise may dip: a step more or less where the PSNR swings."""
SLACK = 0.02
"""A test PSNR that rises by no more than this share does not break a fall: seeds differ by as much."""


@dataclass(frozen=True)
class Point:
    """The mean of a factor's fits over the seeds.

    Attributes:
        factor: of alpha or of the first omega. steps: to the target; None where a fit did not reach it.
        speedup: SIREN's steps over these; None where either is. psnr, psnr_test: at the end.
    """

    factor: float
    steps: float | None
    speedup: float | None
    psnr: float
    psnr_test: float


class Tradeoff(PictureStudy[TradeoffSettings]):
    """Figure 2 of the paper, on pictures."""

    name: ClassVar[str] = "ws-tradeoff"
    title: ClassVar[str] = "Weight scaling, Fig. 2: speed and generalization"

    def rows(self) -> list[Row]:
        """Return one row for each picture, factor and seed."""
        s = self.settings
        shared = shared_facts(s)
        rows = []
        for source in self.sources:
            for method, factor in methods(s.alphas, s.tuned):
                for seed in range(s.seeds):
                    facts = {
                        "picture": source.name,
                        "digest": source.digest,
                        "method": method,
                        "factor": factor,
                        "seed": seed,
                        **shared,
                    }
                    label = f"{source.name} {name_of(method, factor, s.omega)}, seed {seed}"
                    rows.append(Row(facts, label, source.missing))
        return rows

    def train(self, row: Row) -> dict[str, Any]:
        """Fit until the target or the last step."""
        facts = row.facts
        source = self.source_of(row)
        result = fit_row(
            facts,
            lambda: field_of(facts),
            source.image(facts["size"]),
            config_of(facts),
            self.folder,
            self.progress,
        )
        return course_of(result, facts["target"])

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return speed and test PSNR of each picture, and the paper's claims."""
        tables = [self._picture(outcomes, source) for source in self.sources]
        claims = [
            claim
            for source in self.sources
            if source.missing is None
            for claim in claims_of(
                points_of(outcomes, source.name, WEIGHTS), points_of(outcomes, source.name, FREQUENCY)
            )
        ]
        notes = (
            "Speed: SIREN's steps over others'; where SIREN does not reach the target, more --steps help.",
            f"Admissible: test PSNR of at least {SHARE:g} of SIREN's (Eq. 10).",
            *reasons(outcomes),
        )
        return [*tables, claims_table(claims, notes, "Fig. 2: what the paper says")]

    def _picture(self, outcomes: Sequence[Outcome], source: Source) -> Table:
        s = self.settings
        rows = []
        for method in (WEIGHTS, FREQUENCY):
            for point in points_of(outcomes, source.name, method):
                if method == FREQUENCY and point.factor == 1.0:
                    continue  # SIREN, which is there already
                rows.append(
                    (
                        name_of(method, point.factor, s.omega),
                        figure(point.steps, 0) if point.steps is not None else f"> {s.steps}",
                        figure(point.speedup),
                        figure(point.psnr),
                        figure(point.psnr_test),
                    )
                )
        if not rows:
            rows = [("no data" if source.missing else "no rows", *(EMPTY,) * 4)]
        return Table(
            f"{source.name}, {s.size} x {s.size} gray, trained on one pixel in {s.holdout} of both axes",
            ("training", f"steps to {s.target:g} dB", "speed / SIREN's", "PSNR", "test PSNR"),
            rows,
            (
                f"{s.hidden_layers + 2} linear layers of width {s.hidden_features}, Adam {s.lr:g}, "
                f"seeds: {s.seeds}. PSNR: of values in [0, 1], unclipped; test: of the pixels between the "
                "trained ones, at the end of the fit.",
            ),
        )

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw (a) speed and test PSNR against alpha, (b) one against the other, both methods."""
        grid: list[list[Panel]] = []
        for source in self.sources:
            found = {m: points_of(outcomes, source.name, m) for m in (WEIGHTS, FREQUENCY)}
            if not any(found.values()):
                continue
            there = {m: [p for p in points if p.speedup is not None] for m, points in found.items()}
            weights = there[WEIGHTS]
            speeds = Line("speed", [p.factor for p in weights], [p.speedup or 0.0 for p in weights])
            tests = Line("test", [p.factor for p in found[WEIGHTS]], [p.psnr_test for p in found[WEIGHTS]])
            pareto = [
                Line(method, [p.psnr_test for p in points], [p.speedup or 0.0 for p in points])
                for method, points in there.items()
            ]
            grid.append(
                [
                    Lines(f"{source.name}: speed", [speeds], "alpha", "speed / SIREN's"),
                    Lines("generalization", [tests], "alpha", "test PSNR (dB)"),
                    Lines("both", pareto, "test PSNR (dB)", "speed / SIREN's"),
                ]
            )
        draw_panels(grid, folder / PICTURE, title=self.title)
        return [folder / PICTURE]


def points_of(outcomes: Sequence[Outcome], picture: str, method: str) -> list[Point]:
    """Return the means of a picture's finished fits by factor, ascending; SIREN is the first of either."""
    kinds = {
        o.row.facts["factor"] for o in finished(outcomes, picture=picture, method=method)
    } | {1.0}  # fmt: skip
    siren = steps_to_target(results(outcomes, picture=picture, method=WEIGHTS, factor=1.0))
    points = []
    for factor in sorted(kinds):
        kind = WEIGHTS if factor == 1.0 else method
        found = results(outcomes, picture=picture, method=kind, factor=factor)
        if not found:
            continue
        steps = steps_to_target(found)
        points.append(
            Point(
                factor,
                steps,
                None if steps is None or siren is None else siren / steps,
                fmean(r["psnr"] for r in found),
                fmean(r["psnr_test"] for r in found),
            )
        )
    return points


def claims_of(weights: Sequence[Point], tuned: Sequence[Point]) -> list[Claim]:
    """Return the claims of Fig. 2 and the text around it, about the points of one picture."""
    siren = next((p for p in weights if p.factor == 1.0), None)
    up = [p for p in weights if p.factor >= 1.0]
    tests = [p.psnr_test for p in up]
    falls = None if len(tests) < 2 else all(b <= a + SLACK * a for a, b in pairwise(tests))
    speeds = [p.speedup for p in up if p.speedup is not None]
    peak = speeds.index(max(speeds)) if speeds else 0
    best, rival = _best(weights, siren), _best(tuned, siren)
    reached = siren is not None and siren.steps is not None
    faster = None if best is None or len(up) < 2 else best.factor > 1.0
    return [
        Claim(
            "abstract: a well-chosen alpha trains this many times faster",
            f"{PRINTED:g} x",
            f"{figure(None if best is None else best.speedup)} x at a like test PSNR, "
            f"{figure(max(speeds, default=None))} x at any",
            f">= {PRINTED / 2:g} x at a like one",
            None if best is None or best.speedup is None or len(speeds) < 2 else best.speedup >= PRINTED / 2,
            "the paper's pictures have 512 x 512 pixels and its fields width 512; smaller ones gain less",
        ),
        Claim(
            "some alpha > 1 is faster at a like test PSNR",
            "sweet spot",
            _said(best),
            "> 1 x",
            faster if reached else None,
            "no factor keeps the test PSNR and is faster",
        ),
        Claim(
            "speed rises with alpha, up to the fastest",
            "rises",
            chain(speeds),
            f"{DIP:.0%} down at most",
            rises(speeds[: peak + 1], DIP * max(speeds, default=0.0)) if peak else None,
            "it dips on the way up",
        ),
        Claim("test PSNR falls as alpha rises", "falls", chain(tests), f"{SLACK:.0%} up at most", falls,
              "it rises between two factors: fields of this size do not follow Fig. 2a everywhere"),
        Claim(
            "weight scaling is a better trade than frequency tuning",
            "faster",
            f"{_said(best)}; first omega {_said(rival)}",
            "at least as fast",
            None if best is None or rival is None or len(tuned) < 2 or best.speedup is None
            else best.factor != 1.0 and best.speedup >= (rival.speedup or 0.0),
            "the best admissible first omega is faster here" if rival is not None and rival.factor != 1.0
            else "no factor of either is faster at a like test PSNR",
        ),
    ]  # fmt: skip


def _best(points: Sequence[Point], siren: Point | None) -> Point | None:
    """Return the fastest point whose test PSNR keeps `SHARE` of SIREN's."""
    if siren is None:
        return None
    kept = [p for p in points if p.speedup is not None and p.psnr_test >= SHARE * siren.psnr_test]
    return max(kept, key=lambda p: p.speedup or 0.0, default=None)


def _said(point: Point | None) -> str:
    if point is None or point.speedup is None:
        return EMPTY
    return f"x {point.factor:g}: {point.speedup:.2f} x as fast, test {point.psnr_test:.2f} dB"
