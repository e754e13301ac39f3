"""Kumar's and PyTorch's gains, which VI3NR's Table 1 compares with."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fastsnf.errors import InputError
from fastsnf.nn import SNF, init
from fastsnf.spec import Finer, Gabor, Gaussian, Identity, RealGabor, ReLU, Sigmoid, Sinc, Sine, Tanh
from tests.nn.init.draws import FAN_IN, C, D, F, L, assert_normal, draws


@pytest.mark.parametrize(
    ("activation", "variance"),
    [
        (Tanh(), 1.0), (torch.sigmoid, 12.8), (Sigmoid(), 12.8), (Sine(30.0), 1 / 900), (Finer(5.0), 1 / 25),
        (Identity(), 1.0), (nn.functional.softplus, 4 / (1 + math.log(2) ** 2)), (Gabor(20.0, 10.0), 1 / 800),
        (lambda u: torch.sin(3 * u) + 2, 1 / (9 * 5)),
    ],
)  # fmt: skip
def test_kumars_gain_is_one_over_slope_and_value_at_0(
    activation: init.ActivationLike, variance: float
) -> None:
    assert init.kumar_gain(activation) ** 2 == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize(
    "activation",
    [Gaussian(10.0), Gaussian(1000.0), Sinc(30.0), RealGabor(20.0, 10.0), torch.cos, lambda u: u**3],
    ids=["gaussian", "narrow", "sinc", "gabor-real", "cos", "cubic"],
)  # fmt: skip
def test_without_a_slope_at_0_kumars_gain_is_refused(activation: init.ActivationLike) -> None:
    with pytest.raises(InputError, match=r"f'\(0\) other than 0.*use vi3nr"):
        init.kumar_gain(activation)


@pytest.mark.parametrize(
    "activation", [ReLU(), torch.abs, nn.functional.leaky_relu, torch.sqrt, lambda u: u.abs().sqrt()],
    ids=["relu", "abs", "leaky-relu", "sqrt", "cusp"],
)  # fmt: skip
def test_a_kink_at_0_is_refused(activation: init.ActivationLike) -> None:
    with pytest.raises(InputError, match=r"differentiable at 0.*use vi3nr"):
        init.kumar_gain(activation)


def test_kumar_normal_has_the_gain_of_each_layers_activation() -> None:
    field = SNF(D, C, F, L, activation=Sigmoid(), init="default")
    weights, _ = draws(field, init.kumar_normal_)
    for layer, fan_in in enumerate(FAN_IN):
        assert_normal(weights[layer], 12.8 / fan_in)


def test_kumar_normal_refuses_a_gaussian_field() -> None:
    with pytest.raises(InputError, match="Gaussian"):
        init.kumar_normal_(SNF(2, 3, 8, 1, activation="gaussian"))


@pytest.mark.parametrize(
    ("activation", "variance"),
    [(Tanh(), 25 / 9), (torch.tanh, 25 / 9), ("tanh", 25 / 9), (Sigmoid(), 1.0), (torch.sigmoid, 1.0),
     (ReLU(), 2.0), (nn.functional.relu, 2.0), (Identity(), 1.0), ("selu", 9 / 16),
     ("leaky_relu", 2 / 1.0001)],
)  # fmt: skip
def test_pytorchs_gains(activation: init.ActivationLike | str, variance: float) -> None:
    """Table 1 prints 2.78, 1 and 2 for tanh, sigmoid and ReLU."""
    assert init.pytorch_gain(activation) ** 2 == pytest.approx(variance, rel=1e-12)


@pytest.mark.parametrize("activation", [Sine(30.0), torch.sin, lambda u: u, "sine", nn.Tanhshrink()])
def test_pytorch_has_no_gain_for_the_others(activation: init.ActivationLike | str) -> None:
    with pytest.raises(InputError, match=r"PyTorch has a gain for \(.*tanh.*fastsnf.init.gain"):
        init.pytorch_gain(activation)
