"""VI3NR: variances of every layer by the formula, and what a field's pre-activations then do."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fastsnf import ops
from fastsnf.encodings import FourierFeatures, Positional
from fastsnf.errors import InputError
from fastsnf.nn import SNF, LayeredField, init
from fastsnf.nn.linear import linear_chain
from fastsnf.spec import (
    Activation,
    Custom,
    FieldSpec,
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
from tests.cases import generator, name
from tests.nn.init.draws import FAN_IN, FAN_OUT, C, D, F, L, assert_normal, assert_uniform, draws
from tests.nn.init.expected import FORMULAS, of_spec

REAL = tuple(act for act in FORMULAS if not act.is_complex and act.name != "identity")


def field_of(act: Activation, **options: object) -> SNF:
    return SNF(D, C, F, L, activation=act, init="default", **options)


def expected(act: Activation, sigma: float, condition: str) -> list[float]:
    """Return Eq. 4 (or 12) of every layer, with moments by a trapezoid of formulas written in the tests."""
    _, square, slope = of_spec(act, sigma)
    first = sigma**2 / (D / 3)
    if condition == "forward":
        return [first, *(sigma**2 / (n * square) for n in FAN_IN[1:])]
    return [first, *(1 / (m * slope) for m in FAN_OUT[1:])]


@pytest.mark.parametrize("condition", ["forward", "backward"])
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("act", REAL, ids=name)
def test_weights_have_the_variances_of_the_formula(
    act: Activation, distribution: str, condition: str
) -> None:
    sigma = 0.4
    weights, _ = draws(
        field_of(act), init.vi3nr_, sigma_p=sigma, distribution=distribution, condition=condition
    )
    for layer, variance in enumerate(expected(act, sigma, condition)):
        if distribution == "uniform":
            assert_uniform(weights[layer], math.sqrt(3 * variance))
        else:
            assert_normal(weights[layer], variance)


@pytest.mark.parametrize("condition", ["forward", "backward"])
def test_complex_layers_have_the_variance_of_the_formula_in_the_square_of_their_weights(
    condition: str,
) -> None:
    """The first hidden layer sees Gabor of real u, those after it Gabor of complex u."""
    act, sigma = Gabor(5.0, 2.0), 0.15
    weights, _ = draws(field_of(act), init.vi3nr_, sigma_p=sigma, condition=condition)
    seen = [
        init.moments(act, sigma, method="monte-carlo", samples=300_000, complex_input=complex_input)
        for complex_input in (False, True, True)
    ]
    assert_uniform(weights[0], sigma * math.sqrt(9 / D))
    for layer, found in enumerate(seen, start=1):
        if condition == "forward":
            variance = sigma**2 / (FAN_IN[layer] * found.square)
        else:
            share = 0.5 if layer == 1 else 1.0
            variance = 1 / (FAN_OUT[layer] * share * found.slope_square)
        parts = torch.view_as_real(weights[layer]).double()
        assert float(parts.square().sum(-1).mean()) == pytest.approx(variance, rel=0.02)
        assert float(parts.abs().max()) == pytest.approx(math.sqrt(1.5 * variance), rel=0.01)


@pytest.mark.parametrize(
    ("act", "sigma"),
    [(Sine(30.0), 1 / 30), (Gaussian(10.0), None), (Sinc(30.0), 0.05), (RealGabor(20.0, 10.0), None),
     (Finer(30.0), None), (ReLU(), 0.7), (Tanh(), 1.0), (Sigmoid(), None), (Gabor(20.0, 10.0), None),
     (Custom(torch.tanh, name="torch.tanh"), 0.5)],
    ids=lambda value: value.name if isinstance(value, Activation) else "",
)  # fmt: skip
def test_pre_activations_keep_their_deviation(act: Activation, sigma: float | None) -> None:
    """Over 8 seeds of width 256 the deviations scatter by some 3 %; the formula is that of infinite width."""
    field = SNF(2, 3, 256, 4, activation=act, init="default")
    x = 2 * torch.rand(64, 2, generator=generator(1)) - 1
    wanted = [
        (sigma or init.solve_sigma_p(act, complex_input=layer > 0 and act.is_complex) or math.nan)
        for layer in range(5)
    ]
    ratios = []
    for seed in range(8):
        init.vi3nr_(field, sigma_p=sigma, bias_init="zero", generator=generator(seed))
        ratios.append([u / w for u, w in zip(deviations(field, x), wanted, strict=False)])
    mean = torch.tensor(ratios).mean(dim=0)
    assert torch.allclose(mean[1:], torch.ones(4), atol=0.12)


def deviations(field: SNF, x: Tensor) -> list[float]:
    """Return sqrt(E|u|^2) of every layer's pre-activations at `x`."""
    h, found = x, []
    for linear, act in zip(field.linears(), field.spec.activations, strict=True):
        u = linear(h.to(linear.weight.dtype))
        found.append(float(u.detach().abs().square().mean().sqrt()))
        h = ops.activate(u, activation=act)
    return found


