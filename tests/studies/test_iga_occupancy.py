"""IGA on occupancy grids: fields, settings and a tiny run beside the paper's figures."""

import numpy as np
import pytest

from fastsnf.studies import reproduce
from fastsnf.studies.files import NO_DATA
from fastsnf.studies.iga.config import MODELS, TRAININGS
from fastsnf.studies.iga.occupancy import SCENES, TABLE_9, config_of, field_of, printed, title_of
from tests.studies.pieces import cells

TINY = {
    "hidden_features": 8,
    "hidden_layers": 1,
    "epochs": 2.0,
    "group": 4,
    "groups": 20,
    "device": "cpu",
}
TABLE_2 = {"relu": (0.9647, 0.9654, 0.9542, 0.9733), "pe": (0.9942, 0.9961, 0.9938, 0.9970)}
"""Means that the paper prints; SIREN's with BN is not the mean of its scenes."""


def test_the_scenes_have_the_printed_means():
    for model, means in TABLE_2.items():
        for training, wanted in zip(("plain", "fr", "bn", "iga"), means, strict=True):
            assert np.mean(TABLE_9[model][training]) == pytest.approx(wanted, abs=6e-5)
    assert printed("siren", "iga", "thai_statue_512") == TABLE_9["siren"]["iga"][SCENES.index("thai")]
    assert printed("siren", "iga", "teapot") is None


def test_a_run_and_one_without_data(undrawn, tmp_path):
    bare = reproduce("iga-occupancy", out=tmp_path / "bare", **TINY)
    assert {outcome.why for outcome in bare.outcomes} == {NO_DATA}
    grid = np.zeros((9, 10, 11), dtype=bool)
    grid[1:8, 1:9, 1:10] = True
    np.save(tmp_path / "bun.npy", grid)
    report = reproduce("iga-occupancy", out=tmp_path / "run", data=str(tmp_path / "bun.npy"), **TINY)
    assert not report.failures, [outcome.failed for outcome in report.failures]
    titles = [title_of(model, training) for model in MODELS for training in TRAININGS]
    assert [row[0] for row in report.tables[0].rows] == titles
    for outcome in report.outcomes:
        facts = outcome.row.facts
        row = cells(report.tables[0], title_of(facts["model"], facts["training"]))
        assert float(row["bun"]) == pytest.approx(outcome.result["iou"], abs=6e-5)
        assert float(row["paper"]) == TABLE_9[facts["model"]][facts["training"]][SCENES.index("bun")]


def test_plain_trainings_take_the_same_groups_unadjusted():
    facts = {
        "epochs": 3.0, "lr": 5e-4, "end": 14, "group": 256, "groups": 512, "sample": "center", "refresh": 1,
        "seed": 0, "device": "cpu",
    }  # fmt: skip
    plain, adjusted = (config_of({**facts, "training": training}) for training in ("plain", "iga"))
    assert (plain.iga.start, plain.iga.end) == (0, 0)
    assert (adjusted.iga.end, adjusted.iga.group, adjusted.batch_size) == (14, "run:256", 131_072)
    assert config_of({**facts, "training": "bn"}).iga is None


def test_fields_start_alike_whatever_adjusts_them():
    facts = {"model": "pe", "hidden_features": 8, "hidden_layers": 1, "seed": 4}
    plain, adjusted = (field_of({**facts, "training": training}) for training in ("plain", "iga"))
    for a, b in zip(plain.parameters(), adjusted.parameters(), strict=True):
        assert a.equal(b)
    assert field_of({**facts, "training": "fr"}).name == "fr"
