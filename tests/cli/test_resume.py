"""``--resume``: a run goes on as if it had never stopped; what contradicts or damages it is refused."""

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import finish, spawn

SMALL = ("--hidden-features", 8, "--hidden-layers", 1, "--batch-size", 50)

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    rows, columns = np.mgrid[:16, :16]
    Image.fromarray((rows * columns).astype(np.uint8)).save(path)
    return path


def weights(run):
    import fastsnf

    return fastsnf.load(run).state_dict()


def same(first, second) -> bool:
    import torch

    return all(torch.equal(first[name], second[name]) for name in {*first, *second})


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_resumed_run_is_the_uninterrupted_one(
    command, photo, tmp_path, number, status
):
    import torch

    torch.set_num_threads(1)  # as in the spawned process: sums depend on the number of threads
    process = spawn(
        *("fit", photo, *SMALL, "--steps", 10**9, "--schedule", "constant", "--out", "run", "--json"),
        cwd=tmp_path,
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    done = finish(process)
    assert done.status == status
    assert "Traceback" not in done.err
    last = done.err.splitlines()[-1]
    assert last.startswith("fastsnf: stopped by ")
    assert last.endswith("fastsnf fit --resume --out run")
    assert done.out == ""
    step = int(last.split("step ")[1].split()[0])

    shutil.copytree("run", "copy")
    assert command("fit", "--resume", "--out", "run", "--steps", step + 20, "--no-progress").status == 0
    whole = ("fit", photo, *SMALL, "--schedule", "constant", "--steps", step + 20, "--out", "straight")
    assert command(*whole, "--no-progress").status == 0
    assert same(weights("run"), weights("straight"))
    assert not same(weights("run"), weights("copy"))


@pytest.fixture
def run(command, photo) -> Path:
    """A finished run of 6 steps in the folder "run"."""
    assert command("fit", photo, *SMALL, "--steps", 6, "--schedule", "constant", "--out", "run").status == 0
    return Path("run")


@pytest.mark.parametrize(
    "args",
    [
        ("--out", "run"),
        ("run",),
        ("photo.png", "--out", "run"),
        ("run", "--steps", 6, "--hidden-features", 8),
    ],
)
def test_a_finished_run_resumes_to_itself(command, run, args):
    before = weights(run)
    done = command("fit", "--resume", *args, "--json")
    assert done.status == 0
    assert json.loads(done.out)["steps"] == 6
    assert same(before, weights(run))


def test_the_newest_run_of_a_name_is_resumed(command, photo):
    for _ in range(2):
        assert command("fit", photo, *SMALL, "--steps", 2, "--schedule", "constant").status == 0
    done = command("fit", photo, "--resume", "--steps", 3, "--json")
    assert json.loads(done.out)["run"] == "runs/photo-2"
    assert json.loads(done.out)["steps"] == 3


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "--hidden-features", 9], "expected --hidden-features 8, as the run in run has it; got 9"),
        (["run", "--batch-size", "full"], "expected --batch-size 50"),
        (["run", "--lr", 0.5], "lr"),
        (["run", "--activation", "relu"], "field"),
        (["run", "--seed", 3], "seed"),
        (["run", "--mode", "rgb"], "signal"),
        (["run", "--out", "run"], "expected one run folder to resume"),
        (["other.png", "--out", "run"], "signal"),
        (["absent"], "there is no runs/absent"),
        ([], "expected a run folder after --resume"),
        (["--out", "absent"], "without config.toml"),
    ],
)
def test_what_contradicts_the_run_is_refused_and_the_run_unchanged(command, run, args, said):
    Image.fromarray(np.full((16, 16), 200, dtype=np.uint8)).save("other.png")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    done = command("fit", "--resume", *args)
    assert done.status == 2
    assert said in done.line()
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[command",
        "[command]\n",
        "[command]\narguments = 3\n",
        '[command]\narguments = ["--stpes=3"]\n',
        "\x00",
    ],
)
def test_a_damaged_configuration_is_refused(command, run, content):
    (run / "config.toml").write_text(content)
    done = command("fit", "--resume", run)
    assert done.status == 2
    assert "config.toml" in done.line()


def damage(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 4
    path.write_bytes(data)


def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_none_to_an_error(command, run):
    checkpoints = sorted((run / "checkpoints").glob("step-*.safetensors"))
    assert len(checkpoints) == 2
    damage(checkpoints[-1], 0.9)
    before = weights(run)
    assert command("fit", "--resume", run).status == 0
    assert same(before, weights(run))
    for path in (run / "checkpoints").glob("step-*.safetensors"):
        damage(path, 0.9)
    done = command("fit", "--resume", run)
    assert done.status == 2
    assert "undamaged checkpoint" in done.line()


def test_a_run_killed_before_its_first_checkpoint_starts_again(command, run):
    before = weights(run)
    shutil.rmtree(run / "checkpoints")
    assert command("fit", "--resume", run).status == 0
    assert same(before, weights(run))


def test_a_warm_started_run_resumes_without_its_source(command, run, photo):
    assert (
        command("fit", photo, "--from", "run", "--steps", 3, "--schedule", "constant", "--out", "warm").status
        == 0
    )
    shutil.rmtree(run)
    done = command("fit", "--resume", "warm", "--steps", 5, "--json")
    assert done.status == 0
    assert json.loads(done.out)["steps"] == 5
