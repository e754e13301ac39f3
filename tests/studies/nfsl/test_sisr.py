"""Super-resolution from each initializer: a tiny run, its figures, and sizes that do not divide."""

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from fastsnf.errors import InputError
from fastsnf.signals import Image
from fastsnf.studies import reproduce
from fastsnf.studies.nfsl.config import INITS, SisrSettings
from fastsnf.studies.nfsl.initializers import field_of
from fastsnf.studies.pictures import NO_DATA
from fastsnf.train import load
from fastsnf.train.metrics import psnr

TINY = {"size": "16x16", "hidden_features": 8, "steps": 3, "seeds": 1, "device": "cpu"}


def test_a_run_and_one_without_data(undrawn, tmp_path):
    bare = reproduce("nfsl-sisr", out=tmp_path / "bare", **TINY)
    assert {outcome.why for outcome in bare.outcomes} == {NO_DATA}
    path = tmp_path / "noise.png"
    Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    report = reproduce("nfsl-sisr", out=tmp_path / "run", data=str(path), **TINY)
    assert not report.failures
    assert [row[0] for row in report.tables[0].rows] == list(INITS)
    paper = {row[0]: row[4] for row in report.tables[0].rows}
    assert (paper["nfsl-normal"], paper["lecun-normal"]) == ("32 dB, 0.68", "-")
    # PSNR is that of the large picture, which the fit has not seen
    image, outcome = Image.open(path, mode="rgb"), report.outcomes[0]
    folder = next((tmp_path / "run" / "runs").glob(f"noise-{outcome.row.facts['init']}-*"))
    with torch.no_grad():
        values = load(folder)(image.coords)
    assert psnr(values, image.values) == pytest.approx(outcome.result["psnr"], abs=1e-3)
    averaged = values.reshape(4, 4, 4, 4, 3).mean(dim=(1, 3))
    small = image.values.reshape(4, 4, 4, 4, 3).mean(dim=(1, 3))
    before_the_last_step = outcome.result["train_psnr"]
    assert psnr(averaged.reshape(-1, 3), small.reshape(-1, 3)) == pytest.approx(before_the_last_step, abs=2.0)


def test_networks_have_two_hidden_layers():
    settings = SisrSettings()
    facts = {
        "hidden_features": 8,
        "hidden_layers": settings.hidden_layers,
        "sigma": 0.1,
        "init": "nfsl-normal",
    }
    assert len(field_of({**facts, "seed": 0}).linears()) == 3


def test_a_size_that_does_not_divide_is_refused():
    with pytest.raises(InputError, match="divisible"):
        SisrSettings(size="30x32")
