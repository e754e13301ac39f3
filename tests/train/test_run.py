"""Run folders: what a fit leaves, what it refuses to overwrite, and how a run goes on."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import fastsnf
from fastsnf.errors import InputError, RunError
from fastsnf.train.checkpoint import FIELD_FILE
from fastsnf.train.lock import LOCK_FILE, locked
from fastsnf.train.run import CONFIG_FILE, METRICS_FILE, open_run, read_rows
from fastsnf.train.snapshot import MANIFEST
from tests.train.samples import BATCHES, fit_small, same_state, small_field, small_image


@pytest.fixture
def run(tmp_path):
    return tmp_path / "ä run" / "with 'quotes'"


def test_what_a_run_folder_holds(run):
    result = fit_small(run, record={"input": "photo.png"})
    assert result.run == str(run)
    names = {path.name for path in run.iterdir()}
    assert names == {FIELD_FILE, CONFIG_FILE, METRICS_FILE, LOCK_FILE, "reconstruction.png", "checkpoints"}
    assert read_rows(run) == result.history
    config = tomllib.loads((run / CONFIG_FILE).read_text())
    assert config["fit"]["steps"] == 40
    assert config["field"]["config"]["hidden_features"] == 16
    assert config["signal"]["kind"] == "image"
    assert config["command"] == {"input": "photo.png"}
    picture = np.asarray(PIL.Image.open(run / "reconstruction.png"), dtype=np.float64)
    scale = 255 if picture.max() < 256 else 65535
    expected = result.values.reshape(24, 20).clamp(0, 1).numpy()
    assert np.abs(picture / scale - expected).max() <= 0.51 / scale


def test_a_preview_writes_the_reconstruction(run):
    seen = []

    class Look(fastsnf.train.Callback):
        def on_preview(self, state):
            seen.append((run / "reconstruction.png").exists())

    fit_small(run, callbacks=[Look()], preview_every=1e-9, log_every=10)
    assert seen == [True] * 39


def test_a_folder_that_is_not_empty_is_refused(run):
    run.mkdir(parents=True)
    (run / "thesis.tex").write_text("ten years of work")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        fit_small(run)
    assert (run / "thesis.tex").read_text() == "ten years of work"
    assert {path.name for path in run.iterdir()} <= {"thesis.tex", LOCK_FILE}


def test_an_empty_folder_is_used(run):
    run.mkdir(parents=True)
    assert fit_small(run).steps == 40


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="got the file"):
        fit_small(tmp_path / "run")
    with pytest.raises(InputError, match="place that can be written"):
        fit_small(tmp_path / "run" / "inner")


def test_bad_settings_leave_no_folder(run):
    with pytest.raises(InputError):
        fit_small(run, precision="tf32")
    assert not run.exists()


def test_resume_needs_a_run(run):
    with pytest.raises(InputError, match="does not exist"):
        fit_small(run, resume=True)
    assert not run.exists()


def test_resuming_a_finished_run_changes_nothing(run):
    first = fit_small(run)
    again = fit_small(run, resume=True)
    assert again.summary() == first.summary()
    assert again.history == first.history
    assert same_state(again.field, first.field)


def test_a_constant_rate_goes_on_beyond_its_budget(run, tmp_path):
    options = {"schedule": "step:10:0.9"}
    fit_small(run, **options)
    resumed = fit_small(run, resume=True, **{**options, "steps": 80})
    straight = fit_small(tmp_path / "straight", **{**options, "steps": 80})
    assert same_state(resumed.field, straight.field)
    assert [row["step"] for row in resumed.history] == [row["step"] for row in straight.history]
    assert resumed.steps == 80


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 80},  # the cosine would end elsewhere
        {"lr": 2e-3},
        {"seed": 1},
        {"batch_size": 100},
        {"optimizer": "sgd"},
        {"loss": "bce"},
        {"engine": "reference"},
        {"holdout": 2},
        {"schedule": "constant"},
    ],
    ids=str,
)
def test_resuming_with_other_settings_is_refused(options, run):
    fit_small(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != LOCK_FILE}
    [name] = options
    with pytest.raises(InputError, match=rf"{name}\b"):
        fit_small(run, resume=True, **options)
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != LOCK_FILE}
    assert after == before


def test_resuming_with_another_field_or_signal_is_refused(run):
    fit_small(run)
    with pytest.raises(InputError, match="field"):
        fastsnf.fit(small_field(hidden_features=17), small_image(), run=run, resume=True, **BATCHES)
    with pytest.raises(InputError, match="signal"):
        fastsnf.fit(small_field(), small_image((20, 24)), run=run, resume=True, **BATCHES)


def stopped(run, step):
    """Leave a run that died after `step`, as its files say it."""

    class Die(fastsnf.train.Callback):
        def on_log(self, row, state):
            if row["step"] == step:
                raise KeyError("died")

    with pytest.raises(KeyError, match="died"):
        fit_small(run, callbacks=[Die()], checkpoint_every=0.0, log_every=1)


def test_resume_falls_back_to_an_older_checkpoint(run):
    stopped(run, 20)
    newest = sorted((run / "checkpoints").glob("step-*"))[-1]
    damaged = bytearray(newest.read_bytes())
    damaged[-1] ^= 1
    newest.write_bytes(damaged)
    resumed = fit_small(run, resume=True, log_every=1)
    assert same_state(resumed.field, fit_small().field)
    assert [row["step"] for row in resumed.history] == list(range(1, 41))


def test_resume_without_an_undamaged_checkpoint_is_refused(run):
    stopped(run, 20)
    for path in (run / "checkpoints").glob("step-*"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="undamaged checkpoint"):
        fit_small(run, resume=True)


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"checkpoints": [{"file": "../x", "step": 1, "sha256": ""}]}']
)
def test_a_damaged_manifest_loses_nothing(text, run):
    stopped(run, 20)
    manifest = run / "checkpoints" / MANIFEST
    manifest.unlink() if text is None else manifest.write_text(text)
    resumed = fit_small(run, resume=True, log_every=1)
    assert same_state(resumed.field, fit_small().field)
    assert json.loads(manifest.read_text())["checkpoints"][0]["step"] == 40


def test_a_torn_last_row_is_dropped(run):
    stopped(run, 20)
    with (run / METRICS_FILE).open("a") as rows:
        rows.write('{"step": 20, "seco')
    resumed = fit_small(run, resume=True, log_every=1)
    assert read_rows(run) == resumed.history
    assert [row["step"] for row in resumed.history] == list(range(1, 41))


def test_unfinished_files_are_swept(run):
    stopped(run, 20)
    for folder in (run, run / "checkpoints"):
        (folder / ".field.safetensors.123.tmp").write_bytes(b"half")
    fit_small(run, resume=True, log_every=1)
    assert not list(run.rglob("*.tmp"))


def fail(number):
    def failing(*args):
        raise OSError(number, os.strerror(number))

    return failing


def test_a_full_disk_ends_the_fit_and_keeps_the_checkpoints(run, monkeypatch):
    class Fill(fastsnf.train.Callback):
        def on_log(self, row, state):
            if row["step"] == 20:
                monkeypatch.setattr(os, "fsync", fail(errno.ENOSPC))

    with pytest.raises(RunError, match="No space left on device"):
        fit_small(run, callbacks=[Fill()], checkpoint_every=0.0)
    monkeypatch.undo()
    assert same_state(fit_small(run, resume=True).field, fit_small().field)


def test_a_full_disk_at_a_row_of_metrics(run):
    with open_run(run, resume=False) as folder:
        folder._rows = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115  # the folder closes it
        with pytest.raises(RunError, match="No space left on device"):
            folder.log({"step": 1})


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_read_only_folder_is_refused(number, run, monkeypatch):
    run.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail(number))
        with pytest.raises(InputError, match="place that can be written"):
            fit_small(run)
    assert list(run.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(run):
    run.mkdir(parents=True)
    run.chmod(0o500)
    with pytest.raises(InputError, match="place that can be written"):
        fit_small(run)


@pytest.mark.skipif(
    not os.environ.get("FASTSNF_TEST_ALL") or os.geteuid() != 0, reason="mounts a small disk: root and --all"
)
def test_a_disk_that_is_really_full(tmp_path):
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=False
    ).returncode:
        pytest.skip("cannot mount here")
    try:
        with pytest.raises(RunError, match="No space left on device"):
            fit_small(tmp_path / "run", checkpoint_every=0.0)
        assert not list(tmp_path.rglob("*.tmp"))
        assert fastsnf.load(tmp_path / "run").in_features == 2
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_one_process_at_a_time(run):
    run.mkdir(parents=True)
    code = """
import pathlib, sys
from fastsnf.train.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"in use by process {other.pid} on"):
            fit_small(run)
        other.kill()
        other.wait()
    assert (run / LOCK_FILE).exists()
    assert fit_small(run).steps == 40, "the lock of a dead process does not count"


def test_a_lock_is_of_this_process_too(run):
    run.mkdir(parents=True)
    with locked(run), pytest.raises(InputError, match=f"process {os.getpid()}"):
        fit_small(run)


def test_the_random_state_of_a_loss_is_resumed(run):
    def noisy(out, target, weights):
        return (out - target - 0.1 * torch.randn_like(target)).square().mean()

    torch.manual_seed(5)
    straight = fit_small(loss=noisy)
    torch.manual_seed(5)

    class Die(fastsnf.train.Callback):
        def on_log(self, row, state):
            if row["step"] == 20:
                raise KeyError

    with pytest.raises(KeyError):
        fit_small(run, loss=noisy, callbacks=[Die()], checkpoint_every=0.0)
    torch.manual_seed(6)
    assert same_state(fit_small(run, loss=noisy, resume=True).field, straight.field)
