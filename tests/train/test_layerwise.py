"""Layerwise learning rates. Oracles: gradients of drawn fields, their closed form, and plain optimizers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastsnf import SNF, fit, signals
from fastsnf.errors import InputError
from fastsnf.train import layerwise_lr
from fastsnf.train.layerwise import exponents


def field(alpha: float, *, seed: int = 0, width: int = 24, layers: int = 3, **options: object) -> SNF:
    gen = torch.Generator().manual_seed(seed)
    return SNF(2, 1, width, layers, alpha=alpha, generator=gen, **options)  # type: ignore[arg-type]


def gradient_sizes(snf: SNF) -> Tensor:
    """Return the root mean square of df/dW_k over points and entries, layer by layer [L]."""
    x = 2 * torch.rand(16, 2, generator=torch.Generator().manual_seed(5)) - 1
    squares = torch.zeros(len(snf.linears()), dtype=torch.float64)
    for point in x:
        snf.zero_grad()
        snf(point[None]).sum().backward()
        grads = [linear.weight.grad for linear in snf.linears()]
        squares += torch.tensor([float(g.double().square().mean()) for g in grads if g is not None])
    return (squares / len(x)).sqrt()


def wide_sizes(alpha: float, layers: int) -> Tensor:
    """Return what `gradient_sizes` tends to with the width, up to a factor that alpha does not change.

    Pre-activations are normal with variance q (infinite in the first layer), E sin^2 = (1 - e^-2q) / 2,
    E cos^2 = (1 + e^-2q) / 2, and fan_in Var(W) omega^2 = 2 alpha^2.
    """
    q = [math.inf]
    for _ in range(layers - 2):
        q.append(alpha**2 * (1 - math.exp(-2 * q[-1])))
    sines = [1.0, *[(1 - math.exp(-2 * v)) / 2 for v in q]]  # of the layer before; coordinates first
    cosines = [(1 + math.exp(-2 * v)) / 2 for v in q]
    squares = [
        sines[k] * math.prod(cosines[k:]) * (2 * alpha**2) ** max(0, layers - 2 - k) for k in range(layers)
    ]
    return torch.tensor(squares).sqrt()


def test_gradients_grow_as_the_exponents_say() -> None:
    alpha, seeds = 2.0, range(6)
    sizes = {
        a: [gradient_sizes(field(a, seed=s, width=192, bias_init="zero")) for s in seeds] for a in (1, alpha)
    }
    ratios = (torch.stack(sizes[alpha]) / torch.stack(sizes[1])).mean(0).float()
    torch.testing.assert_close(ratios, wide_sizes(alpha, 5) / wide_sizes(1.0, 5), rtol=0.1, atol=0.0)
    powers = torch.tensor([alpha**e for e in exponents(5)])
    factors = torch.tensor([0.79, 0.79, 0.91, 1.01, 1.11])
    torch.testing.assert_close(ratios / powers, factors, rtol=0.1, atol=0.0)


def test_exponents_count_the_scaled_layers_after_each() -> None:
    assert exponents(5) == [3, 2, 1, 0, 0]
    assert exponents(2) == [0, 0]
    assert exponents(1) == [0]


@pytest.mark.parametrize(("mode", "sign"), [("weights-only", -1), ("rates-only", 1)])
def test_rates_are_powers_of_alpha(mode: str, sign: int) -> None:
    snf = field(1.5)
    groups = layerwise_lr(snf, 1.5, mode, lr=1e-3, power=2.0)
    assert [group["lr"] for group in groups] == pytest.approx(
        [1e-3 * 1.5 ** (2 * sign * e) for e in (3, 2, 1, 0, 0)]
    )
    held = [parameter for group in groups for parameter in group["params"]]
    assert len(held) == 10
    assert {id(p) for p in held} == {id(p) for p in snf.parameters()}


def test_sgd_weights_only_moves_the_early_layers_less() -> None:
    """Under SGD each layer's update is the plain one times the group's factor, 1 in the last two."""
    plain, grouped = field(2.0), field(2.0)
    start = [linear.weight.detach().clone() for linear in plain.linears()]
    image = signals.synthetic.checkerboard((8, 8), 2)
    fit(plain, image, steps=1, optimizer="sgd", lr=1e-2, schedule="constant")
    groups = layerwise_lr(grouped, 2.0, "weights-only", lr=1e-2)
    fit(grouped, image, steps=1, optimizer=lambda _: torch.optim.SGD(groups))
    for k, exponent in enumerate((3, 2, 1, 0, 0)):
        whole = plain.linears()[k].weight.detach() - start[k]
        part = grouped.linears()[k].weight.detach() - start[k]
        torch.testing.assert_close(part, whole * 2.0**-exponent, rtol=1e-3, atol=1e-7)


def test_adam_does_not_see_gradients_grow_but_obeys_the_rates() -> None:
    """Adam's first step is the rate itself wherever the gradient is not tiny, for either alpha."""
    image = signals.synthetic.checkerboard((8, 8), 2)
    for alpha in (1.0, 2.0):
        snf = field(alpha)
        start = [linear.weight.detach().clone() for linear in snf.linears()]
        groups = layerwise_lr(snf, 2.0, "rates-only", lr=1e-4)
        fit(snf, image, steps=1, optimizer=lambda _, groups=groups: torch.optim.Adam(groups))
        moved = [
            float((a.weight.detach() - b).abs().median()) for a, b in zip(snf.linears(), start, strict=True)
        ]
        assert moved == pytest.approx([8e-4, 4e-4, 2e-4, 1e-4, 1e-4], rel=0.02)


def test_the_schedule_scales_every_group() -> None:
    snf = field(2.0)
    made: list[torch.optim.Optimizer] = []

    def optimizer(_: list[Tensor]) -> torch.optim.Optimizer:
        made.append(torch.optim.Adam(layerwise_lr(snf, 2.0, "weights-only", lr=1e-3)))
        return made[0]

    fit(snf, signals.synthetic.checkerboard((8, 8), 2), steps=3, optimizer=optimizer, schedule="once:1:0.1")
    rates = [group["lr"] for group in made[0].param_groups]
    assert rates == pytest.approx([1e-4 * 2.0**-e for e in (3, 2, 1, 0, 0)])


def test_frozen_layers_have_no_group() -> None:
    snf = field(2.0)
    snf.linears()[0].requires_grad_(False)
    assert len(layerwise_lr(snf, 2.0, "rates-only")) == 4
    snf.requires_grad_(False)
    with pytest.raises(InputError, match="frozen"):
        layerwise_lr(snf, 2.0, "rates-only")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "weight-only"}, "did you mean 'weights-only'"),
        ({"alpha": 0.0}, "alpha .* above 0"),
        ({"alpha": math.nan}, "alpha .* finite"),
        ({"lr": -1.0}, "lr .* above 0"),
        ({"power": -1.0}, "power .* 0 or more"),
    ],
)
def test_bad_input_is_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        layerwise_lr(**{"field": field(2.0), "alpha": 2.0, "mode": "weights-only", **options})  # type: ignore[arg-type]


def test_other_fields_are_refused() -> None:
    with pytest.raises(InputError, match=r"sine or finer layers.*SNF of relu"):
        layerwise_lr(SNF(2, 1, 8, 1, activation="relu"), 2.0, "rates-only")
