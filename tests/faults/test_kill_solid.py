"""kill -9 while the bits of a grid are built or a fit of it runs; a disk that is full at the end of one."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

import fastsnf
from fastsnf.errors import InputError
from fastsnf.train.checkpoint import FIELD_FILE
from fastsnf.train.run import read_rows
from tests.cases import count
from tests.faults.solids import OPTIONS, fit_grid, fit_in_small_files, fit_process, write_grid
from tests.train.processes import join, start, wait_for
from tests.train.samples import same_state

pytest.importorskip("skimage")
pytest.importorskip("trimesh")


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("grid") / "grid.npy"
    write_grid(path)
    return path


@pytest.fixture(scope="module")
def uninterrupted(grid, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = fit_grid(grid, folder / "cache", folder / "run")
    assert result.left_out is None
    return result


@pytest.fixture(scope="module")
def seconds(grid, uninterrupted, tmp_path_factory) -> float:
    """How long a process takes from opening the grid to its end, on this machine, now."""
    folder = tmp_path_factory.mktemp("seconds")
    process = start(fit_process, grid, folder / "cache", folder / "run", folder / "marker")
    wait_for(folder / "marker", process)
    begun = time.monotonic()
    assert join(process) == 0
    return time.monotonic() - begun


def same_run(run: Path, result, expected) -> None:
    """Check that a run is the uninterrupted one: the same bits in field, metrics and mesh, and no rubbish."""
    assert same_state(result.field, expected.field)
    assert (result.psnr, result.iou) == (expected.psnr, expected.iou)
    other = Path(expected.run)
    assert [row["loss"] for row in read_rows(run)] == [row["loss"] for row in read_rows(other)]
    mesh = "reconstruction.ply"
    assert (run / mesh).read_bytes() == (other / mesh).read_bytes()
    assert same_state(fastsnf.load(run), fastsnf.load(other))
    assert not list(run.rglob("*.tmp"))


@pytest.mark.parametrize("trial", range(count(30)))
def test_kill_anywhere_in_a_build_or_a_fit(trial, grid, uninterrupted, seconds, tmp_path):
    run, cache, chance = tmp_path / "run", tmp_path / "cache", random.Random(trial)
    for kill in range(2):
        marker = tmp_path / f"marker{kill}"
        process = start(fit_process, grid, cache, run, marker)
        wait_for(marker, process)
        time.sleep(seconds * chance.random() / (1 + kill))
        process.kill()
        assert join(process) in (-signal.SIGKILL, 0)
    result = fit_grid(grid, cache, run)
    assert result.steps == OPTIONS["steps"]
    same_run(run, result, uninterrupted)
    assert not [path for path in cache.iterdir() if path.name.endswith(".tmp")]


def test_a_second_process_on_the_run_is_refused_with_the_owner_s_number(grid, tmp_path):
    run, cache, marker = tmp_path / "run", tmp_path / "cache", tmp_path / "marker"
    process = start(fit_process, grid, cache, run, marker)
    try:
        wait_for(run / "metrics.jsonl", process)
        os.kill(process.pid, signal.SIGSTOP)  # it shall not end meanwhile
        with pytest.raises(InputError, match=f"in use by process {process.pid} on "):
            fit_grid(grid, cache, run)
    finally:
        process.kill()
        join(process)


def test_a_reconstruction_that_the_disk_has_no_room_for(grid, uninterrupted, tmp_path):
    """The checkpoint is there, so that with more room the run ends as it would have."""
    run, cache, said = tmp_path / "run", tmp_path / "cache", tmp_path / "said"
    mesh = (Path(uninterrupted.run) / "reconstruction.ply").stat().st_size
    saved = max(path.stat().st_size for path in (Path(uninterrupted.run) / "checkpoints").iterdir())
    assert saved < mesh // 2, "the limit lies between"
    assert join(start(fit_in_small_files, grid, cache, run, mesh // 2, said)) == 0
    assert said.read_text().startswith("RunError: expected to write ")
    assert "File too large" in said.read_text()
    assert "free some space" in said.read_text()
    assert (run / FIELD_FILE).exists()
    assert not (run / "reconstruction.ply").exists()
    result = fit_grid(grid, cache, run)
    same_run(run, result, uninterrupted)
