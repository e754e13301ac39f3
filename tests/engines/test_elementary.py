"""Sine, cosine and the other elementary functions of every variant, argument by argument, against float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.engines import native
from fastsnf.spec import Activation, FieldSpec, Finer, Gaussian, RealGabor, ReLU, Sigmoid, Sinc, Sine, Tanh
from tests import cases
from tests.engines.runs import EVERY_VARIANT
from tests.tolerances import FLOAT32, SINE_ABSOLUTE

EPS = torch.finfo(torch.float32).eps
TINY = torch.finfo(torch.float32).tiny


def evaluate(act: Activation, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return the engine's ``act(u)`` and its derivative for u [N], through a field of one weight of 1."""
    spec, one, x = FieldSpec((act,)), [torch.ones(1, 1)], u.unsqueeze(-1)
    out = native.forward(x, one, [None], spec)
    slope, _, _ = native.backward(x, one, [None], spec, torch.ones_like(x), need_params=False)
    assert slope is not None
    return out.squeeze(-1), slope.squeeze(-1)


def both_signs(u: Tensor) -> Tensor:
    """Return u and -u in float32, shuffled, so that a vector holds arguments of every size."""
    u = torch.cat([u, -u]).float()
    return u[torch.randperm(len(u), generator=cases.generator())]


def assert_sine_and_cosine(x: Tensor) -> None:
    """Assert the error for finite x, and that nothing leaves [-1, 1]."""
    for found, exact in zip(evaluate(Sine(1.0), x), (x.double().sin(), x.double().cos()), strict=True):
        assert (found.double() - exact).abs().max() <= SINE_ABSOLUTE
        assert found.abs().max() <= 1.0


@EVERY_VARIANT
def test_sine_and_cosine_up_to_1e5(variant: str) -> None:
    number = cases.count(500_000)
    with native.use_variant(variant):
        assert_sine_and_cosine(both_signs(torch.linspace(0.0, 1e5, number, dtype=torch.float64)))
        assert_sine_and_cosine(
            both_signs(torch.logspace(-40.0, 5.0, number, dtype=torch.float64).clamp(max=1e5))
        )
        assert_sine_and_cosine(both_signs(torch.linspace(0.0, 8.0, number, dtype=torch.float64)))


@EVERY_VARIANT
def test_sine_and_cosine_around_multiples_of_a_quarter_turn(variant: str) -> None:
    k = torch.arange(0, 63_660, 1 if cases.count(10) == 10 else 17, dtype=torch.float64)
    x = (k * (math.pi / 2)).float()
    below, above = (torch.nextafter(x, torch.tensor(end)) for end in (-math.inf, math.inf))
    with native.use_variant(variant):
        assert_sine_and_cosine(torch.cat([x, below, above, -x]))


@EVERY_VARIANT
def test_sine_and_cosine_beyond_1e5(variant: str) -> None:
    points = torch.tensor([100_000.01, 100_001.0, 1e6, 1e10, 2.0**100, 3e38], dtype=torch.float64)
    spread = torch.logspace(5.0, 38.5, cases.count(100_000), dtype=torch.float64)
    with native.use_variant(variant):
        assert_sine_and_cosine(both_signs(torch.cat([points, spread])))


@EVERY_VARIANT
def test_one_large_argument_among_small_ones(variant: str) -> None:
    x = torch.linspace(-3.0, 3.0, 1000)
    with native.use_variant(variant):
        for place in (0, 5, 500, 999):
            assert_sine_and_cosine(x.index_fill(0, torch.tensor([place]), 1e10))


@EVERY_VARIANT
def test_small_arguments_keep_their_relative_accuracy(variant: str) -> None:
    x = both_signs(torch.logspace(-37.0, -3.0, 2001, dtype=torch.float64))
    with native.use_variant(variant):
        for act in (Sine(1.0), Tanh()):
            value, _ = evaluate(act, x)
            exact = x.double().sin() if isinstance(act, Sine) else x.double().tanh()
            assert ((value.double() - exact).abs() <= 2 * EPS * x.double().abs()).all()


@EVERY_VARIANT
@pytest.mark.parametrize(
    "act",
    [Sine(1.0), Sinc(1.0), RealGabor(1.0, 1.0), Finer(1.0), Gaussian(1.0), Tanh(), Sigmoid()],
    ids=cases.name,
)
def test_nan_and_infinity(act: Activation, variant: str) -> None:
    x = torch.tensor([math.nan, math.inf, -math.inf, 0.5, -0.0, 0.0, 1e-45])
    eager = x.clone().requires_grad_()
    value = reference.activations.value(act, eager)
    (slope,) = torch.autograd.grad(value.sum(), eager)
    with native.use_variant(variant):
        for found, expected in zip(evaluate(act, x), (value.detach(), slope), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6, equal_nan=True)


