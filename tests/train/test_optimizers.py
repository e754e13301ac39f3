"""Learning rates that are tensors, and states that go from one kind of optimizer to another."""

from __future__ import annotations

import json

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.train.config import FitConfig
from fastsnf.train.optimizers import base_rates, load_state, make_optimizer, set_rates
from fastsnf.train.snapshot import Snapshots
from fastsnf.train.step import trainable
from fastsnf.train.tree import flatten, unflatten
from tests.train.samples import same_state, small_field


def stepped(config: FitConfig, recorded: bool, steps: int = 3, **options):
    """A field after a few updates by gradients that depend on the step alone, and its optimizer."""
    field = small_field(**options)
    optimizer = make_optimizer(config, trainable(field), recorded=recorded)
    advance(field, optimizer, range(steps))
    return field, optimizer


def advance(field, optimizer, steps: range) -> None:
    for step in steps:
        set_rates(optimizer, [1e-2], 1.0 / (1 + step))
        generator = torch.Generator().manual_seed(step)
        for parameter in field.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        optimizer.step()


def test_a_rate_on_the_device_is_filled_in_place():
    _, optimizer = stepped(FitConfig(lr=1e-3), recorded=True, steps=0)
    [group] = optimizer.param_groups
    rate = group["lr"]
    assert base_rates(FitConfig(lr=1e-3), optimizer) == [1e-3], "not rounded to float32"
    assert set_rates(optimizer, [1e-3], 0.5) == 5e-4
    assert group["lr"] is rate
    assert float(rate) == pytest.approx(5e-4)


def test_a_callers_rates_are_read_from_its_groups():
    config = FitConfig(optimizer=lambda p: torch.optim.SGD([{"params": p[:1], "lr": 0.5}, {"params": p[1:]}]))
    optimizer = make_optimizer(config, trainable(small_field()))
    assert base_rates(config, optimizer) == [0.5, 1e-3]
    set_rates(optimizer, [0.5, 1e-3], 0.1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 1e-4]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("read", [True, False])
def test_a_state_goes_from_one_device_to_another(name, written, read):
    config = FitConfig(optimizer=name, lr=1e-2)
    field, optimizer = stepped(config, written)
    plan, tensors = flatten(optimizer.state_dict(), "optimizer")
    stored = {key: tensor.clone() for key, tensor in tensors.items()}
    state = unflatten(json.loads(json.dumps(plan)), stored)
    other = small_field()
    other.load_state_dict(field.state_dict())
    target = make_optimizer(config, trainable(other), recorded=read)
    before = [dict(group) for group in target.param_groups]
    load_state(target, state)
    for group, manner in zip(target.param_groups, before, strict=True):
        for key in ("lr", "fused", "foreach", "capturable"):
            assert group.get(key) is manner.get(key), "how it computes is its own"
    advance(field, optimizer, range(3, 6))
    advance(other, target, range(3, 6))
    if written == read:
        assert same_state(field, other)
    for first, second in zip(field.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-7)


def test_a_checkpoint_holds_a_rate_that_is_a_tensor(tmp_path):
    config = FitConfig(lr=1e-2)
    field, optimizer = stepped(config, recorded=True)
    snapshots = Snapshots(tmp_path)
    description = {"field": {}, "outputs": "values", "identity": {}}
    progress = {"step": 3, "seconds": 1.0, "seconds_steps": 1.0, "loss": 0.5}
    snapshots.save(field, optimizer, progress, description)
    for recorded in (True, False):
        other = small_field(seed=1)
        target = make_optimizer(config, trainable(other), recorded=recorded)
        snapshots.newest().restore(other, target)
        assert same_state(field, other)
        advance(other, target, range(3, 5))
        assert isinstance(target.param_groups[0]["lr"], torch.Tensor) == recorded
        steps = [float(state["step"]) for state in target.state_dict()["state"].values()]
        assert steps == [5.0] * len(steps)


def test_the_state_of_another_field_is_refused():
    _, optimizer = stepped(FitConfig(), recorded=False)
    _, other = stepped(FitConfig(), recorded=True, hidden_layers=2)
    with pytest.raises(ValueError, match="size"):
        load_state(other, optimizer.state_dict())


def test_an_optimizer_that_evaluates_the_loss_itself_is_refused() -> None:
    config = FitConfig(optimizer=torch.optim.LBFGS)
    with pytest.raises(InputError, match="needs no closure; got LBFGS: it evaluates the loss itself"):
        make_optimizer(config, [torch.zeros(2, requires_grad=True)])
