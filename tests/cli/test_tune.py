"""``fastsnf tune``. Oracle: `fastsnf.studies.tune.tune` with the same fields and settings."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from fastsnf.cli.fit_field import make_field
from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.fit_setup import open_signal
from fastsnf.signals import synthetic
from fastsnf.studies.tune import tune
from fastsnf.train import FitConfig

FIELD = ("--hidden-features", 24, "--hidden-layers", 2, "--first-omega", 2)
FIT = ("--lr", "2e-3", "--batch-size", "full", "--target-psnr", 30, "--steps", 120)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Write two pictures of a few low frequencies and return where they are."""
    from PIL import Image

    paths = []
    for seed in (1, 2):
        values = synthetic.random_band_limited(2, 12, 3, seed=seed).image((24, 24)).values
        paths.append(tmp_path / f"p{seed}.png")
        Image.fromarray((255 * values.reshape(24, 24)).round().byte().numpy()).save(paths[-1])
    return paths


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch) -> None:
    """Leave drawing, most of the time of a small search, to the test that looks at the picture."""
    from fastsnf.studies.tune.result import TuneResult

    if "picture_is_drawn" not in request.node.name:
        monkeypatch.setattr(TuneResult, "draw", lambda self, path, title: Path(path).touch())


def test_a_search_is_that_of_the_module(command, pictures) -> None:
    done = command("tune", pictures[0], *FIELD, *FIT, "--values", "1.5,2,4.5", "--seeds", "0,3", "--json")
    assert done.status == 0, done.err
    summary = json.loads(done.out.splitlines()[-1])
    found = summary["inputs"][0]
    given = FitOptions(input=str(pictures[0]), hidden_features=24, hidden_layers=2, first_omega=2.0)
    image = open_signal(given)

    def make(overrides, seed):
        return make_field(FitOptions(**{**vars(given), **overrides, "seed": seed}), image)

    config = FitConfig(lr=2e-3, batch_size="full", target_psnr=30.0, steps=120)
    expected = tune(image, make, config, values=[1.5, 2.0, 4.5], seeds=[0, 3])
    assert {"name": "p1.png", **json.loads(json.dumps(expected.summary()))} == found
    assert found["best"] > 1.0
    assert "best alpha" in done.err
    folder = Path(summary["folder"])
    assert folder == Path("runs/tune-p1")
    assert "| 4.5 |" in (folder / "table.md").read_text()
    ended = [run for t in found["trials"] if t["stopped"] != "slower" for run in t["runs"]]
    assert len((folder / "records.jsonl").read_text().splitlines()) >= len(ended)


def test_the_same_command_trains_nothing_again(command, pictures) -> None:
    args = ("tune", pictures[0], *FIELD, *FIT, "--values", "2", "--complete", "--out", "t")
    first, second = command(*args), command(*args)
    assert first.status == second.status == 0
    tables = [done.out[done.out.index("p1.png: alpha:") :] for done in (first, second)]
    assert tables[0] == tables[1]
    assert len(Path("t/records.jsonl").read_text().splitlines()) == 2


def test_a_value_is_transferred(command, pictures) -> None:
    args = ("--values", "2", "--steps", 200, "--transfer", "--json")
    done = command("tune", *pictures, *FIELD, *FIT[:-2], *args)
    assert done.status == 0, done.err
    summary = json.loads(done.out.splitlines()[-1])
    assert [entry["name"] for entry in summary["inputs"]] == ["p1.png"]
    moved = summary["transfer"]
    assert (moved["value"], [entry["name"] for entry in moved["inputs"]]) == (2.0, ["p2.png"])
    assert "alpha 2 of the first input on the others" in done.err


def test_where_the_reference_is_best_nothing_is_transferred_or_lost(command, pictures) -> None:
    done = command("tune", *pictures, *FIELD, "--steps", 3, "--values", "40", "--transfer", "--json")
    assert done.status == 0, done.err
    summary = json.loads(done.out.splitlines()[-1])
    assert (summary["inputs"][0]["best"], summary["transfer"]) == (1.0, None)
    assert "nothing to transfer" in done.err
    assert "alpha: speed to 50 dB" in Path("runs/tune-p1/table.md").read_text()


