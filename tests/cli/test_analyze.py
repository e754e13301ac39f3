"""``fastsnf analyze``: of an input, of a run, of a field alone; what it writes, prints and refuses."""

import dataclasses
import json

import numpy as np
import pytest

from fastsnf.analysis import analyze
from fastsnf.cli.analyze import subject_of
from fastsnf.cli.analyze_options import options_class
from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.parse import parse
from fastsnf.cli.shared_options import documented
from fastsnf.nn import SNF
from fastsnf.signals import Image, Sphere
from fastsnf.train import checkpoint, load
from tests.cases import generator
from tests.cli.conftest import picture

SMALL = ("--points", 20, "--hessian-points", 20, "--hessian-steps", 6)
FIELD = ("--hidden-features", 6, "--hidden-layers", 1)


@pytest.fixture
def undrawn_parts(monkeypatch):
    """Leave the pictures to the test that looks at them."""
    from fastsnf.analysis import report

    monkeypatch.setattr(report, "draw_panels", lambda grid, path: path.touch())


def test_an_input_is_analysed_with_the_field_that_fit_would_start_from(command, tmp_path, undrawn_parts):
    picture(tmp_path / "photo.png", 12, 10)
    done = command("analyze", "photo.png", *SMALL, *FIELD, "--alpha", 1.5, "--seed", 3, "--json")
    assert done.status == 0, done.err
    numbers = json.loads(done.out.splitlines()[-1])
    field = SNF(2, 3, 6, 1, alpha=1.5, generator=generator(3))
    direct = analyze(
        field, Image.open(tmp_path / "photo.png"), points=20, hessian_points=20, hessian_steps=6, seed=3
    )
    assert numbers["ntk"]["condition"] == pytest.approx(direct.ntk.condition)
    assert numbers["hessian"]["method"] == "exact"
    folder = tmp_path / "runs" / "photo-analysis"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("analysis.json", "hessian.png", "layers.png", "ntk.png", "spectrum.png")
    ]
    assert json.loads((folder / "analysis.json").read_text())["ntk"] == numbers["ntk"]
    assert "smallest of all" in done.err  # tables are on stderr


def test_a_run_brings_its_field_and_its_signal(command, tmp_path, undrawn, undrawn_parts):
    picture(tmp_path / "photo.png", 12, 10)
    assert command("fit", "photo.png", "--out", "run", "--steps", 2, "--size", "8x6", *FIELD).status == 0
    done = command("analyze", "run", *SMALL, "--only", "hessian,ntk", "--json")
    assert done.status == 0, done.err
    numbers = json.loads(done.out.splitlines()[-1])
    signal = Image.open(tmp_path / "photo.png", size=(8, 6))
    direct = analyze(load("run"), signal, only=["ntk", "hessian"], points=20, hessian_points=20)
    assert numbers["ntk"] == json.loads(json.dumps(direct.ntk.row()))
    assert numbers["hessian"]["condition"] == pytest.approx(direct.hessian.condition)
    assert (tmp_path / "run" / "analysis" / "ntk.png").exists()

    (tmp_path / "photo.png").rename(tmp_path / "elsewhere.png")
    gone = command("analyze", "run", *SMALL, "--only", "ntk,hessian", "--out", "b")
    assert gone.status == 0
    assert "which the run records, is gone" in gone.out
    assert "give the file" in " ".join(gone.out.replace("│", " ").split())
    assert "alignment" not in gone.out
    given = command("analyze", "run", "--signal", "elsewhere.png", *SMALL, "--only", "ntk", "--json")
    assert json.loads(given.out.splitlines()[-1])["ntk"] == numbers["ntk"]
    other = command("analyze", "run", "--signal", "elsewhere.png", "--size", "10x10", *SMALL)
    assert other.status == 2
    assert "(6, 8)" in other.line()
    refused = command("analyze", "run", "--alpha", 2)
    assert refused.status == 2
    assert "--alpha" in refused.line()


