"""The tables of `ws-init`: figures of initialized fields beside what the paper says of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from fastsnf.studies.study import Outcome, finished, reasons, results
from fastsnf.studies.table import EMPTY, Table, figure, small, yes_no
from fastsnf.studies.ws.claims import number
from fastsnf.studies.ws.config import InitSettings
from fastsnf.studies.ws.fits import methods, name_of
from fastsnf.studies.ws.measures import THRESHOLDS, bias_bound, expected_second

ARCSINE = 0.5
"""E h^2 of the arcsine distribution on (-1, 1)."""
TOLERANCE = 0.1
"""Of E h^2, as a share: what "approximately" may mean in Prop. 3.1; the paper prints none."""
KS_SLACK = 0.01
"""Between two KS distances, for the spread of a few seeds."""


def means(outcomes: Sequence[Outcome], key: str, **facts: Any) -> Any:
    """Return the mean of a figure over the seeds, entry by entry where it is a list; None without rows.

    Infinity, which records hold as null, is infinity again: the condition number of a singular matrix.
    """
    found = [result[key] for result in results(outcomes, **facts)]
    if not found:
        return None
    if any(value is None for value in found):
        return math.inf
    if isinstance(found[0], list):
        return [fmean(values) for values in zip(*found, strict=True)]
    return fmean(found)


def activations_table(outcomes: Sequence[Outcome], s: InitSettings) -> Table:
    """Return Prop. 3.1: E h^2 and KS distances, layer by layer from the second on."""
    return Table(
        "Prop. 3.1: are activations arcsine(-1, 1) from the second layer on?",
        ("initialization", "E h^2", "infinite width", "paper", "within", "std of omega u",
         "KS of u to normal", "KS of h to arcsine", "as near as alpha 1", "why not"),
        [_activations_row(outcomes, s, bias, alpha) for bias in ("zero", "default") for alpha in s.alphas],
        (
            f"{s.hidden_layers + 2} linear layers of width {s.hidden_features}, seeds: "
            f"{s.seeds}; means over them, least - most over the layers; KS: the worst layer's.",
            "The proposition has no biases; the paper's code has PyTorch's, uniform in +-"
            f"{bias_bound(s.omega, s.hidden_features, 'default'):.2f} after omega.",
            "infinite width: from the first layer's E h^2 on, with normal pre-activations.",
        ),
    )  # fmt: skip


def _activations_row(
    outcomes: Sequence[Outcome], s: InitSettings, bias: str, alpha: float
) -> tuple[str, ...]:
    name = f"alpha {alpha:g}, biases {bias}"
    facts = {"kind": "activations", "bias": bias, "factor": alpha}
    second = means(outcomes, "second", **facts)
    if second is None:
        return (name, *(EMPTY,) * 9)
    deviation, normal = means(outcomes, "deviation", **facts), means(outcomes, "normal", **facts)
    wide = expected_second(second[0], len(second), alpha, bias_bound(s.omega, s.hidden_features, bias))
    one, worst = worst_ks(outcomes, bias, 1.0), worst_ks(outcomes, bias, alpha)
    inside = max(abs(value - ARCSINE) for value in second[1:]) <= TOLERANCE * ARCSINE
    claimed = alpha >= 1.0
    return (
        name,
        _span(second[1:]),
        _span(wide[1:]),
        f"{ARCSINE:.3f} +- {TOLERANCE:.0%}" if claimed else EMPTY,
        yes_no(inside if claimed else None),
        _span(deviation[1:]),
        figure(max(normal[1:]), 3),
        figure(worst, 3),
        yes_no(None if one is None or worst is None else worst <= one + KS_SLACK),
        EMPTY
        if inside or not claimed
        else f"sin of N(0, 1) has 0.432, not 0.5, and {wide[-1]:.3f} after all layers",
    )


def curve_table(outcomes: Sequence[Outcome]) -> Table:
    """Return the curve of Eq. 27 at some alphas."""
    rows = []
    for result in results(outcomes, kind="curve"):
        for alpha, published, exact in zip(
            result["alphas"], result["published"], result["exact"], strict=True
        ):
            if alpha in (0.3, 0.5, 1.0, 1.5, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0):
                rows.append((f"{alpha:g}", figure(published, 4), small(exact)))
    return Table(
        "Fig. 9: integral of |CDF of sin N(0, alpha^2) - CDF of arcsine| (Eq. 27)",
        ("alpha", "the paper's approximation", "exact"),
        rows,
        (
            "The approximation is logistic and linear in arcsin y (Eq. 24), with beta = 0.851: the paper "
            "prints none.",
        ),
    )


def spectra_table(outcomes: Sequence[Outcome], s: InitSettings, kind: str) -> Table:
    """Return Fig. 4 (``line``) or Fig. 11 (``plane``): where the energy of initial functions lies."""
    rows = []
    for alpha in s.alphas:
        facts = {"kind": kind, "factor": alpha}
        digits = 1 if kind == "line" else 3
        values = [means(outcomes, key, **facts) for key in ("centroid", "below", "decay")]
        name = f"alpha {alpha:g}"
        rows.append((name, figure(values[0], digits), figure(values[1], digits), figure(values[2], 1)))
    if kind == "line":
        title = f"Fig. 4: spectrum on a line, {s.line_points:,} points, first omega {s.line_omega:g}"
        unit = "Frequencies in cycles over [-1, 1]"
    else:
        title = f"Fig. 11: spectrum of the initial picture, {s.size} x {s.size}, {s.bands} bands"
        unit = "Frequencies as a share of the highest"
    sound = " The paper draws the spectrum of a sound beside these." if kind == "line" else ""
    note = (
        f"{unit}; 95 % below: the frequency below which 95 % of the energy lies; high over low: amplitudes "
        f"of the upper half of the spectrum over those of its first eighth.{sound}"
    )
    return Table(
        title, ("initialization", "mean frequency", "95 % below", "high over low, dB"), rows, (note,)
    )


def pictures_table(outcomes: Sequence[Outcome]) -> Table:
    """Return Fig. 11's pictures."""
    rows = []
    for outcome in outcomes:
        if outcome.row.facts["kind"] == "picture":
            r = outcome.result
            cells = (
                ("no data",) * 3
                if r is None
                else (figure(r["centroid"], 3), figure(r["below"], 3), figure(r["decay"], 1))
            )
            rows.append((outcome.row.facts["picture"], *cells))
    return Table(
        "Fig. 11: spectra of pictures", ("picture", "mean frequency", "95 % below", "high over low, dB"),
        rows, reasons([o for o in outcomes if o.row.facts["kind"] == "picture"]),
    )  # fmt: skip


