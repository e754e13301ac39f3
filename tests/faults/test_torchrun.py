"""``torchrun -m fastsnf fit``: the run of one process; one that is killed stops the others, and nothing is
lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import fastsnf
from fastsnf.cli.main import main
from fastsnf.train.run import read_rows
from fastsnf.train.snapshot import Snapshots
from tests.cases import count
from tests.train.gang import free_port
from tests.train.samples import small_image

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no distributed package"
)
pytest.importorskip("PIL")

STEPS = 150
TOLERANCE = 1e-4
DEADLINE = 120.0
OPTIONS = (
    *("--steps", str(STEPS), "--batch-size", "151", "--hidden-features", "16", "--hidden-layers", "1"),
    *("--lr", "1e-3", "--schedule", "constant", "--device", "cpu", "--no-progress"),
)


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "a.png"
    image = small_image((40, 32))
    image.write(image.values, image.shape, path)
    return path


def alone(*arguments: object) -> None:
    """Run a command in this process."""
    torch.set_num_threads(1)
    assert main([*map(str, arguments)]) == 0


def started(*arguments: object) -> subprocess.Popen[str]:
    """Run a command in two processes of torchrun's."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(free_port())]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "fastsnf", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return exit status, output and errors of a process that ends in time."""
    try:
        out, err = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.fixture(scope="module")
def single(picture, tmp_path_factory) -> Path:
    """The run of one process."""
    run = tmp_path_factory.mktemp("single") / "run"
    alone("fit", picture, *OPTIONS, "--out", run)
    return run


def same_field(a: Path, b: Path) -> None:
    first, second = (fastsnf.load(run).state_dict() for run in (a, b))
    for name, value in first.items():
        assert (second[name] - value).norm() <= TOLERANCE * value.norm(), name


def members(launcher: int) -> list[int]:
    """Return the processes that torchrun has started, by rank."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (path / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            continue
        if parent == launcher:
            ranks = [int(entry[5:]) for entry in variables if entry.startswith(b"RANK=")]
            found |= {rank: int(path.name) for rank in ranks}
    return [found[rank] for rank in sorted(found)]


def test_two_processes_write_the_run_of_one(picture, single, tmp_path):
    status, out, err = ended(started("fit", picture, *OPTIONS, "--out", tmp_path / "run"))
    assert status == 0, err
    same_field(single, tmp_path / "run")
    assert out.count("PSNR") == 1, "one of them prints"
    names = {path.name for path in single.iterdir()}
    assert {path.name for path in (tmp_path / "run").iterdir()} == names
    for row, other in zip(read_rows(single)[-1:], read_rows(tmp_path / "run")[-1:], strict=True):
        assert row["step"] == other["step"] == STEPS
        assert row["psnr"] == pytest.approx(other["psnr"], rel=1e-3)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the processes in /proc")
@pytest.mark.parametrize("trial", range(count(10)))
def test_a_killed_process_stops_the_others_and_the_run_goes_on_alone(trial, picture, single, tmp_path):
    run, chance = tmp_path / "run", random.Random(trial)
    steps = ["--steps", 10**7]  # of a constant rate: a run may go on with fewer
    process = started("fit", picture, *OPTIONS, *steps, "--out", run)
    end = time.monotonic() + DEADLINE
    while not (run / "metrics.jsonl").exists() or not read_rows(run):
        assert process.poll() is None, ended(process)
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(chance.uniform(0.0, 0.05))
    victims = members(process.pid)
    os.kill(victims[(trial + 1) % 2], signal.SIGKILL)
    killed = time.monotonic()
    status, _, err = ended(process)
    assert status == 1
    assert time.monotonic() - killed < 30
    lines = [line for line in err.splitlines() if line.startswith("fastsnf: ")]
    assert len(lines) == 1, err
    assert lines[0].startswith("fastsnf: expected all 2 processes; got: a process left (")
    assert lines[0].endswith("): start again with --resume")
    assert not any(Path(f"/proc/{pid}").exists() for pid in victims)
    saved = Snapshots(run).newest().step
    goal = saved + 50
    alone("fit", picture, "--resume", "--steps", goal, "--out", run)
    straight = tmp_path / "straight"
    alone("fit", picture, *OPTIONS, "--steps", goal, "--out", straight)
    same_field(straight, run)
    assert json.loads((run / "checkpoints" / "manifest.json").read_text())["checkpoints"][0]["step"] == goal
