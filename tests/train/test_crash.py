"""kill -9: nothing that was saved is lost, and a resumed fit is bitwise the fit that was never stopped."""

from __future__ import annotations

import json
import random
import time

import pytest
import torch

import fastsnf
from fastsnf.train.checkpoint import FIELD_FILE
from fastsnf.train.run import read_rows
from fastsnf.train.snapshot import KEEP, MANIFEST
from tests.cases import count
from tests.train.processes import join, start, wait_for
from tests.train.samples import fit_process, fit_small, same_state, save_process

OPTIONS = {"steps": 100, "checkpoint_every": 0.0}


@pytest.fixture(scope="module")
def uninterrupted():
    return fit_small(**OPTIONS)


@pytest.mark.parametrize("trial", range(count(20)))
def test_kill_during_a_fit_then_resume(trial, uninterrupted, tmp_path):
    run, marker, chance = tmp_path / "run", tmp_path / "marker", random.Random(trial)
    process = start(fit_process, run, marker, OPTIONS)
    wait_for(marker, process)
    time.sleep(chance.uniform(0.0, 0.2))
    process.kill()
    assert join(process) in (-9, 0)
    result = fit_small(run, resume=True, **OPTIONS)
    assert result.steps == OPTIONS["steps"]
    assert same_state(result.field, uninterrupted.field)
    assert result.psnr == uninterrupted.psnr
    assert [row["step"] for row in read_rows(run)] == [row["step"] for row in uninterrupted.history]
    assert [row["loss"] for row in read_rows(run)] == [row["loss"] for row in uninterrupted.history]
    assert not list(run.rglob("*.tmp"))
    kept = {
        entry["file"] for entry in json.loads((run / "checkpoints" / MANIFEST).read_text())["checkpoints"]
    }
    assert {path.name for path in (run / "checkpoints").glob("step-*")} == kept
    assert len(kept) == KEEP


def test_several_kills_in_one_run(uninterrupted, tmp_path):
    run = tmp_path / "run"
    for kill in range(3):
        marker = tmp_path / f"marker{kill}"
        process = start(fit_process, run, marker, {**OPTIONS, "resume": kill > 0})
        wait_for(marker, process)
        process.kill()
        join(process)
    assert same_state(fit_small(run, resume=True, **OPTIONS).field, uninterrupted.field)


@pytest.mark.parametrize("trial", range(count(100)))
def test_kill_during_a_save_leaves_a_whole_file(trial, tmp_path):
    path, marker = tmp_path / FIELD_FILE, tmp_path / "marker"
    process = start(save_process, path, marker)
    wait_for(marker, process)
    time.sleep(random.Random(trial).uniform(0.0, 0.05))
    process.kill()
    assert join(process) == -9
    field = fastsnf.load(path)
    values = torch.cat([parameter.detach().flatten() for parameter in field.parameters()]).unique()
    assert len(values) == 1, "the file mixes two saves"
