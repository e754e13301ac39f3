"""What the paper says of initialized fields, with verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from fastsnf.studies.study import Outcome, results
from fastsnf.studies.table import EMPTY, Table, figure, small
from fastsnf.studies.ws.claims import Claim, chain, claims_table, rises
from fastsnf.studies.ws.config import InitSettings
from fastsnf.studies.ws.fits import FREQUENCY, WEIGHTS
from fastsnf.studies.ws.initial_tables import KS_SLACK, means, worst_ks
from fastsnf.studies.ws.measures import THRESHOLDS

FLAT = 0.5
"""dB by which a flat spectrum may seem to decay more than another one."""
ALIKE = 0.9
"""Least correlation of two pictures' log spectra that counts as "similar"."""


def claims(outcomes: Sequence[Outcome], s: InitSettings) -> Table:
    """Return what the paper says of these figures, with verdicts."""
    found = [_arcsine_claim(outcomes, s), _low_claim(outcomes, s), *_curve_claims(outcomes)]
    scaled = [alpha for alpha in sorted(s.alphas) if alpha >= 1.0]  # the figures have no smaller ones
    for kind, name in (("line", "Fig. 4"), ("plane", "Fig. 11")):
        values = [means(outcomes, "centroid", kind=kind, factor=alpha) for alpha in scaled]
        tails = [means(outcomes, "decay", kind=kind, factor=alpha) for alpha in scaled]
        up = [v for v in values if v is not None]
        slower = [v for v in tails if v is not None]
        found.append(
            Claim(f"{name}: the spectrum moves up with alpha", "rises", chain(up), "strictly", rises(up))
        )
        found.append(
            Claim(f"{name}: it decays less with alpha (dB)", "rises", chain(slower), f"{FLAT:g} dB",
                  rises(slower, FLAT))
        )  # fmt: skip
    found += [_alike_claim(outcomes), *_ntk_claims(outcomes, s), *_lemma_claims(outcomes)]
    return claims_table(found, title="What the paper says of initialization")


def _arcsine_claim(outcomes: Sequence[Outcome], s: InitSettings) -> Claim:
    kept = [a for a in sorted(s.alphas) if a >= 1.0]
    worst = [worst_ks(outcomes, "zero", a) for a in kept]
    there = [w for w in worst if w is not None]
    one = worst_ks(outcomes, "zero", 1.0)
    holds = None if one is None or len(there) < 2 else max(there) <= one + KS_SLACK
    return Claim(
        "Prop. 3.1: for alpha >= 1 activations are as near to arcsine as SIREN's",
        "approximately arcsine", f"KS {chain(there)}", f"KS(1) + {KS_SLACK:g}", holds,
    )  # fmt: skip


def _low_claim(outcomes: Sequence[Outcome], s: InitSettings) -> Claim:
    low = [a for a in sorted(s.alphas) if a < 0.5236]
    one = worst_ks(outcomes, "zero", 1.0)
    worst = [worst_ks(outcomes, "zero", a) for a in low]
    there = [w for w in worst if w is not None]
    holds = None if one is None or not there else min(there) > one
    return Claim(
        "App. A.2, case 1: for alpha < pi/6 they are not",
        "not arcsine",
        f"KS {chain(there)}",
        "> KS(1)",
        holds,
    )


def _curve_claims(outcomes: Sequence[Outcome]) -> list[Claim]:
    found = []
    for key, name in (("published", "the paper's approximation"), ("exact", "exact")):
        holds, here = None, EMPTY
        for result in results(outcomes, kind="curve"):
            curve = dict(zip(result["alphas"], result[key], strict=True))
            above = [curve[a] for a in curve if a >= 1.0]
            holds = max(above) <= curve[1.0] * (1.0 + 1e-9)
            here = f"{curve[1.0]:.4g} at 1, at most {max(above):.4g} above, {above[-1]:.2g} at the end"
        found.append(
            Claim(f"Fig. 9: the error for alpha >= 1 is no larger than at 1 ({name})", "no larger", here,
                  "none", holds)
        )  # fmt: skip
    return found


def _alike_claim(outcomes: Sequence[Outcome]) -> Claim:
    curves = [r["amplitudes"] for r in results(outcomes, kind="picture")]
    found = [correlation(a, b) for a, b in combinations(curves, 2) if len(a) == len(b)]
    return Claim(
        "Fig. 11: pictures have similar spectra",
        "similar",
        f"least correlation of log spectra {min(found):.3f}" if found else EMPTY,
        f">= {ALIKE:g}",
        min(found) >= ALIKE if found else None,
    )


def _ntk_claims(outcomes: Sequence[Outcome], s: InitSettings) -> list[Claim]:
    alphas = [a for a in sorted(s.alphas) if a >= 1.0]

    def of(key: str, method: str, factors: Sequence[float]) -> list[Any]:
        values = [means(outcomes, key, kind="ntk", method=method, factor=f) for f in factors]
        return [value for value in values if value is not None]

    scaled, tuned = of("condition", WEIGHTS, alphas), of("condition", FREQUENCY, sorted(s.tuned))
    aligned = [values[0] for values in of("alignment", WEIGHTS, alphas)]
    others = scaled[1:]
    return [
        Claim("Fig. 5a: the eNTK's condition number is smaller for every alpha > 1 than SIREN's",
              "much smaller", chain(scaled), "every one", max(others) < scaled[0] if others else None),
        Claim("Fig. 5a: weight scaling gets below frequency tuning", "smaller",
              f"{chain(scaled)}; first omega {chain(tuned)}", "least < least",
              min(others) < min(tuned) if others and tuned else None),
        Claim(f"Fig. 5b: errors lie in larger eigenvalues, E({THRESHOLDS[0]:g})", "better aligned",
              chain(aligned), "largest alpha above SIREN",
              aligned[-1] > aligned[0] if len(aligned) > 1 else None),
    ]  # fmt: skip


def _lemma_claims(outcomes: Sequence[Outcome]) -> list[Claim]:
    series = means(outcomes, "series", kind="lemmas")
    checked, hold = (means(outcomes, key, kind="lemmas") for key in ("checked", "hold"))
    return [
        Claim("Lemma 4.1, in App. B.1's form for any width: the Bessel series is the network", "equal",
              f"relative error {small(series)}", "1e-10", None if series is None else series < 1e-10),
        Claim("Lemma 4.2: J_(l+2) / J_l lies between its bounds", "for every weight in (-pi/2, pi/2)",
              f"{figure(hold, 0)} of {figure(checked, 0)} weights", "all",
              None if checked is None else hold == checked),
    ]  # fmt: skip


def correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Pearson's correlation of two spectra's logarithms.

    >>> round(correlation([1.0, 10.0, 100.0], [2.0, 20.0, 200.0]), 9)
    1.0
    """
    import numpy as np

    return float(np.corrcoef(np.log(np.asarray(first) + 1e-300), np.log(np.asarray(second) + 1e-300))[0, 1])
