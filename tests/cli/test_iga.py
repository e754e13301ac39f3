"""``fastsnf fit --iga``: every option from the command line to the run folder, and what is refused."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.fit_summary import adjustment_lines
from fastsnf.cli.run_folder import arguments
from fastsnf.ntk import IGA
from tests.cli.conftest import picture

SMALL = ("--steps", 3, "--hidden-features", 8, "--hidden-layers", 1, "--out", "run")

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def photo(tmp_path) -> Path:
    """A picture of 18 x 14 pixels."""
    return picture(tmp_path / "photo.png", 14, 18)


def test_every_option_reaches_the_trainer(command, photo):
    chosen = {"start": 1, "end": 6, "target": 8, "form": "sgd", "sample": "random", "refresh": 2}
    options = [word for name, value in chosen.items() for word in (f"--iga-{name}", value)]
    done = command("fit", photo, *SMALL, "--json", "--iga", "--iga-group", "patch:4", *options, "--seed", 7)
    assert done.status == 0, done.err
    said = json.loads(done.out)["iga"]
    groups = {"group": "20 patches of 4 x 4", "groups": 20, "groups_per_step": 20}
    assert said == {**groups, **chosen, "failures": 0, "fallbacks": 0, "short": 0}
    header = next(line for line in done.err.splitlines() if line.startswith("iga "))
    assert header.split(maxsplit=1)[1] == (
        "20 patches of 4 x 4, lambda_1..5 -> lambda_8, random, every 2 steps"
    )
    table = tomllib.loads(Path("run/config.toml").read_text())["fit"]["iga"]
    assert table == {"group": "patch:4", **chosen, "seed": 7}


def test_defaults_are_those_of_the_settings(command, photo):
    done = command("fit", photo, *SMALL, "--iga", "--iga-group", 3, "--json")
    assert (
        json.loads(done.out)["iga"].items() >= {"end": 20, "sample": "argmax_lagged", "form": "adam"}.items()
    )
    assert "iga     30 patches of 3 x 3, lambda_0..19 -> lambda_20, argmax_lagged" in done.err
    shown = " ".join(command("fit", "--help").out.replace("│", " ").split())
    for option in ("group", "start", "end", "target", "form", "sample", "refresh"):
        assert f"--iga-{option}" in shown
    for default in (IGA.start, IGA.end, IGA.sample, IGA.refresh, f"{IGA.form}, by the optimizer"):
        assert f"(default: {default})" in shown


def test_mini_batches_and_gradient_descent(command, photo):
    args = ("--iga", "--iga-group", "patch:4", "--iga-end", 3, "--batch-size", 16 * 6, "--optimizer", "sgd")
    done = command("fit", photo, *SMALL, *args, "--json")
    said = json.loads(done.out)["iga"]
    assert (said["groups_per_step"], said["target"], said["form"]) == (6, 0, "sgd")
    assert "20 patches of 4 x 4, 6 a step, lambda_0..2 -> lambda_0, argmax_lagged" in done.err


def test_a_run_resumes_with_its_adjustment(command, photo):
    args = ("--iga", "--iga-group", "run:9", "--iga-end", 3, "--schedule", "constant")
    assert command("fit", photo, *SMALL, *args).status == 0
    done = command("fit", "--resume", "run", "--steps", 5, "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["iga"]["group"] == "28 runs of 9"
    for options, said in (
        (("--iga-end", 4), "expected --iga-end 3, as the run in run has it; got 4"),
        (("--iga-sample", "center"), "iga"),
    ):
        refused = command("fit", "--resume", "run", "--steps", 5, *options)
        assert refused.status == 2
        assert said in refused.line()


def test_a_plain_run_does_not_go_on_adjusted(command, photo):
    assert command("fit", photo, *SMALL, "--schedule", "constant").status == 0
    refused = command("fit", "--resume", "run", "--steps", 5, "--iga", "--iga-group", 4, "--iga-end", 2)
    assert refused.status == 2
    assert "iga: null" in refused.line()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--iga-end", 5], "expected --iga with --iga-end; got --iga-end alone"),
        (["--iga-group", "patch:4"], "expected --iga with --iga-group"),
        (["--iga", "--iga-group", "patch"], "patch:SIZE"),
        (["--iga", "--iga-group", "patch:0"], "at least 1"),
        (["--iga", "--iga-group", "pach:4"], "did you mean 'patch'"),
        (["--iga", "--iga-group", "cube:4"], "3 axes"),
        (["--iga", "--iga-group", "patch:15"], "15 x 15 in 14 x 18"),
        (["--iga"], "32 x 32 in 14 x 18"),
        (["--iga", "--iga-group", "ray:5"], "remainder"),
        (["--iga", "--iga-group", 4, "--iga-end", 20], "expected at least 21 groups"),
        (["--iga", "--iga-group", 4, "--iga-end", 2, "--iga-target", 20], "expected at least 21 groups"),
        (["--iga", "--iga-group", 4, "--iga-start", 3, "--iga-end", 2], "start <= end"),
        (["--iga", "--iga-group", 4, "--iga-end", -1], "--iga-end: expected a whole number"),
        (["--iga", "--iga-group", 4, "--iga-end", 5, "--batch-size", 80], "batch_size=80, 5 groups"),
        (["--iga", "--iga-group", 4, "--iga-end", 5, "--iga-refresh", 0], "at least 1"),
        (["--iga", "--iga-group", 4, "--iga-end", 2, "--iga-refresh", 2, "--batch-size", 80], "refresh=1"),
        (["--iga", "--iga-group", 4, "--iga-end", 5, "--iga-sample", "argmin"], "did you mean 'argmax'"),
        (["--iga", "--iga-group", 4, "--iga-end", 5, "--iga-form", "lion"], "auto, adam, sgd"),
        (["--iga", "--iga-group", 4, "--iga-end", 5, "--loss", "bce"], "expected the loss mse with iga"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_no_run_behind(command, photo, args, said):
    done = command("fit", photo, *SMALL, *args)
    assert done.status == 2
    assert said in done.line()
    assert not Path("run").exists()


def test_a_recorded_command_line_gives_the_options_again():
    from fastsnf.cli.parse import parse

    options = FitOptions(iga=True, iga_group="run:256", iga_start=0, iga_end=9, iga_sample="random_once")
    assert parse(FitOptions, arguments(options), prog="fastsnf fit") == options


def test_steps_without_an_adjustment_are_told():
    def lines(**counts):
        return adjustment_lines(SimpleNamespace(iga={"failures": 0, "short": 0, **counts}))

    assert adjustment_lines(SimpleNamespace(iga=None)) == lines() == []
    [line] = lines(failures=1200)
    assert line.split(maxsplit=1) == [
        "iga",
        "no adjustment in 1,200 steps, as the eigenvalue problem was not solved",
    ]
    assert "in 2 steps, as there were too few groups" in lines(short=2, failures=1)[0]