@EVERY_VARIANT
def test_relu_keeps_nan_and_infinity(variant: str) -> None:
    x = torch.tensor([math.nan, math.inf, -math.inf, 3.0, -3.0, 0.0, -0.0])
    with native.use_variant(variant):
        value, slope = evaluate(ReLU(), x)
    assert value[0].isnan()
    assert torch.equal(value[1:], torch.tensor([math.inf, 0.0, 3.0, 0.0, 0.0, 0.0]))
    assert torch.equal(slope[1:], torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 0.0]))


@EVERY_VARIANT
@pytest.mark.parametrize(
    "act", [*(a for a in cases.REAL_ACTIVATIONS if not isinstance(a, ReLU)), Sinc(3.0, 7.0)], ids=str
)
def test_value_and_derivative_near_and_far(act: Activation, variant: str) -> None:
    """Around 0, where formulas change over and series end, and out to where exponentials vanish."""
    steep = cases.steepness(act)
    u = both_signs(torch.logspace(-8.0, 1.3, cases.count(20_000), dtype=torch.float64) / steep)
    u = torch.cat([u, torch.zeros(1), both_signs(torch.linspace(0.0, 2.5 / steep, 4001))])
    with native.use_variant(variant):
        value, slope = evaluate(act, u)
    exact = reference.activations.value(act, u.double()), reference.activations.first(act, u.double())
    # The argument omega u is rounded once: it moves a function of slope S by eps |u| S.
    bend = reference.activations.second(act, u.double()).abs() * u.double().abs() * EPS
    for found, wanted, moved in zip(
        (value, slope), exact, (exact[1].abs() * u.abs() * EPS, bend), strict=True
    ):
        allowed = 4 * moved + 4 * EPS * wanted.abs().max()
        assert ((found.double() - wanted).abs() <= allowed).all()


@EVERY_VARIANT
def test_sinc_at_zero(variant: str) -> None:
    with native.use_variant(variant):
        value, slope = evaluate(Sinc(30.0), torch.tensor([0.0, -0.0, 1e-45, 1e-38, -1e-30]))
    assert torch.equal(value, torch.ones(5))
    assert slope.abs().max() <= 1e-25


@EVERY_VARIANT
def test_gaussian_underflows_to_zero(variant: str) -> None:
    x = torch.tensor([9.2, 9.34, 9.35, 10.0, 30.0, 1e10, 1e30, 1.7e38])
    with native.use_variant(variant):
        value, slope = evaluate(Gaussian(1.0), both_signs(x))
    assert value.max() <= 2e-37
    assert value.min() >= 0.0
    assert slope.abs().max() <= 4e-36
    assert ((value == 0.0) | (value >= TINY)).all()


@EVERY_VARIANT
def test_tanh_saturates(variant: str) -> None:
    x = both_signs(torch.tensor([9.1, 20.0, 44.0, 45.0, 89.0, 1e5, 1e30, 3e38]))
    with native.use_variant(variant):
        value, slope = evaluate(Tanh(), x)
    assert ((value - x.sign()).abs() <= EPS).all()
    assert (slope.abs() <= 4 * EPS).all()


@EVERY_VARIANT
def test_sigmoid_is_accurate_in_both_tails(variant: str) -> None:
    """Relative to themselves: neither 1 / (1 + e^-u) far below 0 nor s (1 - s) far above it cancels."""
    x = both_signs(torch.cat([torch.linspace(0.0, 86.0, 4001), torch.logspace(-30.0, 0.0, 200)]))
    with native.use_variant(variant):
        value, slope = evaluate(Sigmoid(), x)
    tail = (-x.double().abs()).exp()
    exact_value = torch.where(x < 0, tail, 1.0) / (1.0 + tail)
    exact_slope = tail / (1.0 + tail).square()
    for found, exact in ((value, exact_value), (slope, exact_slope)):
        assert ((found.double() - exact).abs() <= 5e-7 * exact).all()


@EVERY_VARIANT
def test_complex_gabor_overflows_as_eager(variant: str) -> None:
    """exp(-omega b) of an imaginary part b far below 0 leaves float32's range, scale^2 b^2 brings it back."""
    spec = FieldSpec.mlp(cases.ACTIVATIONS[3], 1)
    imaginary = torch.tensor([-1.5, -1.0, -0.5, -0.1, 0.0, 0.1, 1.0, 9.0])
    weights = [
        torch.ones(1, 1),
        torch.zeros(8, 1, dtype=torch.complex64),
        torch.eye(8, dtype=torch.complex64),
    ]
    biases = [None, torch.complex(torch.full((8,), 0.01), imaginary), None]
    x = torch.zeros(3, 1)
    with native.use_variant(variant):
        found = native.forward(x, weights, biases, spec)
    torch.testing.assert_close(
        found, reference.forward(x, weights, biases, spec), rtol=FLOAT32 * 10, atol=0.0
    )