def test_sine_at_one_over_omega_is_siren_up_to_the_moment_of_sin() -> None:
    """VI3NR, supplement 7: sin(x) at sigma_p = 1 gives 2.31 / n; SIREN's 2 / n takes E[sin^2] as 1/2."""
    field = field_of(Sine(30.0))
    init.vi3nr_(field, sigma_p=1 / 30, generator=generator())
    first = [weight.clone() for weight in field.layer_tensors()[0]]
    init.vi3nr_(field, sigma_p=1.0, after_omega=True, generator=generator())
    assert all(torch.equal(a, b) for a, b in zip(first, field.layer_tensors()[0], strict=True))
    init.siren_(field, generator=generator())
    ratio = (first[1] / field.layer_tensors()[0][1]).detach().mean() ** 2
    assert float(ratio) == pytest.approx(1 / (1 - math.exp(-2)), rel=1e-5)


def test_without_sigma_p_sine_takes_one_over_omega_and_a_gaussian_its_root() -> None:
    sine, gaussian = field_of(Sine(20.0)), field_of(Gaussian(4.0))
    for field, sigma in ((sine, 1 / 20), (gaussian, init.solve_sigma_p(Gaussian(4.0)))):
        init.vi3nr_(field, generator=generator(3))
        first = [weight.clone() for weight in field.layer_tensors()[0]]
        init.vi3nr_(field, sigma_p=sigma, generator=generator(3))
        assert all(torch.equal(a, b) for a, b in zip(first, field.layer_tensors()[0], strict=True))


def test_layers_of_different_omega_have_their_own_deviation_and_moments() -> None:
    field = SNF(D, C, F, L, first_omega=90.0, hidden_omega=10.0, init="default")
    weights, _ = draws(field, init.vi3nr_)
    square = (1 - math.exp(-2)) / 2  # of sine at omega sigma_p = 1
    variances = [3 / (D * 90**2), *([1 / (F * square * 10**2)] * 3)]
    for layer, variance in enumerate(variances):
        assert_uniform(weights[layer], math.sqrt(3 * variance))


@pytest.mark.parametrize(
    ("encoding", "features"),
    [(Positional(6), 26), (Positional(6, include_input=False), 24), (FourierFeatures(64, sigma=8.0), 128)],
)
def test_the_input_of_an_encoded_field_is_its_features(encoding: object, features: int) -> None:
    field = SNF(2, C, 400, 0, activation="relu", encoding=encoding, init="default", generator=generator(7))
    init.vi3nr_(field, sigma_p=0.5, distribution="normal", generator=generator())
    x = 2 * torch.rand(20_000, 2, generator=generator(2)) - 1
    moment = float(field.encode(x).square().mean())
    found = float(field.layer_tensors()[0][0].detach().square().mean())
    assert found == pytest.approx(0.25 / (features * moment), rel=0.06)
    known = field.layer_tensors()[0][0].clone()
    init.vi3nr_(field, sigma_p=0.5, distribution="normal", input_moment=x, generator=generator())
    assert torch.allclose(field.layer_tensors()[0][0], known, rtol=0.02)


