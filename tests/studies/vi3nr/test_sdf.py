"""Signed distances from each initializer: a tiny run beside the paper's figures."""

import pytest

from fastsnf.studies import reproduce
from fastsnf.studies.files import NO_DATA
from fastsnf.studies.vi3nr.sdf import TABLE_6
from tests.studies.pieces import cells

TINY = {"hidden_features": 8, "layers": 2, "steps": 3, "sigma_a": (0.2,), "stds": (0.1,), "device": "cpu"}


def test_a_run_and_one_without_data(undrawn, tmp_path):
    bare = reproduce("vi3nr-sdf", out=tmp_path / "bare", **TINY)
    assert {outcome.why for outcome in bare.outcomes} == {NO_DATA}
    trimesh = pytest.importorskip("trimesh")
    trimesh.creation.icosphere(subdivisions=2).export(tmp_path / "ball.ply")
    data = str(tmp_path / "ball.ply")
    report = reproduce(
        "vi3nr-sdf", out=tmp_path / "run", data=data, points=400, resolution=8, batch=100, **TINY
    )
    assert not report.failures, [outcome.failed for outcome in report.failures]
    assert [row[0] for row in report.tables[0].rows] == list(TABLE_6)
    outcome = next(o for o in report.outcomes if o.row.facts["init"] == "siren")
    shown = cells(report.tables[0], "SIREN + SIREN init")
    assert float(shown["IoU"]) == pytest.approx(outcome.result["iou"], abs=6e-5)
    assert float(shown["paper"]) == 0.9791
    assert {"psnr", "mae"} <= set(outcome.result)
