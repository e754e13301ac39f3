"""Recipes: every one names a signal, a field and a fit that there are."""

from __future__ import annotations

import inspect
import math

import pytest

from fastsnf.nn import make_field
from fastsnf.ntk import IGA
from fastsnf.presets import PRESETS, RECIPES, Recipe
from fastsnf.signals.kinds import KINDS
from fastsnf.signals.registry import class_of
from fastsnf.train import FitConfig

AXES = {"image": 2, "occupancy": 3, "sphere": 3, "audio": 1}


def keyword(function: object) -> set[str]:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_can_be_followed(recipe: Recipe) -> None:
    assert recipe.kind in KINDS
    assert set(recipe.open) <= keyword(class_of(recipe.kind).open)
    config = FitConfig(**recipe.fit, iga=None if recipe.iga is None else IGA(**recipe.iga))
    assert config.schedule is not None
    assert config.lr is not None
    options = dict(recipe.field)
    name = options.pop("field")
    assert name in PRESETS
    assert {"hidden_features", "hidden_layers"} <= set(options)
    field = make_field(name, AXES[recipe.kind], 1, kind=recipe.kind, **{**options, "hidden_features": 8})
    assert field.in_features == AXES[recipe.kind]
    assert recipe.source
    assert recipe.line
    assert recipe.name.startswith(recipe.name.split("-")[0])


def test_details_of_the_papers() -> None:
    wire = RECIPES["wire-occupancy"]
    field = make_field(wire.field["field"], 3, 1, kind="occupancy", hidden_features=256)
    assert field.hidden_features == 181
    assert [(act.omega, act.scale) for act in field.spec.activations[:1]] == [(10.0, 40.0)]
    scaled = make_field("snf", 3, 1, kind="occupancy", hidden_features=4)
    assert scaled.spec.activations[0].omega == 10.0
    iga = RECIPES["iga-occupancy"]
    assert iga.iga is not None
    assert iga.fit["batch_size"] == 131_072
    assert IGA(**iga.iga).target_of("adam") == 14
    scale = RECIPES["vi3nr-audio"].field["scale"]
    assert math.exp(-((scale * 0.02) ** 2)) == pytest.approx(math.exp(-0.5))  # sigma_a is a deviation


def test_a_recipe_is_data_that_nobody_changes() -> None:
    with pytest.raises(TypeError):
        RECIPES["ws-image"].fit["lr"] = 1.0  # type: ignore[index]
