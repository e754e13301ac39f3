"""Tables 1 and 4: rows, fields of Table 2, verdicts, and a tiny run on each kind of signal."""

import numpy as np
import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.signals import Audio, Image
from fastsnf.studies import reproduce
from fastsnf.studies.files import NO_DATA
from fastsnf.studies.study import Outcome, Row
from fastsnf.studies.ws.config import Table1Settings
from fastsnf.studies.ws.published import METHODS, SIGNALS, STEPS, TABLE_1, TABLE_4
from fastsnf.studies.ws.table1 import FIELDS, config_of, field_of, verdict
from tests.studies.pieces import cells

TINY = {"hidden_features": 8, "hidden_layers": 1, "steps": 2, "seeds": 1, "device": "cpu"}


@pytest.fixture
def files(tmp_path):
    """One small file of each kind of signal."""
    rng = np.random.default_rng(0)
    picture = Image.from_array(torch.from_numpy(rng.random((12, 12)).astype(np.float32)))
    picture.write(picture.values, (12, 12), tmp_path / "a.png")
    sound = Audio.from_array(torch.from_numpy(rng.standard_normal(64).astype(np.float32)), rate=100)
    sound.write(sound.values, (64,), tmp_path / "a.wav")
    grid = np.zeros((9, 10, 11), dtype=np.uint8)
    grid[2:7, 3:8, 1:9] = 1
    np.save(tmp_path / "a.npy", grid)
    latitudes, longitudes = np.linspace(90, -90, 7), np.arange(12) * 30.0
    field = rng.random((7, 12)).astype(np.float32)
    np.savez(tmp_path / "a.npz", t2m=field, lat=latitudes, lon=longitudes)
    return {"image": "a.png", "audio": "a.wav", "occupancy": "a.npy", "sphere": "a.npz"}


def test_every_method_has_its_preset_and_printed_figures():
    assert set(FIELDS) == set(METHODS) == set(TABLE_1)
    assert set(TABLE_4) == set(METHODS) - {"mfn", "sinc"}
    for table in (TABLE_1, TABLE_4):
        assert all(set(printed) == set(SIGNALS) for printed in table.values())


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_tiny_run_on_each_kind(undrawn, tmp_path, files, signal):
    data = str(tmp_path / files[signal])
    report = reproduce("ws-table1", out=tmp_path / "run", data=data, signal=signal, size=12, **TINY)
    assert not report.failures
    assert [row[0] for row in report.tables[0].rows] == list(METHODS)
    metric = "iou" if signal == "occupancy" else "psnr"
    outcome = next(o for o in report.outcomes if o.row.facts["method"] == "weight-scaling")
    shown = cells(report.tables[0], "weight-scaling")
    assert float(shown["IoU" if metric == "iou" else "PSNR [dB]"]) == pytest.approx(
        outcome.result[metric], abs=0.006
    )
    assert float(shown["paper"]) == TABLE_1["weight-scaling"][signal]
    again = reproduce("ws-table1", out=tmp_path / "run", data=data, signal=signal, size=12, **TINY)
    assert [o.result for o in again.outcomes] == [o.result for o in report.outcomes]


def test_without_data_rows_say_so(undrawn, tmp_path):
    report = reproduce("ws-table1", out=tmp_path / "run", signal="audio", **TINY)
    assert {outcome.why for outcome in report.outcomes} == {NO_DATA}
    assert cells(report.tables[0], "siren")["paper"] == "37.37"


def test_long_runs_stand_beside_table_4(undrawn, tmp_path):
    report = reproduce("ws-table1", out=tmp_path / "run", signal="sphere", long=True, seeds=1)
    assert {outcome.row.facts["steps"] for outcome in report.outcomes} == {STEPS["sphere"][1]}
    assert cells(report.tables[0], "weight-scaling")["paper"] == "49.63"
    assert "Table 4" in report.tables[0].title


def test_fields_have_the_values_of_table_2():
    class Shape:
        in_features, out_features, shape, kind = 1, 1, (4096,), "audio"

    facts = {"hidden_features": 16, "hidden_layers": 2, "seed": 0, "alpha": 2.0}
    scaled = field_of({**facts, "method": "weight-scaling"}, Shape)
    siren = field_of({**facts, "method": "siren"}, Shape)
    assert [act.omega for act in scaled.spec.activations[:-1]] == [3000.0, 30.0, 30.0]
    ours, theirs = scaled.layer_tensors()[0], siren.layer_tensors()[0]
    torch.testing.assert_close(ours[1], 2.0 * theirs[1])
    torch.testing.assert_close(ours[-1], theirs[-1])
    assert field_of({**facts, "method": "gauss"}, Shape).hidden_activation.scale == 100.0
    nfsl = field_of({**facts, "method": "nfsl"}, Shape).layer_tensors()[0]
    torch.testing.assert_close(nfsl[-1] * 16**0.25, theirs[-1])


def test_occupancy_fits_are_wires_loop_and_the_others_take_all_points():
    facts = {"steps": 50, "lr": 5e-3, "seed": 3, "device": "cpu", "batch": 100_000}
    config = config_of({**facts, "signal": "occupancy"})
    assert (config.epochs, config.batch_size, config.schedule) == (50, 100_000, "exponential:0.2")
    config = config_of({**facts, "signal": "audio"})
    assert (config.steps, config.batch_size, config.schedule) == (50, "full", "constant")


def test_the_verdict_names_the_best_rival():
    def outcomes(**psnrs):
        return [
            Outcome(Row({"method": name.replace("_", "-")}, name), {"psnr": psnr, "iou": psnr})
            for name, psnr in psnrs.items()
        ]

    assert verdict(outcomes(weight_scaling=40.0, siren=30.0, wire=35.0), "psnr").startswith(
        "Weight scaling is above all others: +5.00 dB from the best of them, wire"
    )
    assert "not above all others: -0.1000" in verdict(outcomes(weight_scaling=0.8, siren=0.9), "iou")
    assert "too few" in verdict(outcomes(siren=30.0), "psnr")


def test_what_cannot_be_found_is_refused(tmp_path):
    with pytest.raises(InputError, match="check the path"):
        reproduce("ws-table1", out=tmp_path / "run", data=str(tmp_path / "none"))
    with pytest.raises(InputError, match="check the path"):
        reproduce("ws-table1", out=tmp_path / "run", data=str(tmp_path / "none.npz"), signal="sphere")
    with pytest.raises(InputError, match="files of kind audio"):
        reproduce("ws-table1", out=tmp_path / "run", data=str(tmp_path), signal="audio")
    with pytest.raises(InputError, match="signal"):
        Table1Settings(signal="smell")
