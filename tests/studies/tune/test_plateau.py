"""An alpha that learns, where the default of occupancy grids does not."""

import pytest
import torch

from fastsnf import SNF, FitConfig
from fastsnf.cli.fit_field import learning_alpha as of_options
from fastsnf.cli.fit_field import takes_default_alpha
from fastsnf.cli.fit_options import FitOptions
from fastsnf.signals import Image, Occupancy
from fastsnf.studies.tune import plateau
from fastsnf.studies.tune.plateau import STEPS, learning_alpha, worth_it

LONG = FitConfig(steps=10 * STEPS, batch_size=1024, device="cpu")


@pytest.fixture(scope="module")
def ball():
    """A ball on a grid so coarse that weight scaling's alpha of 3.7 does not learn it."""
    return Occupancy.from_function(lambda x: x.square().sum(dim=1) < 0.5, (24, 24, 24))


def field_of(overrides, seed):
    generator = torch.Generator().manual_seed(seed)
    return SNF(3, 1, 32, 3, first_omega=10.0, hidden_omega=10.0, **overrides, generator=generator)


def test_the_first_that_learns_is_taken_and_said(ball):
    alpha, lines = learning_alpha(ball, field_of, LONG, (3.7, 2.0, 1.0))
    assert alpha < 3.7
    assert lines[0].startswith(f"alpha {alpha:g}: with 3.7, the default of occupancy, {STEPS} steps learned")
    assert lines[0].endswith("--alpha 3.7 keeps it")
    assert learning_alpha(ball, field_of, LONG, (1.0, 3.7)) == (1.0, [])


def test_where_none_learns_the_default_stays(ball, monkeypatch):
    monkeypatch.setattr(plateau, "LEAST_GAIN", 1000.0)
    assert learning_alpha(ball, field_of, LONG, (3.7, 2.0)) == (3.7, [])


def test_short_fits_have_no_trials(ball, monkeypatch):
    monkeypatch.setattr(plateau, "_psnr", lambda *args: pytest.fail("a trial was made"))
    for config in (FitConfig(steps=10 * STEPS - 1), FitConfig(time_limit=59.0)):
        assert not worth_it(ball, config)
        assert learning_alpha(ball, field_of, config, (3.7, 2.0)) == (3.7, [])
    assert worth_it(ball, FitConfig(time_limit=60.0))
    assert worth_it(ball, FitConfig(target_psnr=30.0))


def test_only_the_default_is_put_to_the_test(ball):
    assert takes_default_alpha(FitOptions(), ball)
    for asked in ({"alpha": 3.7}, {"init": "siren"}, {"field": "wire"}, {"recipe": "ws-occupancy"}):
        assert not takes_default_alpha(FitOptions(**asked), ball)
    assert not takes_default_alpha(FitOptions(activation="gaussian"), ball)
    assert not takes_default_alpha(FitOptions(), Image.from_array(torch.rand(4, 4)))


def test_options_take_the_alpha_that_learns(ball):
    options = FitOptions(steps=10 * STEPS, batch_size=1024, hidden_features=32, lr=5e-3, device="cpu")
    changed, lines = of_options(options, ball)
    assert changed.alpha in plateau.INSTEAD
    assert lines
    same, none = of_options(FitOptions(steps=5, device="cpu"), ball)
    assert same.alpha is None
    assert none is None