def test_every_input_is_searched_without_transfer(command, pictures) -> None:
    done = command("tune", *pictures, *FIELD, "--steps", 3, "--values", "2", "--json", "--no-progress")
    assert [entry["name"] for entry in json.loads(done.out)["inputs"]] == ["p1.png", "p2.png"]
    assert Path("runs/tune-p1/tune-2.png").exists()


@pytest.mark.parametrize(
    ("over", "extra"),
    [
        ("first-omega", ()),
        ("hidden-omega", ()),
        ("lr", ("--lr", "1e-3")),
        ("scale", ("--field", "gauss")),
        ("sigma-p", ("--init", "vi3nr")),
        ("iga-end", ("--iga", "--iga-group", "patch:4", "--iga-end", "2")),
    ],
)
def test_everything_can_be_searched(command, pictures, over: str, extra: tuple[str, ...]) -> None:
    field = ("--hidden-features", 8, "--hidden-layers", 1)
    limits = ("--steps", 2, "--candidates", 2, "--rounds", 0, "--json", "--no-progress")
    done = command("tune", pictures[0], "--over", over, *field, *limits, *extra)
    assert done.status == 0, done.err
    found = json.loads(done.out)["inputs"][0]
    assert found["over"] == over
    assert len({trial["psnr"] for trial in found["trials"]}) == len(found["trials"]) >= 2


def test_the_picture_is_drawn(command, pictures) -> None:
    done = command("tune", pictures[0], *FIELD, "--steps", 3, "--range", "1:3", "--candidates", 3)
    assert done.status == 0, done.err
    assert Path("runs/tune-p1/tune.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "expected INPUT"),
        (("p1.png", "--transfer"), "two INPUTs or more"),
        (("p1.png", "--over", "alfa"), "did you mean 'alpha'"),
        (("p1.png", "--over", "scale"), "which has only omega: search first-omega or hidden-omega or lr"),
        (("p1.png", "--over", "sigma-p"), "field of init vi3nr"),
        (("p1.png", "--over", "iga-end"), "--iga"),
        (("p1.png", "--init", "siren"), "got init siren"),
        (("p1.png", "--alpha", "2"), "no --alpha with --over alpha"),
        (("p1.png", "--over", "lr", "--alpha", "auto"), "--alpha A as a number"),
        (("p1.png", "--values", "1,x"), "numbers with commas"),
        (("p1.png", "--range", "3"), "LOW:HIGH"),
        (("p1.png", "--range", "3:2"), "low < high"),
        (("p1.png", "--values", "2", "--range", "1:2"), "values or a range"),
        (("p1.png", "--size", "2x2"), "hold out"),
        (("p1.png", "--seed", "2"), "--seeds"),
        (("missing.png",), "missing.png"),
    ],
)
def test_bad_input_is_one_line(command, pictures, args: tuple[str, ...], words: str) -> None:
    done = command("tune", *args)
    assert done.status == 2
    assert words in done.line()


def test_ctrl_c_keeps_the_finished_fits(command, pictures, monkeypatch) -> None:
    """The signal arrives when the first candidate has ended: the same command then goes on behind it."""
    from fastsnf.cli import tune as module

    line, said = module._line, []

    def interrupted(over, trial):
        said.append(line(over, trial))
        signal.raise_signal(signal.SIGINT)

    args = ("tune", pictures[0], *FIELD, *FIT, "--values", "1.5,2", "--complete", "--out", "t")
    monkeypatch.setattr(module, "_line", interrupted)
    stopped = command(*args)
    assert stopped.status == 130
    assert "interrupted; 1 finished fit is kept in t: the same command goes on there" in stopped.line()
    kept = Path("t/records.jsonl").read_text()
    monkeypatch.setattr(module, "_line", line)
    done = command(*args)
    assert done.status == 0, done.err
    assert Path("t/records.jsonl").read_text().startswith(kept)
    assert not any(said[0] in entry for entry in done.out.splitlines()), "a finished candidate ran again"
