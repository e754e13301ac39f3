"""The two ways to a gradient are one mathematics; nothing that watches a field is passed by."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils import parametrizations

import fastsnf
from fastsnf.errors import InputError
from fastsnf.train.config import FitConfig
from fastsnf.train.losses import mse
from fastsnf.train.optimizers import make_optimizer
from fastsnf.train.step import Step, make_step, trainable
from tests.train.samples import same_state, small_field

SINGLE = FitConfig()
AUTOGRAD = FitConfig(loss=mse)


def batch(weighted: bool = True):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(70, 2, generator=generator) * 2 - 1
    y = torch.rand(70, 1, generator=generator)
    return x, y, torch.rand(70, generator=generator) if weighted else None


def step_of(field, config) -> Step:
    return Step(field, make_optimizer(config, trainable(field)), config)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"activation": "gabor", "scale": 5.0}], ids=str)
def test_single_pass_and_autograd_agree(options, weighted):
    fields = [small_field(**options) for _ in range(2)]
    steps = [step_of(field, config) for field, config in zip(fields, (SINGLE, AUTOGRAD), strict=True)]
    assert [step.single_pass for step in steps] == [True, False]
    x, y, w = batch(weighted)
    losses = [step.gradients(x, y, w) for step in steps]
    torch.testing.assert_close(*losses)
    for first, second in zip(*(field.parameters() for field in fields), strict=True):
        torch.testing.assert_close(first.grad, second.grad, rtol=1e-4, atol=1e-6)
    psnrs = [step.batch_psnr(float(loss), y, w) for step, loss in zip(steps, losses, strict=True)]
    assert psnrs[0] == pytest.approx(psnrs[1], rel=1e-5)


def test_gradients_do_not_add_up():
    for config in (SINGLE, AUTOGRAD):
        field = small_field()
        step = step_of(field, config)
        step.gradients(*batch())
        first = [parameter.grad.clone() for parameter in field.parameters()]
        step.gradients(*batch())
        assert all(map(torch.equal, first, [parameter.grad for parameter in field.parameters()]))


def test_frozen_parameters_stay():
    field, untouched = small_field(), small_field()
    field.net[0].linear.weight.requires_grad_(False)
    step = make_step(field)
    assert step.single_pass
    step(*batch())
    assert torch.equal(field.net[0].linear.weight, untouched.net[0].linear.weight)
    assert not same_state(field, untouched)
    with pytest.raises(InputError, match="frozen"):
        trainable(field.requires_grad_(False))


class Sigmoid(fastsnf.SNF):
    def forward(self, x):
        return torch.sigmoid(super().forward(x))


WATCHED = {
    "hook on the field": lambda f: f.register_forward_hook(lambda module, args, out: 2 * out),
    "hook on a layer": lambda f: f.net[1].register_forward_hook(lambda module, args, out: 2 * out),
    "hook on a parameter": lambda f: f.net[1].linear.weight.register_hook(lambda grad: 2 * grad),
    "parametrization": lambda f: parametrizations.weight_norm(f.net[1].linear),
    "a parameter of its own": lambda f: f.register_parameter("gain", torch.nn.Parameter(torch.ones(1))),
    "a shared parameter": lambda f: setattr(f.net[1].linear, "bias", f.net[0].linear.bias),
}


@pytest.mark.parametrize("watch", WATCHED.values(), ids=WATCHED.keys())
def test_a_field_that_is_watched_goes_through_autograd(watch):
    field = small_field()
    assert step_of(field, SINGLE).single_pass
    watch(field)
    assert not step_of(field, SINGLE).single_pass


def test_a_subclass_with_a_forward_of_its_own_is_honoured():
    field = Sigmoid(2, 1, 16, 1)
    step = step_of(field, SINGLE)
    assert not step.single_pass
    x, y, w = batch()
    expected = mse(torch.sigmoid(fastsnf.SNF.forward(field, x)), y, w)
    torch.testing.assert_close(step(x, y, w), expected.detach())


def test_gradient_hooks_run():
    field, plain = small_field(), small_field()
    field.net[1].linear.weight.register_hook(lambda grad: 2 * grad)
    for module in (field, plain):
        step_of(module, SINGLE).gradients(*batch())
    torch.testing.assert_close(field.net[1].linear.weight.grad, 2 * plain.net[1].linear.weight.grad)


def test_siren_with_coordinates_fits():
    field = fastsnf.Siren(2, 16, 1, 1, return_coords=True)
    for config in (SINGLE, AUTOGRAD):
        assert step_of(field, config)(*batch()).isfinite()


def test_make_step_is_the_trainers():
    first, second = small_field(), small_field()
    step = make_step(first, FitConfig(optimizer="sgd", lr=0.1))
    loss = step(*batch())
    x, y, w = batch()
    expected = mse(second(x), y, w)
    expected.backward()
    torch.optim.SGD(second.parameters(), lr=0.1).step()
    torch.testing.assert_close(loss, expected.detach())
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_named_optimizers_are_torchs(name):
    classes = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    fields = [small_field(), small_field()]
    config = FitConfig(optimizer=name, lr=1e-2)
    optimizers = [
        make_optimizer(config, list(fields[0].parameters())),
        classes[name](fields[1].parameters(), lr=1e-2, foreach=False),
    ]
    for _ in range(3):
        for field, optimizer in zip(fields, optimizers, strict=True):
            optimizer.zero_grad()
            mse(field(batch()[0]), *batch()[1:]).backward()
            optimizer.step()
    for a, b in zip(*(field.parameters() for field in fields), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_an_optimizer_callable_must_return_one():
    with pytest.raises(InputError, match="got list"):
        make_optimizer(FitConfig(optimizer=lambda parameters: parameters), trainable(small_field()))
