"""Wavelet fields of an occupancy grid from each initializer: fields, settings, and a tiny run."""

import numpy as np
import pytest

from fastsnf.studies import reproduce
from fastsnf.studies.files import NO_DATA, solid
from fastsnf.studies.nfsl.config import INITS
from fastsnf.studies.nfsl.occupancy import PAPER, config_of, field_of
from tests.studies.pieces import cells

TINY = {"hidden_features": 8, "hidden_layers": 1, "passes": 2, "batch": 100, "device": "cpu"}


@pytest.fixture
def grid(tmp_path):
    """A block of ones in a grid of zeros, as an array in a file."""
    array = np.zeros((9, 10, 11), dtype=np.uint8)
    array[2:7, 3:8, 1:9] = 255
    np.save(tmp_path / "block.npy", array)
    return tmp_path / "block.npy"


def test_a_grid_is_cropped_as_in_wires_code(grid):
    signal = solid(grid, 512)
    assert signal.shape == (4, 4, 7)  # the last slice along each axis is lost
    assert signal.grid_of(signal.shape).columns == (1, 0, 2)


def test_fields_are_wires_with_biases_of_zero(grid):
    facts = {"omega": 10.0, "scale": 40.0, "hidden_features": 32, "hidden_layers": 2, "seed": 0}
    for init in INITS:
        field = field_of({**facts, "init": init}, solid(grid, 512))
        assert field.hidden_features == 22  # 32 / sqrt 2
        assert (field.hidden_activation.omega, field.hidden_activation.scale) == (10.0, 40.0)
        assert all(not bias.any() for bias in field.layer_tensors()[1])


def test_a_run_and_one_without_data(undrawn, tmp_path, grid):
    bare = reproduce("nfsl-occupancy", out=tmp_path / "bare", **TINY)
    assert {outcome.why for outcome in bare.outcomes} == {NO_DATA}
    report = reproduce("nfsl-occupancy", out=tmp_path / "run", data=str(grid), **TINY)
    assert not report.failures
    assert [row[0] for row in report.tables[0].rows] == list(INITS)
    for outcome in report.outcomes:
        init = outcome.row.facts["init"]
        row = next(row for row in report.tables[0].rows if row[0] == init)
        assert float(row[1]) == pytest.approx(outcome.result["psnr"], abs=0.006)
        assert float(row[3]) == pytest.approx(outcome.result["iou"], abs=6e-5)
        assert (float(row[2]), float(row[4])) == PAPER[init]
    assert cells(report.tables[0], "nfsl-normal")["fits"] == "1"


def test_a_fit_is_wires_loop():
    facts = {"passes": 7, "lr": 5e-3, "batch": 99, "seed": 2, "device": "cpu"}
    config = config_of(facts)
    assert (config.epochs, config.batch_size, config.lr, config.seed) == (7, 99, 5e-3, 2)
    assert config.schedule == "exponential:0.2"
