"""``fastsnf fit --recipe``: what a paper's settings become, and what overrides them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from fastsnf.cli.fit_field import make_field
from fastsnf.cli.fit_options import FitOptions
from fastsnf.cli.fit_recipe import recipe_line, with_recipe
from fastsnf.cli.fit_setup import READ_BY, make_config
from fastsnf.errors import InputError
from fastsnf.presets.recipes import RECIPES
from fastsnf.signals import Samples
from tests.cli.conftest import picture

TINY = ("--hidden-features", 8, "--hidden-layers", 1, "--steps", 2, "--no-progress")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_fit_that_can_be_made(name):
    recipe = RECIPES[name]
    options = with_recipe(FitOptions(input="a.npy", recipe=name, hidden_features=8))
    assert options.kind == recipe.kind
    assert options.hidden_features == 8
    config = make_config(options)
    for key, value in recipe.fit.items():
        assert getattr(config, key) == value
    for key in recipe.open:
        assert recipe.kind in READ_BY[key]
        assert getattr(options, key) is not None
    assert (config.iga is None) == (recipe.iga is None)
    if recipe.iga is not None:
        assert {key: str(getattr(config.iga, key)) for key in recipe.iga} == {
            key: str(value) for key, value in recipe.iga.items()
        }
    axes = {"audio": 1, "image": 2}.get(recipe.kind, 3)
    field = make_field(options, Samples((2,) * axes, 1))
    assert field.out_features == 1
    line = recipe_line(options)
    assert line.startswith(f"{name}: {recipe.line}; --")
    assert "--hidden-features" not in line
    assert "--lr" in line


def test_what_is_typed_comes_first():
    options = with_recipe(FitOptions(input="a.npy", recipe="ws-occupancy", lr=0.5, axes="ij", alpha=2.0))
    assert (options.lr, options.axes, options.alpha, options.crop) == (0.5, "ij", 2.0, "wire")


@pytest.mark.parametrize("override", [{"init": "siren"}, {"field": "wire"}, {"activation": "gaussian"}])
def test_another_field_takes_sizes_and_training_and_no_numbers_of_the_recipes_field(override):
    options = with_recipe(FitOptions(input="a.npy", recipe="ws-occupancy", **override))
    assert options.alpha is None
    assert (options.hidden_features, options.batch_size) == (256, 100_000)
    make_field(options, Samples((2, 2, 2), 1))


def test_a_mesh_has_no_use_for_how_an_array_is_read():
    options = with_recipe(FitOptions(input="a.obj", recipe="wire-occupancy"))
    assert options.crop is None
    assert options.axes == "xy"
    assert "--crop" not in recipe_line(options)


def test_a_recipe_of_another_kind_is_refused():
    with pytest.raises(InputError, match="expected --kind occupancy with --recipe ws-occupancy; got image"):
        with_recipe(FitOptions(input="a.png", recipe="ws-occupancy", kind="image"))
    assert recipe_line(FitOptions()) == ""


@pytest.mark.usefixtures("undrawn")
def test_a_recipe_is_kept_with_all_that_it_sets(command, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSNF_CACHE", str(tmp_path / "cache"))
    np.save("a.npy", (np.indices((20, 9, 8)).sum(axis=0) < 12).astype(np.uint8))
    done = command("fit", "a.npy", "--recipe", "wire-occupancy", *TINY, "--field", "snf", "--out", "run")
    assert done.status == 0, done.err
    assert "recipe  wire-occupancy: " in done.out
    words = tomllib.loads(Path("run/config.toml").read_text())["command"]["arguments"]
    assert {"--recipe=wire-occupancy", "--field=snf", "--crop=wire", "--axes=xy", "--lr=0.005"} <= set(words)
    again = command("fit", "--resume", "run", "--no-progress")
    assert again.status == 0, again.err
    other = command("fit", "--resume", "run", "--recipe", "ws-occupancy")
    assert other.status == 2
    assert "expected --recipe wire-occupancy" in other.line()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--recipe", "wire-ocupancy"], "did you mean 'wire-occupancy'"),
        (["--recipe", "ws-occupancy"], "expected"),
        (["--recipe", "ws-audio", "--kind", "image"], "expected --kind audio"),
    ],
)
def test_a_recipe_that_does_not_fit_is_one_line(command, arguments, said):
    picture(Path("photo.png"), 9, 12)
    done = command("fit", "photo.png", *TINY, *arguments)
    assert done.status == 2
    assert said in done.line()
    assert not Path("runs").exists()
