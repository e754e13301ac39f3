"""`iga-image --rival fr,bn`: fields, settings and tables of IGA's rivals."""

from __future__ import annotations

import math

import pytest

from fastsnf.encodings import Positional
from fastsnf.errors import InputError
from fastsnf.nn import SNF, FourierReparameterized, NormalizedField
from fastsnf.spec import ReLU, Sine
from fastsnf.studies import reproduce
from fastsnf.studies.iga.config import ImageSettings
from fastsnf.studies.iga.fits import field_of
from fastsnf.studies.registry import study_of
from tests.studies.pieces import cells, noise_pictures

SMALL = {"steps": 3, "hidden_features": 8, "hidden_layers": 1, "device": "cpu", "group": 8}


@pytest.fixture
def picture(tmp_path):
    """A small picture, named as Kodak's first."""
    return str(noise_pictures(tmp_path, (24, 32)) / "kodim01.png")


def facts_of(**settings):
    """Return the facts of all rows by model and training."""
    study = study_of("iga-image")(ImageSettings(device="cpu", **settings), None)
    return {(r.facts["model"], r.facts.get("rival") or r.facts["group"]): r.facts for r in study.rows()[:24]}


def test_rows_and_tables_with_rivals(picture, tmp_path):
    out = tmp_path / "out"
    plain = reproduce("iga-image", out=out, data=picture, models=("relu",), **SMALL)
    assert [row[0] for row in plain.tables[0].rows] == ["ReLU", "ReLU+IGA"]
    kept = []
    report = reproduce(
        "iga-image", out=out, data=picture, models=("relu",), rival=("fr", "bn"),
        watch=lambda *told: kept.append(told[3]), **SMALL,
    )  # fmt: skip
    assert sum(kept) == 2  # the rows that were there are kept
    means, gains, single = report.tables
    names = ["ReLU", "ReLU+FR", "ReLU+BN", "ReLU+IGA"]
    assert [row[0] for row in means.rows] == names
    assert [row[0] for row in gains.rows] == names[1:]
    assert all(outcome.result is not None for outcome in report.outcomes)
    by_rival = {
        (o.row.facts["model"], o.row.facts.get("rival")): o
        for o in report.outcomes
        if not o.row.facts["group"]
    }
    gain = by_rival["relu", "fr"].result["psnr"] - by_rival["relu", None].result["psnr"]
    assert cells(gains, "ReLU+FR")["gain"] == f"{gain:+.2f}"
    assert cells(gains, "ReLU+FR")["paper"] == f"{19.96 - 19.78:+.2f}"
    assert cells(gains, "ReLU+FR")["paper's ratio"] == "-"
    row = cells(single, "kodim01 ReLU")
    assert list(row)[1:] == ["plain", "FR", "BN", "IGA", "paper plain", "paper FR", "paper BN", "paper IGA"]
    assert (row["paper FR"], row["paper BN"]) == ("19.96", "20.21")
    assert row["BN"] == f"{by_rival['relu', 'bn'].result['psnr']:.2f}"
    notes = " ".join(means.notes)
    assert "ReLU+FR 0.005" in notes
    assert "SIREN 0.004, ReLU 0.001, PE 0.05" in notes
    assert report.pictures[0].read_bytes().startswith(b"\x89PNG")


def test_settings_are_those_of_the_released_scripts():
    facts = facts_of(rival=("fr", "bn"))
    assert len(facts) == 12
    rates = {key: found["lr"] for key, found in facts.items()}
    assert rates == {
        ("siren", None): 1e-3, ("siren", "fr"): 1e-3, ("siren", "bn"): 1e-3, ("siren", 32): 1e-3,
        ("relu", None): 1e-3, ("relu", "fr"): 5e-3, ("relu", "bn"): 1e-3, ("relu", 32): 5e-3,
        ("pe", None): 1e-3, ("pe", "fr"): 1e-3, ("pe", "bn"): 3e-3, ("pe", 32): 5e-3,
    }  # fmt: skip
    assert {m: facts[m, "fr"]["factor"] for m in ("siren", "relu", "pe")} == {
        "siren": 0.004,
        "relu": 0.001,
        "pe": 0.05,
    }
    assert {m: facts[m, "bn"]["order"] for m in ("siren", "relu", "pe")} == {
        "siren": "before",
        "relu": "after",
        "pe": "before",
    }
    assert "rival" not in facts["siren", None]  # rows of earlier runs keep their facts
    assert facts_of(same_lr=True)["relu", 32]["lr"] == 1e-3
    assert facts_of(same_lr=True, rival=("fr",))["relu", "fr"]["lr"] == 5e-3


@pytest.mark.parametrize("model", ["siren", "relu", "pe"])
def test_fields_of_the_rows(model):
    facts = facts_of(rival=("fr", "bn"))
    plain, fr, bn = (field_of(facts[model, training]) for training in (None, "fr", "bn"))
    assert (type(plain), type(fr), type(bn)) == (SNF, FourierReparameterized, NormalizedField)
    activation = Sine(30.0) if model == "siren" else ReLU()
    for field in (plain, fr, bn):
        encoding = field.config()["encoding"]
        assert encoding == (Positional(6).to_dict() if model == "pe" else None)
        assert field.config()["activation"] == activation.to_dict()
        linears = field.linears()
        assert [one.out_features for one in linears] == [256, 256, 256, 3]  # four layers, 256 wide
        assert linears[0].in_features == (26 if model == "pe" else 2)
        bound = math.sqrt(6 / 256) / (30.0 if model == "siren" else 1.0)
        largest = float(linears[-1].weight.detach().abs().max())
        assert 0.97 * bound < largest <= bound
    numbers = fr.config()
    assert (numbers["low"], numbers["high"], numbers["phases"]) == (128, 128, 32)
    assert numbers["factor"] == facts[model, "fr"]["factor"]
    assert bn.config()["order"] == facts[model, "bn"]["order"]


def test_rivals_that_do_not_exist():
    with pytest.raises(InputError, match="rival"):
        ImageSettings(rival=("wn",))
    with pytest.raises(InputError, match="repetition"):
        ImageSettings(rival=("fr", "fr"))
    assert ImageSettings().rival is None
