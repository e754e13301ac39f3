"""Initializers: the distributions of the papers, layer by layer, over 20 seeds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch

from fastsnf.nn import SNF, Field, Siren, init
from fastsnf.spec import Finer, Sine
from tests.cases import generator
from tests.nn.init.draws import FAN_IN, FAN_OUT, C, D, F, assert_normal, assert_uniform, draws, make, parts

ROOT = math.sqrt(6 / F) / 25.0
"""SIREN's bound after the first layer, whose omega is in no bound."""


def scaled(alpha: float) -> list[float]:
    """Return SIREN's bounds (Sec. 3.2) with Eq. 3 of weight scaling: every layer but the last is scaled."""
    return [alpha / D, alpha * ROOT, alpha * ROOT, ROOT]


NO_OMEGA = {"first_omega": None, "hidden_omega": None}
DEFAULT = [1 / math.sqrt(n) for n in FAN_IN]
SUMS = [n + m for n, m in zip(FAN_IN, FAN_OUT, strict=True)]


class Case(NamedTuple):
    """An initializer with its arguments, the field it is for, and the formula per layer."""

    initialize: Callable[..., Field]
    arguments: dict[str, object]
    field: dict[str, object]
    bounds: list[float] | None = None
    variances: list[float] | None = None


UNIFORM: dict[str, Case] = {
    "weight-scaling": Case(init.weight_scaling_, {"alpha": 2.37}, {}, scaled(2.37)),
    "weight-scaling-1.5": Case(init.weight_scaling_, {"alpha": 1.5}, {}, scaled(1.5)),
    "weight-scaling-finer": Case(init.weight_scaling_, {}, {"activation": "finer"}, scaled(2.37)),
    "weight-scaling-sinc": Case(init.weight_scaling_, {}, {"activation": "sinc"}, scaled(2.37)),
    "weight-scaling-gabor-real": Case(
        init.weight_scaling_, {}, {"activation": "gabor-real", "scale": 3.0}, scaled(2.37)
    ),
    "weight-scaling-gaussian": Case(
        init.weight_scaling_, {}, {"activation": "gaussian", "scale": 25.0, **NO_OMEGA}, scaled(2.37)
    ),
    "siren-relu": Case(
        init.siren_, {}, {"activation": "relu", **NO_OMEGA}, [1 / D, *[math.sqrt(6 / F)] * 3]
    ),
    "siren": Case(init.siren_, {}, {}, scaled(1.0)),
    "frequency-tuning": Case(init.frequency_tuning_, {"factor": 3.0}, {}, [3 / D, ROOT, ROOT, ROOT]),
    "default": Case(init.default_, {}, {}, DEFAULT),
    "default-gaussian": Case(init.default_, {}, {"activation": "gaussian"}, DEFAULT),
    "default-gabor": Case(init.default_, {}, {"activation": "gabor"}, DEFAULT),
    "nfsl-uniform": Case(init.nfsl_uniform_, {}, {}, [*DEFAULT[:3], F**-0.75]),
    "nfsl-uniform-0.5": Case(init.nfsl_uniform_, {"head_factor": 0.5}, {}, [*DEFAULT[:3], 0.5 * F**-0.75]),
    "nfsl-sine": Case(init.nfsl_sine_, {}, {}, [1 / D, ROOT, ROOT, math.sqrt(6) / (25.0 * F**0.75)]),
    "xavier-uniform": Case(init.xavier_uniform_, {}, {}, [math.sqrt(6 / s) for s in SUMS]),
    "xavier-gain": Case(init.xavier_uniform_, {"gain": 1.7}, {}, [1.7 * math.sqrt(6 / s) for s in SUMS]),
    "kaiming-uniform": Case(init.kaiming_uniform_, {}, {}, [math.sqrt(6 / n) for n in FAN_IN]),
    "kaiming-fan-out": Case(
        init.kaiming_uniform_, {"mode": "fan-out"}, {"activation": "relu", **NO_OMEGA},
        [math.sqrt(6 / n) for n in FAN_OUT],
    ),
    "lecun-uniform": Case(init.lecun_uniform_, {}, {}, [math.sqrt(3 / n) for n in FAN_IN]),
}  # fmt: skip

NORMAL: dict[str, Case] = {
    "nfsl-normal": Case(init.nfsl_normal_, {}, {}, None, [*(1 / n for n in FAN_IN[:3]), 2 * F**-1.5]),
    "nfsl-normal-text": Case(
        init.nfsl_normal_, {"head_factor": 1.0}, {}, None, [*(1 / n for n in FAN_IN[:3]), F**-1.5]
    ),
    "xavier-normal": Case(init.xavier_normal_, {}, {}, None, [2 / s for s in SUMS]),
    "kaiming-normal": Case(init.kaiming_normal_, {}, {}, None, [2 / n for n in FAN_IN]),
    "kaiming-gain": Case(
        init.kaiming_normal_, {"gain": 0.5, "mode": "fan_out"}, {}, None, [0.25 / n for n in FAN_OUT]
    ),
    "lecun-normal": Case(init.lecun_normal_, {}, {}, None, [1 / n for n in FAN_IN]),
    "random-normal": Case(init.random_normal_, {"std": 0.07}, {}, None, [0.07**2] * 4),
    "kumar-normal": Case(
        init.kumar_normal_, {}, {}, None,
        [1 / (n * omega**2) for n, omega in zip(FAN_IN, (70, 25, 25, 25), strict=True)],
    ),
}  # fmt: skip

