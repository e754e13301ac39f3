"""Gaussian networks from each initializer: rows, the verdict, and a tiny run."""

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from fastsnf.studies import reproduce
from fastsnf.studies.nfsl.config import INITS
from fastsnf.studies.nfsl.initializers import field_of, verdict
from fastsnf.studies.pictures import NO_DATA
from fastsnf.studies.study import Outcome, Row

TINY = {"size": "12x12", "hidden_features": 8, "hidden_layers": 1, "steps": 4, "seeds": 2, "device": "cpu"}


def outcomes(**psnrs):
    return [
        Outcome(Row({"init": init.replace("_", "-")}, init), {"psnr": value}) for init, value in psnrs.items()
    ]


def test_the_verdict_says_by_how_much():
    names = ("nfsl-normal", "lecun-normal", "xavier-normal")
    won = verdict(outcomes(nfsl_normal=30.0, lecun_normal=27.0, xavier_normal=28.5), "normal", names)
    assert won == "normal: nfsl-normal is above all others, +1.50 dB from the best of them, xavier-normal."
    lost = verdict(outcomes(nfsl_normal=26.0, lecun_normal=27.0), "normal", names)
    assert (
        lost == "normal: nfsl-normal is not above all others, -1.00 dB from the best of them, lecun-normal."
    )
    assert "too few rows" in verdict(outcomes(lecun_normal=27.0), "normal", names)


def test_a_network_is_the_papers():
    facts = {"hidden_features": 64, "hidden_layers": 3, "sigma": 0.1, "init": "nfsl-normal", "seed": 1}
    field = field_of(facts)
    u = torch.linspace(-1, 1, 9)
    wanted = torch.exp(-(u**2) / (2 * 0.1**2))
    torch.testing.assert_close(torch.exp(-((field.hidden_activation.scale * u) ** 2)), wanted)
    assert all(not bias.any() for bias in field.layer_tensors()[1])
    assert len(field.linears()) == 5  # four hidden layers
    assert field.linears()[-1].weight.var().item() == pytest.approx(2 / 64**1.5, rel=0.3)


def test_a_run_and_one_without_data(undrawn, tmp_path):
    bare = reproduce("nfsl-images", out=tmp_path / "bare", **TINY)
    assert {outcome.why for outcome in bare.outcomes} == {NO_DATA}
    path = tmp_path / "noise.png"
    Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    report = reproduce("nfsl-images", out=tmp_path / "run", data=str(path), **TINY)
    assert not report.failures
    assert [row[0] for row in report.tables[0].rows] == list(INITS)
    assert {row[3] for row in report.tables[0].rows} == {"2"}
    by_hand = np.mean([o.result["psnr"] for o in report.outcomes if o.row.facts["init"] == "lecun-uniform"])
    shown = next(float(row[1]) for row in report.tables[0].rows if row[0] == "lecun-uniform")
    assert shown == pytest.approx(by_hand, abs=0.005)
    again = reproduce("nfsl-images", out=tmp_path / "run", data=str(path), **TINY)
    assert [o.result for o in again.outcomes] == [o.result for o in report.outcomes]
