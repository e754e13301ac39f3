"""Roots of VI3NR's Eq. 13, against closed forms, digits known from elsewhere and the paper's figures."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from fastsnf.errors import InputError
from fastsnf.nn import init
from fastsnf.nn.init.grid_search import published_step
from fastsnf.spec import (
    Activation,
    Custom,
    Finer,
    Gabor,
    Gaussian,
    RealGabor,
    ReLU,
    Sigmoid,
    Sinc,
    Sine,
    Tanh,
)
from tests.cases import count
from tests.nn.init.expected import of_spec

SLOW = pytest.mark.skipif(count(10) == 1, reason="two seconds of sampling; runs with --all")

GAUSSIAN = math.sqrt(1 + math.sqrt(2))
"""The Gaussian's root over its sigma_a: with E[f^2] = (1 + 2 t)^(-1/2) and E[f'^2] = t (1 + 2 t)^(-3/2) /
sigma_p^2 for t = sigma_p^2 / sigma_a^2, Eq. 13 is t^2 = 1 + 2 t."""


@pytest.mark.parametrize(
    ("activation", "root"),
    [
        (Gaussian.from_sigma(0.05), 0.05 * GAUSSIAN),
        (Gaussian(200.0), GAUSSIAN / (200 * math.sqrt(2))),
        (lambda u: torch.exp(-(u**2) / (2 * 0.05**2)), 0.05 * GAUSSIAN),
        (lambda u: torch.exp(-((300 * u) ** 2)), GAUSSIAN / (300 * math.sqrt(2))),
        (lambda u: torch.exp(5 * u), 0.2),  # E[f'^2] = 25 E[f^2]
    ],
    ids=["gaussian", "narrow", "gaussian-function", "narrow-function", "exponential"],
)
def test_exact_roots(activation: init.ActivationLike, root: float) -> None:
    assert init.solve_sigma_p(activation) == pytest.approx(root, rel=1e-9)


@pytest.mark.parametrize(
    ("activation", "root"),
    [
        (Sigmoid(), 6.7546), (torch.sigmoid, 6.7546), (Sinc(1.0), 2.2233), (Sinc(30.0, 30.0), 2.2233 / 30),
        (lambda u: torch.sinc(u / math.pi), 2.2233), (RealGabor(1.0, 1.0), 0.8705),
        (Custom(lambda u: torch.cos(u) * torch.exp(-(u**2)), name="tests.wavelet"), 0.8705),
    ],
    ids=["sigmoid", "torch.sigmoid", "sinc", "sinc-30", "sinc-function", "gabor-real", "custom"],
)  # fmt: skip
def test_known_roots(activation: init.ActivationLike, root: float) -> None:
    """The roots to four digits, as bisection of Eq. 13 with a dense trapezoid gives them."""
    assert init.solve_sigma_p(activation) == pytest.approx(root, rel=6e-5)  # half of their last digit


@pytest.mark.parametrize("act", [Sinc(2.0, amplitude=3.0), Sigmoid(), Finer(4.0), RealGabor(7.0, 2.0)])
def test_the_root_meets_the_condition_of_formulas_written_elsewhere(act: Activation) -> None:
    root = init.solve_sigma_p(act)
    assert root is not None
    _, square, slope = of_spec(act, root)
    assert root**2 * slope / square == pytest.approx(1.0, rel=1e-7)


@pytest.mark.parametrize(
    "activation",
    [Sine(30.0), Sine(0.5), Tanh(), torch.tanh, lambda u: torch.sin(30 * u), nn.functional.gelu, torch.asinh],
    ids=["sine", "slow-sine", "tanh", "torch.tanh", "sine-function", "gelu", "asinh"],
)
def test_no_positive_root_is_none(activation: init.ActivationLike) -> None:
    """The condition is above 1 and tends to 1 as sigma_p -> 0."""
    assert init.solve_sigma_p(activation) is None
    assert init.condition(activation, 1.0) > 1.0


def test_the_condition_of_sine_is_that_of_its_formula() -> None:
    """x coth(x) with x = (omega sigma_p)^2: 1 + x^2 / 3 near 0."""
    for sigma in (0.003, 0.05, 0.4):
        x = (30 * sigma) ** 2
        assert init.condition(Sine(30.0), sigma) == pytest.approx(x / math.tanh(x), rel=1e-13)


@pytest.mark.parametrize("activation", [ReLU(), torch.relu, nn.functional.leaky_relu, lambda u: 3 * u])
def test_where_every_sigma_p_is_a_root_the_answer_is_1(activation: init.ActivationLike) -> None:
    assert init.solve_sigma_p(activation) == 1.0
    assert init.condition(activation, 0.2) == pytest.approx(1.0, rel=1e-9)
    assert init.solve_sigma_p(activation, fan_ratio=2.0) is None
    assert init.solve_sigma_p(activation, as_published=True) == 1.0


@pytest.mark.parametrize("ratio", [0.25, 3.0])
def test_the_ratio_of_widths_moves_the_root(ratio: float) -> None:
    """Of a Gaussian t^2 ratio = 1 + 2 t, as `GAUSSIAN`."""
    t = (1 + math.sqrt(1 + ratio)) / ratio
    found = init.solve_sigma_p(Gaussian.from_sigma(0.1), fan_ratio=ratio)
    assert found == pytest.approx(0.1 * math.sqrt(t), rel=1e-9)
    assert init.condition(Gaussian.from_sigma(0.1), found, fan_ratio=ratio) == pytest.approx(1.0, rel=1e-9)


def test_a_narrowing_layer_gives_sine_a_root() -> None:
    found = init.solve_sigma_p(Sine(30.0), fan_ratio=0.5)
    assert found is not None
    x = (30 * found) ** 2
    assert 0.5 * x / math.tanh(x) == pytest.approx(1.0, rel=1e-9)


def test_complex_gabor_has_a_root_for_complex_and_for_real_input() -> None:
    act = Gabor(20.0, 10.0)
    for complex_input in (False, True):
        found = init.solve_sigma_p(act, complex_input=complex_input)
        assert found is not None
        drawn = init.moments(act, found, method="monte-carlo", samples=200_000, complex_input=complex_input)
        share = 1.0 if complex_input else 0.5  # a real u takes the real part of its gradient
        off = drawn.slope_square_error / drawn.slope_square + drawn.square_error / drawn.square
        assert share * found**2 * drawn.slope_square / drawn.square == pytest.approx(1.0, abs=4 * off)


def test_a_root_is_read_again_when_what_a_function_encloses_changes() -> None:
    scale = torch.tensor(1.0, dtype=torch.float64)

    def act(u: Tensor) -> Tensor:
        return torch.exp(-((scale * u) ** 2))

    first = init.solve_sigma_p(act)
    scale.fill_(4.0)
    second = init.solve_sigma_p(act)
    assert first is not None
    assert second == pytest.approx(first / 4, rel=1e-9)


@pytest.mark.parametrize(
    ("activation", "published"),
    [(Sine(30.0), 0.004), (Tanh(), 0.1), (torch.sigmoid, 6.8), (Gaussian.from_sigma(0.05), 0.078),
     (RealGabor(1.0, 1.0), 0.871), pytest.param(Sinc(1.0), 2.225, marks=SLOW)],
    ids=["sine", "tanh", "sigmoid", "gaussian", "wavelet", "sinc"],
)  # fmt: skip
def test_the_papers_figures_come_out_of_its_grid_and_sampling(
    activation: init.ActivationLike, published: float
) -> None:
    state = torch.get_rng_state()
    assert init.solve_sigma_p(activation, as_published=True) == pytest.approx(published, rel=1e-9)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_papers_figure_for_sine_is_one_of_its_samples() -> None:
    assert init.solve_sigma_p(Sine(30.0), as_published=True, seed=0) == pytest.approx(0.001)


def test_the_grid_is_that_of_the_table() -> None:
    assert [published_step(act) for act in (Tanh(), torch.sigmoid, nn.functional.relu)] == [0.1] * 3
    assert [published_step(act) for act in (Sine(30.0), Gaussian(1.0), torch.sin)] == [0.001] * 3


@pytest.mark.parametrize(
    ("function", "message"),
    [(lambda u: 0 * u, "second moment.*is zero, and VI3NR cannot serve it"), (torch.sqrt, "undefined")],
    ids=["zero", "nan"],
)
def test_an_activation_without_moments_has_no_root_to_look_for(
    function: init.ActivationLike, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        init.solve_sigma_p(function)


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan, "1"])
def test_a_bad_ratio_is_refused(ratio: object) -> None:
    for call in (init.solve_sigma_p, init.condition):
        with pytest.raises(InputError, match="fan_ratio to be a number above 0"):
            call(Tanh(), fan_ratio=ratio)  # type: ignore[operator]


def test_complex_input_is_for_complex_activations() -> None:
    with pytest.raises(InputError, match="complex_input with a complex activation"):
        init.solve_sigma_p(Tanh(), complex_input=True)
    with pytest.raises(InputError, match="real input, as the paper"):
        init.solve_sigma_p(Gabor(), complex_input=True, as_published=True)
