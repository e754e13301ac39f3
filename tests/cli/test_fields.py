"""``fastsnf fit --field``: every published field from a file to a decoded picture, and what does not fit."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastsnf.cli.fit_field_options import ENCODING_NAMES, NORMS
from fastsnf.encodings import ENCODINGS
from fastsnf.presets import PRESETS
from tests.cli.conftest import picture

SMALL = ("--hidden-features", 8, "--hidden-layers", 1, "--schedule", "constant")

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture
def photo(tmp_path) -> Path:
    """A picture of 12 x 8 pixels."""
    return picture(tmp_path / "photo.png", 8, 12)


def config(run: str) -> dict[str, Any]:
    return tomllib.loads((Path(run) / "config.toml").read_text())


def samples(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image, dtype=int)


@pytest.mark.parametrize("name", PRESETS)
def test_a_published_field_is_fitted_resumed_loaded_and_decoded(command, photo, name):
    import torch

    import fastsnf

    small = (*SMALL, "--field", name, "--no-progress")
    done = command("fit", photo, *small, "--steps", 2, "--out", "run")
    assert (done.status, done.err) == (0, "")
    (line,) = [line for line in done.out.splitlines() if line.startswith("field ")]
    loaded = fastsnf.load("run")
    assert loaded.summary() in line
    described = config("run")["field"]
    assert described["class"] == loaded.name == PRESETS[name].cls
    assert f"--field={name}" in config("run")["command"]["arguments"]
    assert command("fit", "--resume", "run", "--steps", 4, "--no-progress").status == 0
    assert command("fit", photo, *small, "--steps", 4, "--out", "whole").status == 0
    resumed, whole = fastsnf.load("run").state_dict(), fastsnf.load("whole").state_dict()
    assert all(torch.equal(resumed[key], whole[key]) for key in {*resumed, *whole})
    assert any(not torch.equal(resumed[key], value) for key, value in loaded.state_dict().items())
    assert command("render", "run", "--output", "same.png").status == 0
    assert np.abs(samples("same.png") - samples("run/reconstruction.png")).max() <= 1
    assert command("render", "run", "--scale", 2, "--output", "large.png").status == 0
    assert samples("large.png").shape == (16, 24, 3)


@pytest.mark.parametrize("name", PRESETS)
def test_gradients_are_adjusted_where_a_point_has_one_of_its_own(command, photo, name):
    iga = ("--iga", "--iga-group", "patch:4", "--iga-end", 2)
    done = command("fit", photo, *SMALL, "--field", name, *iga, "--steps", 2, "--out", "run")
    if name == "bn":
        assert done.status == 2
        assert "normalises by the batch" in done.line()
        assert not Path("run").exists()
    else:
        assert (done.status, done.err) == (0, "")
        assert "iga     6 patches of 4 x 4" in done.out


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--field", "wire"], {"hidden_features": 181, "init": "default"}),
        (["--field", "wire", "--hidden-features", 32], {"hidden_features": 22}),
        (["--field", "wire", "--scale", 3], {"activation": {"name": "gabor", "omega": 20.0, "scale": 3.0}}),
        (
            ["--field", "wire", "--activation", "sine", "--init", "siren"],
            {"activation": {"name": "sine", "omega": 30.0}, "init": "siren", "hidden_features": 256},
        ),
        (["--activation", "gabor"], {"hidden_features": 256}),  # a number of complex features
        (["--field", "relu-pe"], {"frequencies": 10}),  # the paper's for images
        (["--field", "relu-pe", "--frequencies", 3, "--init", "kaiming-normal"], {"frequencies": 3}),
        (["--field", "ffn", "--sigma", 4], {"sigma": 4.0, "frequencies": 256, "init": "xavier-normal"}),
        (["--field", "ffn", "--encoding", "none"], {"activation": {"name": "relu"}, "encoding": None}),
        (["--encoding", "positional"], {"frequencies": 1}),  # an octave below the Nyquist frequency of 8
        (["--encoding", "fourier", "--frequencies", 7], {"frequencies": 7, "sigma": 10.0}),
        (["--field", "finer", "--first-bias", 2], {"first_bias": 2.0, "init": "siren"}),
        (["--field", "bn", "--norm", "cross"], {"norm": "cross"}),
        (["--field", "fr", "--factor", 0.05, "--activation", "relu"], {"factor": 0.05}),
        (["--field", "mfn-gabor", "--input-scale", 64], {"input_scale": 64.0, "filters": "gabor"}),
        (["--init", "vi3nr", "--sigma-p", 0.02], {"init": "vi3nr", "sigma_p": 0.02}),
        (["--init", "nfsl-sine"], {"init": "nfsl-sine", "alpha": 2.37}),
        ([], {"init": "weight-scaling", "alpha": 2.37, "hidden_features": 256}),
    ],
    ids=lambda args: " ".join(map(str, args)) if isinstance(args, list) else "",
)
def test_options_override_the_preset(photo, args, expected):
    from fastsnf.cli.fit_field import make_field
    from fastsnf.cli.fit_options import FitOptions
    from fastsnf.cli.fit_setup import open_signal
    from fastsnf.cli.parse import parse

    options = parse(FitOptions, [str(photo), *map(str, args)], prog="fastsnf fit")
    made = make_field(options, open_signal(options)).config()
    flat = {**made, **(made.get("encoding") or {})}
    assert {name: flat.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            ["--field", "mfn-fourier", "--activation", "sine"],
            "expected no --activation with --field mfn-fourier, which takes --hidden-features, --hidden-l",
        ),
        (["--field", "mfn-gabor", "--alpha", 2], "expected no --alpha with --field mfn-gabor"),
        (["--field", "mfn-gabor", "--init", "siren"], "expected no --init with --field mfn-gabor"),
        (["--field", "wire2d", "--encoding", "positional"], "expected no --encoding with --field wire2d"),
        (["--field", "fr", "--bias-init", "zero"], "expected no --bias-init with --field fr"),
        (["--field", "gauss", "--alpha", 2], "expected --alpha with --init weight-scaling"),
        (["--field", "gauss", "--alpha", "auto"], "expected --alpha with --init weight-scaling"),
        (["--field", "relu-pe", "--first-omega", 9], "expected no --first-omega with relu"),
        (["--field", "bn", "--scale", 9], "expected no --scale with relu"),
        (["--field", "relu-pe", "--sigma", 9], "expected --sigma with --encoding fourier; got 9.0 with"),
        (["--field", "relu-pe", "--frequencies", 40], "from 1 to 32"),
        (["--frequencies", 4], "expected --encoding positional|fourier with --frequencies; got 4"),
        (["--sigma", 4], "expected --sigma with --encoding fourier; got 4.0 with none"),
        (["--sigma-p", 1], "expected --sigma-p with --init vi3nr; got --sigma-p with weight-scaling"),
        (["--norm", "cross"], "expected no --norm with --field snf"),
        (["--activation", "gabor", "--alpha", 2], "expected --alpha with --init weight-scaling"),
        (["--field", "fr", "--activation", "gabor"], "real activation"),
    ],
)
def test_an_option_that_the_field_does_not_take_is_one_line(command, photo, args, said):
    done = command("fit", photo, *args, "--steps", 1, "--out", "run")
    assert done.status == 2
    assert said in done.line()
    assert not Path("run").exists()


def test_from_brings_any_field(command, photo):
    for name in ("wire", "relu-pe", "mfn-gabor", "bn"):
        assert command("fit", photo, *SMALL, "--field", name, "--steps", 1, "--out", name).status == 0
        go_on = ("fit", photo, "--from", name, "--steps", 1, "--no-progress")
        assert command(*go_on, "--field", name, "--hidden-features", 8, "--out", f"{name}-2").status == 0
        assert command(*go_on, "--out", f"{name}-3").status == 0
        assert config(f"{name}-3")["field"]["class"] == PRESETS[name].cls
    for name, args, said in [
        ("wire", ["--field", "wire2d"], "whose class is snf; got --field wire2d, whose class is wire2d"),
        ("wire", ["--field", "gauss"], "whose activation is gabor; got --field gauss, whose activation"),
        ("relu-pe", ["--field", "ffn"], "whose encoding is positional; got --field ffn"),
        ("relu-pe", ["--encoding", "none"], "expected --encoding positional, as relu-pe has it; got none"),
        ("relu-pe", ["--frequencies", 3], "expected no --frequencies with --from"),
        ("mfn-gabor", ["--field", "mfn-fourier"], "whose filters is gabor"),
        ("mfn-gabor", ["--activation", "sine"], "expected no --activation, as mfn-gabor has it; got sine"),
        ("bn", ["--norm", "cross"], "expected --norm batch, as bn has it; got cross"),
        ("wire", ["--hidden-features", 100], "as wire has it; got 100"),
        ("wire", ["--alpha", "auto"], "expected no --alpha with --from"),
    ]:
        done = command("fit", photo, "--from", name, *args, "--steps", 1, "--out", "never")
        assert done.status == 2
        assert said in done.line()
    assert not Path("never").exists()


def test_alpha_is_searched_once_and_the_number_kept(command, photo, monkeypatch):
    import fastsnf
    from fastsnf.studies import tune

    calls = []

    class Found:
        alpha = 1.625

        def lines(self) -> list[str]:
            return ["alpha 1.62 of 1, 1.62", "the rest"]

    def search(signal, make_field, config, *, watch):
        calls.append((make_field({"alpha": 1.25}, 7).config()["alpha"], signal.shape, config.steps))
        return Found()

    monkeypatch.setattr(tune, "auto_alpha", search)
    done = command("fit", photo, *SMALL, "--alpha", "auto", "--steps", 2, "--out", "run")
    assert done.status == 0
    assert calls == [(1.25, (8, 12), 2)]
    assert "search  alpha 1.62 of 1, 1.62\nsearch  the rest\n" in done.out
    assert "--alpha=1.625" in config("run")["command"]["arguments"]
    assert config("run")["command"]["alpha_search"] == Found().lines()
    assert fastsnf.load("run").config()["alpha"] == 1.625
    for options in ([], ["--alpha", "auto"], ["--alpha", 1.625]):
        again = command("fit", "--resume", "run", "--steps", 4, *options)
        assert again.status == 0
        assert "search  the rest" in again.out
    assert config("run")["command"]["alpha_search"] == Found().lines()
    assert command("render", "run").status == 0
    assert len(calls) == 1
    done = command("fit", "--resume", "run", "--alpha", 2)
    assert "expected --alpha 1.625, as the run in run has it; got 2.0" in done.line()


def test_a_run_of_a_given_alpha_is_not_resumed_with_another(command, photo):
    assert command("fit", photo, *SMALL, "--alpha", 2, "--steps", 1, "--out", "run").status == 0
    done = command("fit", "--resume", "run", "--alpha", "auto")
    assert "expected --alpha 2.0, as the run in run has it; got auto" in done.line()


def test_alpha_is_found_by_the_search(command, tmp_path):
    """On a picture and a budget that leave room for one."""
    picture(tmp_path / "large.png", 48, 48)
    tiny = ("--hidden-features", 4, "--hidden-layers", 0, "--batch-size", "full", "--steps", 900)
    done = command("fit", "large.png", *tiny, "--alpha", "auto", "--out", "run", "--json")
    assert done.status == 0
    assert json.loads(done.out)["steps"] == 900
    (argument,) = [word for word in config("run")["command"]["arguments"] if word.startswith("--alpha=")]
    value = float(argument.partition("=")[2])
    assert config("run")["field"]["config"]["alpha"] == value > 0
    assert "search  alpha 1: PSNR " in done.err  # of each candidate, as it ended
    assert f"search  alpha {value:.3g} of " in done.err


def test_names_offered_are_those_of_the_layers_below():
    import inspect

    from fastsnf.nn import NormalizedField

    assert set(ENCODING_NAMES) == {"none", *ENCODINGS}
    for norm in NORMS:
        NormalizedField(2, 1, 4, 1, norm=norm)
    assert inspect.signature(NormalizedField).parameters["norm"].default == NORMS[0]
