"""Sounds from each initializer: a tiny run beside the paper's figures."""

import numpy as np
import pytest
import torch

from fastsnf.signals import Audio
from fastsnf.spec import Sine
from fastsnf.studies import reproduce
from fastsnf.studies.files import NO_DATA
from fastsnf.studies.vi3nr.audio import TABLE_7, paper_figure
from fastsnf.studies.vi3nr.fits import Start, field_of
from tests.studies.pieces import cells

TINY = {
    "hidden_features": 8,
    "layers": 2,
    "steps": 3,
    "sigma_a": (0.05, 0.1),
    "stds": (0.1,),
    "device": "cpu",
}


def test_a_run_and_one_without_data(undrawn, tmp_path):
    bare = reproduce("vi3nr-audio", out=tmp_path / "bare", **TINY)
    assert {outcome.why for outcome in bare.outcomes} == {NO_DATA}
    samples = torch.from_numpy(np.random.default_rng(0).standard_normal(200).astype(np.float32))
    sound = Audio.from_array(samples, rate=100)
    sound.write(sound.values, (200,), tmp_path / "gt_bach.wav")
    data = str(tmp_path / "gt_bach.wav")
    report = reproduce("vi3nr-audio", out=tmp_path / "run", data=data, seconds=1.0, **TINY)
    assert not report.failures
    assert [row[0] for row in report.tables[0].rows] == list(TABLE_7)
    lines = {"gaussian": [o for o in report.outcomes if o.row.facts["init"] == "vi3nr"]}
    closed = [o for o in lines["gaussian"] if "method" not in o.row.facts["options"]]
    best = min(o.result["mse"] for o in closed)
    shown = cells(report.tables[0], "Gaussian + VI3NR")
    assert float(shown["gt_bach"]) == pytest.approx(1e3 * best, abs=6e-5)
    assert float(shown["paper"]) == 0.48


def test_the_stretch_of_time_is_in_the_first_weights():
    start = Start(Sine(30.0), "siren", 2, 8)
    facts = {**start.facts(), "seed": 0, "bias_init": "like-weights"}
    plain, stretched = field_of(facts, 1, 1), field_of({**facts, "stretch": 100.0}, 1, 1)
    t = torch.linspace(-0.01, 0.01, 7)[:, None]
    torch.testing.assert_close(stretched(t), plain(100.0 * t))
    assert "stretch" not in start.facts()  # the records of other studies stay what they are


def test_figures_are_told_by_the_files_name():
    assert paper_figure("SIREN + SIREN init", "gt_counting") == 0.37
    assert paper_figure("SIREN + SIREN init", "Two_Speakers_1") == 0.018
    assert paper_figure("SIREN + SIREN init", "whale") is None