def test_the_input_moment_is_given_or_measured() -> None:
    points = torch.tensor([[0.5, -0.5], [1.5, 2.0]])  # mean square 1.6875
    field = field_of(Tanh())
    init.vi3nr_(field, sigma_p=1.0, input_moment=points, generator=generator())
    measured = field.layer_tensors()[0][0].clone()
    init.vi3nr_(field, sigma_p=1.0, input_moment=1.6875, generator=generator())
    assert torch.allclose(measured, field.layer_tensors()[0][0], rtol=1e-6)
    init.vi3nr_(field, sigma_p=1.0, generator=generator())
    assert torch.allclose(measured * math.sqrt(1.6875 * 3), field.layer_tensors()[0][0], rtol=1e-6)


def test_forward_and_backward_agree_at_the_root() -> None:
    field = SNF(2, F, F, L, activation=Gaussian(10.0), init="default")
    weights = []
    for condition in ("forward", "backward"):
        init.vi3nr_(field, condition=condition, generator=generator())
        weights.append([weight.clone() for weight in field.layer_tensors()[0]])
    assert all(torch.allclose(a, b, rtol=1e-5) for a, b in zip(*weights, strict=True))


def test_monte_carlo_moments_are_seeded_apart_from_the_weights() -> None:
    field = field_of(Tanh())
    init.vi3nr_(field, sigma_p=1.0, generator=generator())
    exact = [weight.clone() for weight in field.layer_tensors()[0]]
    state = torch.get_rng_state()
    init.vi3nr_(field, sigma_p=1.0, method="monte-carlo", samples=10_000, generator=generator())
    assert torch.equal(torch.get_rng_state(), state)
    sampled = field.layer_tensors()[0]
    assert torch.equal(exact[0], sampled[0])
    for a, b in zip(exact[1:], sampled[1:], strict=True):
        assert not torch.equal(a, b)
        assert torch.allclose(a, b, rtol=0.05)


def test_sigma_p_reaches_vi3nr_through_the_field() -> None:
    field = SNF(D, C, F, L, activation="tanh", init="vi3nr", sigma_p=0.3, generator=generator())
    again = field_of(Tanh())
    init.vi3nr_(again, sigma_p=0.3, generator=generator())
    assert all(torch.equal(a, b) for a, b in zip(field.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (lambda u: 0 * u, {"sigma_p": 1.0}, "second moment.*is zero, and VI3NR cannot serve it"),
        (lambda u: torch.exp(u**2), {"sigma_p": 1.0}, "is infinite, and VI3NR cannot serve it"),
        (
            lambda u: (u > 0).to(u.dtype),
            {"sigma_p": 1.0, "condition": "backward"},
            "mean square slope.*is zero",
        ),
    ],
    ids=["zero", "infinite", "step-backward"],
)
def test_an_activation_that_vi3nr_cannot_serve_is_refused(
    function: init.ActivationLike, options: dict[str, object], message: str, request: pytest.FixtureRequest
) -> None:
    field = field_of(Custom(function, name=f"tests.{request.node.name}"))
    before = [parameter.clone() for parameter in field.parameters()]
    with pytest.raises(InputError, match=message):
        init.vi3nr_(field, **options)  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(before, field.parameters(), strict=True))


@pytest.mark.parametrize(
    "points", [torch.rand(5, 3), torch.empty(0, 2), torch.zeros(4, 2), torch.tensor(-1.0)]
)
def test_a_bad_input_moment_is_refused(points: Tensor) -> None:
    with pytest.raises(InputError, match=r"input_moment|second moment of the coordinates"):
        init.vi3nr_(field_of(Tanh()), sigma_p=1.0, input_moment=points)


def test_a_field_of_one_layer_has_the_moment_of_its_input() -> None:
    spec = FieldSpec((Tanh(),))
    field = LayeredField(spec, linear_chain(spec, [3, 20_000]))
    init.vi3nr_(field, sigma_p=0.5, generator=generator())
    (weight,) = field.layer_tensors()[0]
    assert_uniform(weight.detach(), math.sqrt(3 * 0.25 / (3 / 3)))