def ntk_table(outcomes: Sequence[Outcome], s: InitSettings) -> Table:
    """Return Fig. 5 before the first step."""
    rows = []
    for method, factor in methods([a for a in s.alphas if a >= 1.0], s.tuned):
        facts = {"kind": "ntk", "method": method, "factor": factor}
        aligned = means(outcomes, "alignment", **facts) or [None] * len(THRESHOLDS)
        rows.append(
            (
                name_of(method, factor, s.omega),
                number(means(outcomes, "condition", **facts)),
                *(figure(value, 3) for value in aligned),
            )
        )
    found = finished(outcomes, kind="ntk")
    where = found[0].row.facts["picture"] if found else "no picture"
    return Table(
        "Fig. 5 at initialization: eNTK condition number and alignment",
        ("initialization", "condition number", *(f"E({t:g})" for t in THRESHOLDS)),
        rows,
        (
            f"{s.ntk_points} points of {where}; mean of the 5 largest over that of the 5 smallest "
            "eigenvalues; E(t): the share of the errors in eigenvectors of at least t times the largest "
            "eigenvalue (Eq. 9).",
        ),
    )


def worst_ks(outcomes: Sequence[Outcome], bias: str, alpha: float) -> float | None:
    """Return the largest KS distance of the layers from the second on."""
    found = means(outcomes, "ks", kind="activations", bias=bias, factor=alpha)
    return None if not found or len(found) < 2 else max(found[1:])


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.3f} - {max(values):.3f}" if values else EMPTY
