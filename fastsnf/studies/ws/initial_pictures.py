"""The panels of `ws-init`'s picture."""

from __future__ import annotations

from collections.abc import Sequence

from fastsnf.analysis.panels import Line, Lines, Panel
from fastsnf.studies.study import Finished, Outcome, finished, results
from fastsnf.studies.ws.fits import name_of


def panels_of(outcomes: Sequence[Outcome]) -> list[list[Panel]]:
    """Return one row of panels on distributions and one on spectra, of the first seed."""
    kinds = {kind: finished(outcomes, kind=kind, seed=0) for kind in ("activations", "line", "plane", "ntk")}
    first: list[Panel] = []
    for r in results(outcomes, kind="curve"):
        curves = [
            Line(name, r["alphas"], r[key]) for key, name in (("published", "Eq. 24"), ("exact", "exact"))
        ]
        first.append(Lines("Fig. 9: distance to arcsine", curves, "alpha", "Eq. 27", log=True))
    for bias in ("zero", "default"):
        lines = []
        for outcome in kinds["activations"]:
            if outcome.row.facts["bias"] == bias:
                ks = outcome.result["ks"]
                name = f"alpha {outcome.row.facts['factor']:g}"
                lines.append(Line(name, list(range(1, len(ks) + 1)), ks))
        first.append(Lines(f"Prop. 3.1, biases {bias}", lines, "layer", "KS to arcsine"))
    second: list[Panel] = []
    for kind, title, unit in (
        ("line", "Fig. 4", "cycles over [-1, 1]"),
        ("plane", "Fig. 11", "frequency / highest"),
    ):
        found = [*kinds[kind], *(finished(outcomes, kind="picture") if kind == "plane" else [])]
        second.append(Lines(title, [_spectrum(outcome) for outcome in found], unit, "|F| / N", log=True))
    values = []
    for outcome in kinds["ntk"]:
        facts, r = outcome.row.facts, outcome.result
        n = len(r["values"])
        positive = [(k + 1, v / n) for k, v in enumerate(r["values"]) if v > 0]
        name = name_of(facts["method"], facts["factor"], facts["omega"])
        values.append(Line(name, [k for k, _ in positive], [v for _, v in positive]))
    second.append(Lines("Fig. 5: eNTK", values, "index", "eigenvalue / n", log=True))
    return [first, second]


def _spectrum(outcome: Finished) -> Line:
    facts, r = outcome.row.facts, outcome.result
    name = facts["picture"] if facts["kind"] == "picture" else f"alpha {facts['factor']:g}"
    return Line(name, r["frequencies"], r["amplitudes"])
