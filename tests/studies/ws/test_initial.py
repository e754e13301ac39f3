"""`ws-init` at small sizes, and its measures against closed forms."""

import json
import math

import pytest
import torch

from fastsnf.studies import reproduce
from fastsnf.studies.study import Outcome, Row
from fastsnf.studies.ws.claims import COLUMNS
from fastsnf.studies.ws.config import InitSettings
from fastsnf.studies.ws.initial_claims import claims
from fastsnf.studies.ws.initial_tables import ARCSINE
from fastsnf.studies.ws.measures import activations, bias_bound, decay, expected_second, quantile

TINY = {
    "hidden_features": 24, "line_features": 16, "line_points": 512, "line_omega": 100.0, "size": 32,
    "bands": 16, "points": 64, "ntk_points": 32, "seeds": 1, "alphas": (0.25, 1.0, 2.37), "tuned": (2.0,),
}  # fmt: skip


def test_second_moments_are_those_of_sines_of_normal_numbers_and_uniform_biases():
    gen = torch.Generator().manual_seed(0)
    normal = torch.randn(400_000, generator=gen, dtype=torch.float64)
    bias = 1.3 * (2.0 * torch.rand(400_000, generator=gen, dtype=torch.float64) - 1.0)
    sampled = torch.sin(math.sqrt(2.0 * 0.5) * normal + bias).square().mean()
    assert expected_second(0.5, 2, 1.0, 1.3)[1] == pytest.approx(float(sampled), abs=3e-3)
    assert bias_bound(30.0, 100, "default") == pytest.approx(3.0)
    assert bias_bound(30.0, 100, "zero") == 0.0


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.37])
def test_a_wide_field_has_the_moments_of_an_infinite_one(alpha):
    facts = {
        "method": "alpha", "factor": alpha, "seed": 0, "omega": 30.0, "hidden_features": 512,
        "hidden_layers": 2, "bias": "zero", "points": 64,
    }  # fmt: skip
    found = activations(facts)
    wide = expected_second(found["second"][0], 3, alpha, 0.0)
    assert found["second"] == pytest.approx(wide, rel=0.08)
    assert found["deviation"][1] == pytest.approx(alpha * math.sqrt(2.0 * wide[0]), rel=0.08)
    assert found["normal"][1] < 0.03
    assert (found["ks"][1] < 0.03) == (alpha > 2.0)  # as near to arcsine as 512 units tell


def test_numbers_of_a_spectrum():
    assert quantile([1.0, 2.0, 3.0], [1.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], 0.5) == 1.0
    assert decay([10.0, 10.0, 1.0, 1.0]) == pytest.approx(-20.0)


def test_ws_init_end_to_end_without_data(tmp_path):
    report = reproduce("ws-init", out=tmp_path, **TINY)
    missing = [o for o in report.outcomes if o.result is None]
    assert [o.row.facts["picture"] for o in missing] == ["kodim01", "kodim02", "kodim03"]
    assert all("give --data PATH" in o.why for o in missing)
    *figures, claims = report.tables
    assert [table.title.partition(":")[0] for table in figures] == [
        "Prop. 3.1", "Fig. 9", "Fig. 4", "Fig. 11", "Fig. 11", "Fig. 5 at initialization",
    ]  # fmt: skip
    activation_rows = {row[0]: dict(zip(figures[0].columns, row, strict=True)) for row in figures[0].rows}
    assert activation_rows["alpha 1, biases zero"]["within"] == "no"
    assert "0.432, not 0.5" in activation_rows["alpha 1, biases zero"]["why not"]
    assert activation_rows["alpha 1, biases zero"]["paper"].startswith(f"{ARCSINE:.3f}")
    assert activation_rows["alpha 0.25, biases zero"]["as near as alpha 1"] == "no"
    verdicts = {row[0]: dict(zip(COLUMNS, row, strict=True))["holds"] for row in claims.rows}
    assert verdicts["Fig. 4: the spectrum moves up with alpha"] == "yes"
    assert verdicts["App. A.2, case 1: for alpha < pi/6 they are not"] == "yes"
    assert [value for text, value in verdicts.items() if text.startswith("Lemma")] == ["yes", "yes"]
    assert verdicts["Fig. 11: pictures have similar spectra"] == "open"
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in report.pictures)
    json.dumps(report.summary(), allow_nan=False)


def test_pictures_are_compared_where_there_are_two(undrawn, tmp_path, folder):
    report = reproduce("ws-init", out=tmp_path / "out", data=str(folder), **{**TINY, "alphas": (1.0, 2.0)})
    names = [o.row.facts["picture"] for o in report.outcomes if o.row.facts["kind"] == "picture"]
    assert names == ["kodim01", "kodim02"]
    row = next(row for row in report.tables[-1].rows if row[0] == "Fig. 11: pictures have similar spectra")
    assert row[4] == "yes"  # two sums of noise along both axes


def made_up(well: bool):
    """Return outcomes of every kind that agree with all of the paper's claims, or with none."""
    alphas = (0.25, 1.0, 2.0)
    rank = dict(zip(alphas, range(3), strict=True)) if well else dict(zip(alphas, (2, 1, 0), strict=True))
    rows = [
        (
            {"kind": "curve"},
            {key: [0.5, 0.1 if well else 0.9] for key in ("published", "exact")} | {"alphas": [1.0, 2.0]},
        ),
        ({"kind": "lemmas"}, {"series": 1e-14 if well else 1e-3, "checked": 8, "hold": 8 if well else 7}),
    ]
    for a in alphas:
        ks = {0.25: 0.4, 1.0: 0.1, 2.0: 0.1 if well else 0.2}[a] if a >= 1.0 or well else 0.05
        rows.append(({"kind": "activations", "bias": "zero", "factor": a}, {"ks": [0.0, ks]}))
        for kind in ("line", "plane"):
            rows.append(
                ({"kind": kind, "factor": a}, {"centroid": 10.0 * rank[a], "decay": 5.0 * rank[a] - 20.0})
            )
    condition = {1.0: 100.0, 2.0: 2.0 if well else 200.0}
    for a, value in condition.items():
        aligned = [0.4 + 0.1 * rank[a]] * 3
        rows.append(
            ({"kind": "ntk", "method": "alpha", "factor": a}, {"condition": value, "alignment": aligned})
        )
    tuned = {"kind": "ntk", "method": "first omega", "factor": 3.0}
    rows.append((tuned, {"condition": 50.0, "alignment": [0.5] * 3}))
    for curve in ([4.0, 2.0, 1.0], [8.0, 4.0, 2.0] if well else [1.0, 2.0, 8.0]):
        rows.append(({"kind": "picture"}, {"amplitudes": curve}))
    return [Outcome(Row({"seed": 0, **facts}, ""), result) for facts, result in rows]


@pytest.mark.parametrize(("well", "verdict"), [(True, "yes"), (False, "no")])
def test_every_verdict_can_be_either(well, verdict):
    table = claims(made_up(well), InitSettings(alphas=(0.25, 1.0, 2.0), tuned=(3.0,)))
    assert {row[0]: row[4] for row in table.rows} == {row[0]: verdict for row in table.rows}
    assert len(table.rows) == 14
    assert [claim[4] for claim in claims([], InitSettings()).rows] == ["open"] * 14