def test_the_signal_of_a_run_is_read_as_the_run_records_unless_the_options_say(command, tmp_path, undrawn):
    zarr = pytest.importorskip("zarr")
    numbers = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    zarr.save_array(str(tmp_path / "grid.zarr"), numbers)  # a folder
    places = {"lat": [-45, 0, 45, 60], "lon": np.arange(5) * 72.0}
    np.savez(tmp_path / "maps.npz", t=numbers.transpose(2, 0, 1), **places)
    assert command("fit", "grid.zarr", "--out", "grid", "--steps", 2, *FIELD).status == 0
    done = command("analyze", "grid", *SMALL, "--only", "layers")
    assert done.status == 0, done.err
    assert "is gone" not in done.out
    assert "grid.zarr" in done.out

    fit = ("fit", "maps.npz", "--kind", "sphere", "--out", "maps", "--steps", 2, *FIELD)
    assert command(*fit, "--time", 1).status == 0
    options = parse(options_class(), ["maps"], prog="analyze")
    for time in (None, 0, 2):
        signal = subject_of(dataclasses.replace(options, time=time)).signal
        wanted = Sphere.open("maps.npz", time=1 if time is None else time)
        assert signal.values.equal(wanted.values)


def test_a_field_alone_has_what_needs_no_signal(command, tmp_path, undrawn_parts):
    checkpoint.save(SNF(2, 1, 6, 1, generator=generator(0)), tmp_path / "field.safetensors")
    done = command("analyze", "field.safetensors", *SMALL)
    assert done.status == 0, done.err
    assert "points of [-1, 1]^2 stand for it" in done.out
    assert "not computed" in done.out
    assert sorted(path.name for path in (tmp_path / "field-analysis").iterdir()) == [
        *("analysis.json", "layers.png", "ntk.png")
    ]


def test_batch_normalisation_is_said_in_the_table(command, tmp_path, undrawn_parts):
    picture(tmp_path / "photo.png", 12, 10)
    done = command("analyze", "photo.png", "--field", "bn", *FIELD, *SMALL, "--only", "ntk,hessian")
    assert done.status == 0, done.err
    assert "couples its points" in " ".join(done.out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "expected RUN|INPUT"),
        (("absent.png",), "does not exist"),
        (("photo.png", "--only", "hesian"), "did you mean 'hessian'"),
        (("photo.png", "--points", "0"), "from 1 to"),
        (("photo.png", "--points", "1.5"), "whole number"),
        (("photo.png", "--hessian-steps", "5"), "at least 6"),
        (("photo.png", "--alpha", "auto"), "fastsnf tune"),
        (("photo.png", "--alpha", "-1"), "--alpha"),
        (("photo.png", "--init", "siern"), "did you mean 'siren'"),
        (("photo.png", "--signal", "photo.png"), "its own signal"),
        (("photo.png", "--squeeze"), "--size"),
        (("photo.png", "--device", "gpu"), "cpu or cuda"),
        (("photo.png", "--out", "photo.png/x", "--only", "spectrum"), "folder"),
        (("empty",), "run folder"),
        (("photo.png", "--stesp", "3"), "known option"),
    ],
)
def test_bad_requests_are_one_line_and_status_2(command, tmp_path, arguments, said):
    picture(tmp_path / "photo.png", 6, 5)
    (tmp_path / "empty").mkdir()
    done = command("analyze", *arguments, *(FIELD if "photo.png" in arguments else ()))
    assert done.status == 2
    assert said in done.line()


def test_shared_options_keep_their_help():
    helps = documented(FitOptions)
    assert helps["alpha"].startswith("Factor of weight scaling")
    assert set(helps) == set(FitOptions.__dataclass_fields__)
    assert "hidden_features" in options_class().__dataclass_fields__
    assert "lr" not in options_class().__dataclass_fields__
