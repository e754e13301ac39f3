"""`ws-tradeoff` and `ws-decouple` at small sizes."""

import pytest
import torch

import fastsnf
from fastsnf.studies import reproduce
from fastsnf.studies.study import Outcome, Row
from fastsnf.studies.ws.decouple import claims_of as decouple_claims
from fastsnf.studies.ws.decouple import field_for, optimizer_for
from fastsnf.studies.ws.fits import FREQUENCY, WEIGHTS, field_of
from fastsnf.studies.ws.sources import SYNTHETIC, sources
from fastsnf.studies.ws.tradeoff import Point, claims_of, points_of

SIREN = Point(1.0, 800.0, 1.0, 50.1, 20.0)


def test_verdicts_of_fig_2():
    weights = [SIREN, Point(1.5, 400.0, 2.0, 50.1, 19.8), Point(2.5, 100.0, 8.0, 50.1, 12.0)]
    tuned = [SIREN, Point(2.0, 500.0, 1.6, 50.1, 19.5)]
    assert [claim.holds for claim in claims_of(weights, tuned)] == [False, True, True, True, True]
    assert claims_of(weights, tuned)[0].here == "2.00 x at a like test PSNR, 8.00 x at any"
    fast = [SIREN, Point(1.5, 100.0, 8.0, 50.1, 19.8)]
    assert [claim.holds for claim in claims_of(fast, tuned)] == [True] * 5
    assert "x 1.5: 2.00 x as fast" in claims_of(weights, tuned)[1].here  # 2.5 loses too much test PSNR
    faster = [SIREN, Point(2.0, 300.0, 2.7, 50.1, 19.5)]
    assert claims_of(weights, faster)[4].holds is False
    rising = [SIREN, Point(1.5, 900.0, 0.9, 50.1, 21.0)]
    assert [claim.holds for claim in claims_of(rising, tuned)][:4] == [False, False, None, False]
    neither = claims_of(rising, [SIREN, Point(2.0, 700.0, 1.1, 50.1, 12.0)])[4]
    assert (neither.holds, neither.why) == (False, "no factor of either is faster at a like test PSNR")
    dipping = [SIREN, Point(1.5, 1000.0, 0.8, 50.1, 19.8), Point(2.0, 400.0, 2.0, 50.1, 19.6)]
    assert claims_of(dipping, tuned)[2].holds is False
    assert [claim.holds for claim in claims_of([], [])] == [None] * 5


def test_speed_is_that_of_all_seeds_and_none_where_one_did_not_arrive():
    def row(factor, seed, made, reached=True):
        facts = {"picture": "p", "method": WEIGHTS, "factor": factor, "seed": seed}
        result = {"made": made, "reached": reached, "psnr": 50.0, "psnr_test": 20.0 + seed}
        return Outcome(Row(facts, ""), result)

    found = [row(1.0, 0, 100), row(1.0, 1, 300), row(2.0, 0, 50), row(2.0, 1, 50), row(3.0, 0, 10, False)]
    one, two, three = points_of(found, "p", WEIGHTS)
    assert (one.steps, one.speedup, one.psnr_test) == (200.0, 1.0, 20.5)
    assert two.speedup == 4.0
    assert (three.steps, three.speedup) == (None, None)
    assert [point.factor for point in points_of(found, "p", FREQUENCY)] == [1.0]  # SIREN begins both


def test_tradeoff_end_to_end_and_again(tmp_path, tiny):
    options = {**tiny, "images": 1, "target": 18.0, "alphas": (1.0, 2.0), "tuned": (2.0,)}
    report = reproduce("ws-tradeoff", out=tmp_path, **options)
    assert [o.why.partition(":")[0] for o in report.outcomes] == ["no data"] * 3 + [""] * 3
    assert report.tables[0].rows[0][0] == "no data"
    assert [row[0] for row in report.tables[1].rows] == ["SIREN", "alpha 2", "first omega 60"]
    assert report.pictures[0].read_bytes().startswith(b"\x89PNG")
    seen = []
    again = reproduce("ws-tradeoff", out=tmp_path, watch=lambda *told: seen.append(told[3]), **options)
    assert seen == [False] * 3 + [True] * 3
    assert again.tables == report.tables

    # the row is the fit itself: Eq. 10's steps and the PSNR of the pixels between the trained ones
    facts = report.outcomes[3].row.facts
    fitted = fastsnf.fit(
        field_of(facts), sources(None, 1)[-1].image(16), steps=40, target_psnr=18.0, lr=1e-2, holdout=2,
        batch_size="full", schedule="constant", device="cpu",
    )  # fmt: skip
    result = report.outcomes[3].result
    assert (result["made"], result["psnr_test"]) == (fitted.steps, pytest.approx(fitted.psnr_holdout))


def test_decoupling_changes_weights_or_rates():
    facts = {
        "mode": "none", "alpha": 2.0, "power": 1.0, "lr": 1e-3, "omega": 30.0, "hidden_features": 4,
        "hidden_layers": 2, "seed": 0,
    }  # fmt: skip
    fields = {
        mode: field_for({**facts, "mode": mode}) for mode in ("none", "both", "weights-only", "rates-only")
    }
    first = {mode: field.linears()[0].weight for mode, field in fields.items()}
    assert torch.equal(first["none"], first["rates-only"])
    assert torch.equal(first["both"], first["weights-only"])
    torch.testing.assert_close(first["both"], 2.0 * first["none"])
    rates = {
        mode: [
            group["lr"] for group in optimizer_for(fields[mode], {**facts, "mode": mode})(None).param_groups
        ]
        for mode in ("weights-only", "rates-only")
    }
    # App. B.3 for L = 4 layers of which the last is not scaled: alpha^(L - 1 - k)
    assert rates["weights-only"] == pytest.approx([1e-3 / 4, 1e-3 / 2, 1e-3, 1e-3])
    assert rates["rates-only"] == pytest.approx([4e-3, 2e-3, 1e-3, 1e-3])


def test_verdicts_of_fig_3():
    def fit(steps, test):
        return {"steps": steps, "psnr": 50.0, "test": test}

    found = {"none": fit(800.0, 20.0), "weights-only": fit(200.0, 18.0), "rates-only": fit(600.0, 19.9)}
    assert [claim.holds for claim in decouple_claims(found)] == [True] * 3
    found["rates-only"] = fit(100.0, 10.0)
    assert [claim.holds for claim in decouple_claims(found)] == [False, True, False]
    found["rates-only"] = fit(None, 19.9)
    assert [claim.holds for claim in decouple_claims(found)] == [None, None, True]


def test_decouple_end_to_end(tmp_path, tiny, undrawn):
    options = {**tiny, "target": 60.0, "steps": 12, "snapshots": 4}
    report = reproduce("ws-decouple", out=tmp_path, **options)
    done = [o for o in report.outcomes if o.result is not None]
    assert {o.row.facts["picture"] for o in done} == {SYNTHETIC}
    assert all(o.result["steps"] == [3, 6, 9, 12] for o in done)
    psnrs = {o.row.facts["mode"]: o.result["psnrs"] for o in done}
    assert len(psnrs) == 4
    assert len({tuple(curve) for curve in psnrs.values()}) == 4  # four different trainings
