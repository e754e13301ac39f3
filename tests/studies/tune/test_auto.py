"""`auto_alpha` and `transfer`. Oracle: `tune` itself, and the points that the fits took."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.signals import Image, SuperResolution
from fastsnf.studies.tune import auto_alpha, transfer, tune
from fastsnf.train import FitConfig
from tests.studies.tune.cases import image, maker

FAST: dict[str, Any] = {"batch_size": "full", "lr": 2e-3, "steps": 110, "target_psnr": 30.0}


def test_a_fit_long_enough_gets_a_search_within_its_share() -> None:
    fit = FitConfig(steps=8000, batch_size=100, lr=2e-3)
    auto = auto_alpha(image(), maker(), fit)
    assert auto.result is not None
    assert auto.alpha == auto.result.value > 1.2
    made = sum(run.made for trial in auto.result.trials for run in trial.runs)
    assert made * 100 / (8000 * 100) < auto.cost <= 0.1
    assert auto.result.budget >= 50
    assert len(auto.result.trials) <= 7
    assert f"alpha {auto.alpha:.3g} of 1," in auto.line
    assert "rule of thumb" in auto.line


@pytest.mark.parametrize(
    ("signal", "config", "why"),
    [
        (image(), FitConfig(steps=20), "the fit is too short for one in 10 % of its points"),
        (Image.from_array(torch.rand(1, 5)), FitConfig(), "too small to hold out points"),
        (image(), FitConfig(optimizer=torch.optim.Adam), "the optimizer is a callable"),
    ],
)
def test_without_a_search_the_rule_answers(signal: Image, config: FitConfig, why: str) -> None:
    auto = auto_alpha(signal, maker(), config)
    assert auto.result is None
    assert auto.rule is not None
    assert auto.alpha == pytest.approx(auto.rule, rel=0.01)
    assert why in auto.line
    assert auto.cost == 0.0


def test_what_is_measured_elsewhere_has_no_search_and_says_so() -> None:
    small = SuperResolution.from_image(Image.from_array(torch.rand(16, 16)), 2)
    auto = auto_alpha(small, maker(), FitConfig(steps=8000, batch_size=64))
    assert auto.result is None
    assert "no points of a super-resolution can be held out" in auto.line
    with pytest.raises(InputError, match=r"can be held out, .* got a super-resolution"):
        tune(small, maker())


def test_alpha_of_another_initializer_is_refused() -> None:
    with pytest.raises(InputError, match=r"init weight-scaling .* got init siren"):
        auto_alpha(image(), maker(init="siren"), FitConfig())
    with pytest.raises(InputError, match="share"):
        auto_alpha(image(), maker(), FitConfig(), share=0.0)


def test_transfer_runs_the_value_and_the_reference_on_the_others() -> None:
    options = {**FAST, "steps": 170}
    found = tune(image(), maker(), values=[2.0, 4.5], **options)
    moved = transfer(found, [("b", image(2), maker()), ("c", image(3), maker())], **options)
    assert [row.name for row in moved.rows] == ["b", "c"]
    for seed, row in zip((2, 3), moved.rows, strict=True):
        alone = tune(image(seed), maker(), values=[2.0], race=False, **options)
        assert row.trial == next(trial for trial in alone.trials if trial.value == 2.0)
        assert row.result.of_reference == alone.of_reference
        assert row.speedup is not None
        assert row.speedup > 1.5, "images of the same kind of spectrum want the same alpha"
    assert [row[0] for row in moved.table().rows] == ["b", "c"]
    assert [row["name"] for row in moved.summary()["inputs"]] == ["b", "c"]


def test_a_reference_that_won_has_nothing_to_transfer() -> None:
    found = tune(image(), maker(), values=[40.0], **{**FAST, "steps": 3})
    assert found.value == 1.0
    with pytest.raises(InputError, match="nothing to transfer"):
        transfer(found, [])
