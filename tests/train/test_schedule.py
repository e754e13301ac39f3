from __future__ import annotations

import math

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.train.config import FitConfig
from fastsnf.train.schedule import parse_schedule
from fastsnf.train.stopping import StopRule


def rates(text: str, steps: int) -> list[float]:
    schedule, stop = parse_schedule(text), StopRule(steps, None, None)
    return [schedule.multiplier(step, stop.progress(step, 0.0)) for step in range(steps)]


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("constant", lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0)),
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=50)),
        ("exponential:0.1", lambda o: torch.optim.lr_scheduler.ExponentialLR(o, gamma=0.1 ** (1 / 50))),
        ("step:20:0.5", lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=20, gamma=0.5)),
        ("once:20:0.5", lambda o: torch.optim.lr_scheduler.MultiStepLR(o, milestones=[20], gamma=0.5)),
    ],
)
def test_schedules_are_torchs(text, make):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, expected = make(optimizer), []
    for _ in range(50):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates(text, 50) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exponential", "exponential:F"),
        ("exponential:0", "positive"),
        ("exponential:x", "could not convert"),
        ("step:10", "step:N:F"),
        ("step:0:0.5", "at least 1"),
        ("once:10", "once:N:F"),
        ("step:1.5:0.5", "invalid literal"),
        ("exponental:0.1", "did you mean 'exponential:F'"),
        ("cosine:3", "constant, exponential:F"),
    ],
)
def test_bad_schedules_are_explained(text, message):
    with pytest.raises(InputError, match=message):
        parse_schedule(text)


def test_progress_is_of_steps_then_of_time_then_unknown():
    assert StopRule(100, 10.0, None).progress(25, 9.0) == 0.25
    assert StopRule(None, 10.0, 30.0).progress(25, 2.5) == 0.25
    assert StopRule(None, 10.0, None).progress(25, 12.0) == 1.0
    assert StopRule(None, None, 30.0).progress(25, 1e6) == 0.0


@pytest.mark.parametrize(
    ("options", "max_steps"),
    [
        ({}, 1000),
        ({"steps": 7}, 7),
        ({"epochs": 3}, 24),
        ({"epochs": 0.01}, 1),
        ({"epochs": 2.5}, 20),
        ({"steps": 7, "epochs": 3}, 7),
        ({"steps": 70, "epochs": 3}, 24),
        ({"time_limit": 3.0}, None),
        ({"target_psnr": 30.0}, None),
        ({"steps": 7, "time_limit": 3.0}, 7),
    ],
)
def test_budget(options, max_steps):
    assert StopRule.of(FitConfig(**options), steps_per_epoch=8).max_steps == max_steps


def test_first_limit_reached_ends_the_fit():
    rule = StopRule(10, 5.0, None)
    assert not rule.reached(9, 4.9)
    assert rule.reached(10, 0.0)
    assert rule.reached(0, 5.0)
    assert not StopRule(None, None, 30.0).reached(10**9, math.inf)