CASES = UNIFORM | NORMAL
COMPLEX = (
    "weight-scaling",
    "frequency-tuning",
    "nfsl-sine",
    "nfsl-normal",
    "nfsl-uniform",
    "xavier-normal",
    "kaiming-uniform",
    "lecun-uniform",
    "random-normal",
)
"""Initializers that hold E|w|^2 in complex layers; PyTorch's default draws either part as a real weight."""


@pytest.mark.parametrize("name", CASES)
def test_weights_and_biases_follow_the_distributions_of_the_papers(name: str) -> None:
    case = CASES[name]
    weights, biases = draws(make(**case.field), case.initialize, **case.arguments)
    for layer, fan_in in enumerate(FAN_IN):
        if case.bounds is not None:
            assert_uniform(weights[layer], case.bounds[layer])
        else:
            assert case.variances is not None
            assert_normal(weights[layer], case.variances[layer])
        assert_uniform(biases[layer], 1 / math.sqrt(fan_in))  # never scaled


@pytest.mark.parametrize("name", ["weight-scaling", "siren", "default", "default-gabor", "xavier-normal"])
def test_like_weights_draws_biases_from_the_distribution_of_their_weights(name: str) -> None:
    case = CASES[name]
    field = make(**case.field)
    _, biases = draws(field, case.initialize, **case.arguments, bias_init="like-weights")
    for layer in range(len(FAN_IN)):
        if case.bounds is not None:
            assert_uniform(biases[layer], case.bounds[layer])
        else:
            assert case.variances is not None
            assert_normal(biases[layer], case.variances[layer])


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_layers_have_the_variance_of_the_formula_in_the_square_of_their_weights(name: str) -> None:
    case = CASES[name]
    weights, _ = draws(make(activation="gabor"), case.initialize, **case.arguments)
    for layer in range(len(FAN_IN)):
        assert weights[layer].is_complex() == (layer > 0)
        share = 0.5 if layer else 1.0  # of the real part, as of the imaginary one
        if case.bounds is not None:
            assert_uniform(weights[layer], case.bounds[layer] * math.sqrt(share))
        else:
            assert case.variances is not None
            assert_normal(weights[layer], case.variances[layer] * share)


def test_the_parts_of_complex_weights_are_drawn_apart() -> None:
    weights, _ = draws(make(activation="gabor"), init.lecun_normal_)
    pairs = torch.view_as_real(weights[1]).double()
    correlation = float((pairs[:, 0] * pairs[:, 1]).mean() / parts(weights[1]).square().mean())
    assert abs(correlation) < 4 / math.sqrt(len(pairs))


def test_mixed_sine_and_finer_layers_take_their_own_omegas() -> None:
    field = SNF(D, C, 4000, 1, activation=Finer(8.0), first_activation=Sine(50.0), init="siren")
    first, hidden, last = (weight.abs().max().item() for weight in field.layer_tensors()[0])
    assert first == pytest.approx(1 / D, rel=1e-2)
    assert hidden == pytest.approx(math.sqrt(6 / 4000) / 8, rel=1e-2)
    assert last == pytest.approx(math.sqrt(6 / 4000) / 8, rel=1e-2)


def test_without_hidden_layers_the_last_layer_still_takes_the_hidden_omega() -> None:
    field = Siren(1, 4000, 0, 1, first_omega_0=3000.0, hidden_omega_0=15.0)
    assert field.layer_tensors()[0][-1].abs().max().item() == pytest.approx(
        math.sqrt(6 / 4000) / 15, rel=1e-2
    )


def test_frequency_tuning_is_the_initial_function_of_a_larger_first_omega() -> None:
    tuned = make(first_omega=30.0)
    init.frequency_tuning_(tuned, factor=2.5, bias_init="zero", generator=generator(4))
    larger = make(first_omega=75.0)
    init.siren_(larger, bias_init="zero", generator=generator(4))
    x = 2 * torch.rand(100, D, generator=generator(5)) - 1
    assert torch.allclose(tuned(x), larger(x), atol=1e-5)


def test_nfsl_sine_is_siren_with_a_last_layer_smaller_by_the_fourth_root_of_its_fan_in() -> None:
    siren, smaller = make(), make()
    init.siren_(siren, generator=generator(2))
    init.nfsl_sine_(smaller, generator=generator(2))
    theirs, ours = siren.layer_tensors()[0], smaller.layer_tensors()[0]
    assert all(torch.equal(a, b) for a, b in zip(theirs[:-1], ours[:-1], strict=True))
    assert torch.allclose(theirs[-1], ours[-1] * F**0.25, rtol=1e-6)
