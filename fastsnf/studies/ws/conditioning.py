"""Weight scaling, Fig. 5 and 10: conditioning of the eNTK and of the Hessian along training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

from fastsnf.analysis import HessianTrace, NtkTrace
from fastsnf.analysis.panels import Line, Lines, Panel, draw_panels
from fastsnf.studies.means import mean
from fastsnf.studies.progress import Told
from fastsnf.studies.study import Finished, Outcome, Row, finished, reasons, results
from fastsnf.studies.table import EMPTY, Table, figure
from fastsnf.studies.ws.claims import Claim, chain, claims_table, number
from fastsnf.studies.ws.config import NtkSettings
from fastsnf.studies.ws.fits import FREQUENCY, WEIGHTS, config_of, field_of, methods, name_of, shared_facts
from fastsnf.studies.ws.picture_study import PictureStudy
from fastsnf.studies.ws.sources import Source
from fastsnf.train import Callback, fit

PICTURE = "conditioning.png"
CURVE = tuple(10.0 ** (-k / 8.0) for k in range(33))
"""t at which the alignment E(t) is kept."""
SHOWN = (0.1, 0.01)
UNSTATED = "the course depends on the points and the steps, of which the paper states neither"


class Conditioning(PictureStudy[NtkSettings]):
    """Figures 5 and 10 of the paper."""

    name: ClassVar[str] = "ws-ntk"
    title: ClassVar[str] = "Weight scaling, Fig. 5 and 10: conditioning along training"

    def rows(self) -> list[Row]:
        """Return one row for each picture, initialization and seed."""
        s = self.settings
        measured = {name: getattr(s, name) for name in ("points", "hessian_points", "lanczos", "snapshots")}
        return [
            Row(
                {
                    "picture": source.name, "digest": source.digest, "method": method, "factor": factor,
                    "seed": seed, **measured, **shared_facts(s),
                },
                f"{source.name} {name_of(method, factor, s.omega)}, seed {seed}",
                source.missing,
            )
            for source in self.sources
            for method, factor in methods(s.alphas, s.tuned)
            for seed in range(s.seeds)
        ]  # fmt: skip

    def train(self, row: Row) -> dict[str, Any]:
        """Fit all pixels for all steps, measuring at the start and at `snapshots` steps."""
        facts = row.facts
        source = self.source_of(row)
        every = max(1, facts["steps"] // facts["snapshots"])
        ntk = NtkTrace(facts["points"], every=every)
        watchers: list[Callback] = [Told(self.progress), ntk]
        hessian = None
        if facts["hessian_points"]:
            hessian = HessianTrace(facts["hessian_points"], every=every, lanczos_steps=facts["lanczos"])
            watchers.append(hessian)
        config = config_of(facts, log_every=every)
        result = fit(field_of(facts), source.image(facts["size"]), config, callbacks=watchers)
        course = ntk.course
        return {
            "psnr": result.psnr,
            "steps": list(course.steps),
            "conditions": course.conditions.tolist(),
            "alignments": course.energies_at(CURVE).tolist(),
            "shown": course.energies_at(SHOWN).tolist(),
            "hessian": None if hessian is None else hessian.course.conditions.tolist(),
            "hessian_label": None if hessian is None else hessian.course.spectra[0].label,
        }

    def tables(self, outcomes: Sequence[Outcome]) -> list[Table]:
        """Return condition numbers and alignment at the first and the last step, and the paper's claims."""
        tables, claims = [], []
        for source in self.sources:
            tables.append(self._picture(outcomes, source))
            if source.missing is None:
                claims += self._claims(outcomes, source.name)
        return [*tables, claims_table(claims, reasons(outcomes), "Fig. 5 and 10: what the paper says")]

    def _picture(self, outcomes: Sequence[Outcome], source: Source) -> Table:
        s = self.settings
        rows, labels = [], set()
        for method, factor in methods(s.alphas, s.tuned):
            found = results(outcomes, picture=source.name, method=method, factor=factor)
            labels |= {r["hessian_label"] for r in found if r["hessian_label"]}
            cells = [number(mean_at(found, "conditions", k)) for k in (0, -1)]
            cells += [number(mean_at(found, "hessian", k)) for k in (0, -1)]
            for index in range(len(SHOWN)):
                cells += [figure(mean([r["shown"][k][index] for r in found]), 3) for k in (0, -1)]
            cells.append(figure(mean([r["psnr"] for r in found])))
            rows.append((name_of(method, factor, s.omega), *cells))
        if source.missing:
            rows = [("no data", *(EMPTY,) * (5 + 2 * len(SHOWN)))]
        aligned = [f"E({t:g}) {when}" for t in SHOWN for when in ("start", "end")]
        return Table(
            f"{source.name}, {s.size} x {s.size} gray, {s.steps} steps",
            ("training", "eNTK start", "eNTK end", "Hessian start", "Hessian end", *aligned, "PSNR"),
            rows,
            (
                f"Condition numbers: eNTK at {s.points} pixels, means of the 5 largest over the 5 smallest "
                f"eigenvalues; Hessian of the loss at {s.hessian_points} pixels, the 3 largest over the 3 "
                f"smallest in magnitude{''.join(f' ({label})' for label in sorted(labels))}.",
            ),
        )

    def _claims(self, outcomes: Sequence[Outcome], picture: str) -> list[Claim]:
        s = self.settings
        best = max(s.alphas)
        siren = results(outcomes, picture=picture, method=WEIGHTS, factor=1.0)
        scaled = results(outcomes, picture=picture, method=WEIGHTS, factor=best) if best > 1.0 else []
        tuned = [results(outcomes, picture=picture, method=FREQUENCY, factor=w) for w in s.tuned]
        return conditioning_claims(siren, scaled, [found for found in tuned if found], best)

    def draw(self, outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
        """Draw Fig. 5a, Fig. 5b at the first and the last step, and Fig. 10."""
        grid: list[list[Panel]] = []
        for source in self.sources:
            found = finished(outcomes, picture=source.name, seed=0)
            if found:
                grid.append(
                    [
                        Lines("Fig. 5a: eNTK", _curves(found, "conditions"), "step", "condition", log=True),
                        *(_alignment(found, k, when) for k, when in ((0, "start"), (-1, "end"))),
                        Lines("Fig. 10: Hessian", _curves(found, "hessian"), "step", "condition", log=True),
                    ]
                )
        draw_panels(grid, folder / PICTURE, title=self.title)
        return [folder / PICTURE]


Results = Sequence[Mapping[str, Any]]


def conditioning_claims(
    siren: Results, scaled: Results, tuned: Sequence[Results], alpha: float
) -> list[Claim]:
    """Return the claims of Fig. 5 and 10 from the results of SIREN, weight scaling and frequency tuning."""
    ends = {key: (mean_at(siren, key, -1), mean_at(scaled, key, -1)) for key in ("conditions", "hessian")}
    starts = mean_at(siren, "conditions", 0), mean_at(scaled, "conditions", 0)
    rivals = [value for value in (mean_at(found, "conditions", -1) for found in tuned) if value is not None]
    name = f"alpha {alpha:g}"

    def against(pair: tuple[float | None, float | None]) -> str:
        return f"{number(pair[1])} against {number(pair[0])}"

    def below(pair: tuple[float | None, float | None]) -> bool | None:
        return None if pair[0] is None or pair[1] is None else pair[1] < pair[0]

    end = ends["conditions"]
    aligned = [
        [fmean(r["shown"][k][-1] for r in found) for k in (0, -1)] for found in (siren, scaled) if found
    ]
    return [
        Claim(f"Fig. 5a: {name} starts from a smaller eNTK condition number than SIREN", "much smaller",
              against(starts), "smaller", below(starts)),
        Claim("Fig. 5a: and ends with a smaller one after training", "smaller", against(end), "smaller",
              below(end)),
        Claim("Fig. 5a: SIREN's grows along training", "grows", f"{number(starts[0])} -> {number(end[0])}",
              "larger", None if starts[0] is None or end[0] is None else end[0] > starts[0], UNSTATED),
        Claim(f"Fig. 5a: {name}'s shrinks along training", "even smaller",
              f"{number(starts[1])} -> {number(end[1])}", "smaller",
              None if starts[1] is None or end[1] is None else end[1] < starts[1], UNSTATED),
        Claim(f"Fig. 5a: {name} ends below frequency tuning", "smaller",
              f"{number(end[1])} against {chain(rivals)}", "smaller than each",
              None if end[1] is None or not rivals else end[1] < min(rivals)),
        Claim(f"Fig. 5b: {name} is better aligned, E({SHOWN[-1]:g}) at start and end", "better",
              "; ".join(f"{start:.3f}, {end:.3f}" for start, end in aligned) or EMPTY, "not below SIREN's",
              None if len(aligned) < 2 else all(w >= v for v, w in zip(*aligned, strict=True))),
        Claim(f"Fig. 10: {name} ends with a smaller Hessian condition number", "lower",
              against(ends["hessian"]), "smaller", below(ends["hessian"])),
    ]  # fmt: skip


def mean_at(results: Results, key: str, index: int) -> float | None:
    """Return the geometric mean over the seeds of an entry of a positive course; None without rows.

    Infinity, which records hold as null, is infinity again: the condition number of a singular matrix.
    """
    found = [r[key][index] for r in results if r[key]]
    if not found:
        return None
    if any(value is None for value in found):
        return math.inf
    return math.exp(fmean(math.log(value) for value in found))


def _curves(found: Sequence[Finished], key: str) -> list[Line]:
    lines = []
    for outcome in found:
        facts, r = outcome.row.facts, outcome.result
        name = name_of(facts["method"], facts["factor"], facts["omega"])
        lines.append(Line.known(name, r["steps"] if r[key] else [], r[key] or []))
    return lines


def _alignment(found: Sequence[Finished], index: int, when: str) -> Lines:
    logs = [math.log10(t) for t in CURVE]
    lines = []
    for outcome in found:
        facts, r = outcome.row.facts, outcome.result
        name = name_of(facts["method"], facts["factor"], facts["omega"])
        lines.append(Line(name, logs, r["alignments"][index]))
    return Lines(f"Fig. 5b: alignment at the {when}", lines, "log10 t", "E(t)")
