"""``fastsnf fit`` in several processes: the first one prints and writes, all of them end together."""

from __future__ import annotations

import json
import socket
import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Outcome, finish, picture, spawn

KINDS = {"holes.npy": "occupancy", "photo.png": "image"}
SMALL = ("--hidden-features", 8, "--hidden-layers", 1)


def together(folder: Path, *args: object, size: int = 2) -> list[Outcome]:
    """Run the command in `size` processes, as torchrun starts them, and return their outcomes by rank."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    processes = [
        spawn(*args, cwd=folder, RANK=str(rank), LOCAL_RANK=str(rank), **shared) for rank in range(size)
    ]
    return [finish(process) for process in processes]


def test_the_first_process_prints_and_writes(tmp_path):
    picture(tmp_path / "photo.png", 16, 12)
    (tmp_path / "runs" / "photo").mkdir(parents=True)  # the first names the folder, for all
    first, second = together(tmp_path, "fit", "photo.png", *SMALL, "--steps", 3, "--json")
    assert (first.status, second.status) == (0, 0), first.err + second.err
    assert (second.out, second.err) == ("", "")
    assert json.loads(first.out)["run"] == "runs/photo-2"
    assert "native on 2 processes of cpu" in first.err or "reference on 2 processes of cpu" in first.err
    run = tmp_path / "runs" / "photo-2"
    assert {"field.safetensors", "curve.png", "report.html", "reconstruction.png"} <= {
        path.name for path in run.iterdir()
    }
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["photo", "photo-2"]
    assert "--steps=3" in tomllib.loads((run / "config.toml").read_text())["command"]["arguments"]


@pytest.mark.parametrize(("args", "status"), [(("--resume", "--out", "absent"), 2)])
def test_a_wrong_request_ends_all_of_them(tmp_path, args, status):
    outcomes = together(tmp_path, "fit", *args)
    assert [outcome.status for outcome in outcomes] == [status, status]
    assert "absent" in outcomes[0].line()
    assert outcomes[0].out == outcomes[1].out == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [(("holes.npy",), "got NaN or infinity"), (("photo.png", "--iga"), "got iga: fit in one process")],
)
def test_what_is_wrong_for_each_of_them_is_said_once(tmp_path, args, said):
    picture(tmp_path / "photo.png", 16, 12)
    np.save(tmp_path / "holes.npy", np.full((4, 4, 4), np.nan))
    first, second = together(tmp_path, "fit", *args, *SMALL, "--kind", KINDS[args[0]], "--steps", 3)
    assert (first.status, second.status) == (2, 2)
    assert said in first.line()
    assert (second.out, second.err) == ("", "")
