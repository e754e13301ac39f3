"""Moments of activations against closed forms and a fine trapezoid of formulas written here."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fastsnf.errors import InputError
from fastsnf.nn import init
from fastsnf.nn.init.quadrature import EXACT, Effort, expectations
from fastsnf.spec import Activation, Custom, Gabor, Gaussian, Identity, RealGabor, ReLU, Sinc, Sine, Tanh
from tests.nn.init.expected import FORMULAS, Formula, of_spec

KINK = 1e-8
"""Relative error of the trapezoid where a formula has a kink or a step at 0."""


def kinked(u: Tensor) -> Tensor:
    """Return a function with a kink at 0.37 and a slope on both sides."""
    return torch.where(u > 0.37, u - 0.37, 0.2 * (0.37 - u))


@pytest.mark.parametrize("method", ["auto", "quadrature"])
@pytest.mark.parametrize("sigma", [0.01, 0.3, 2.0])
@pytest.mark.parametrize("act", FORMULAS, ids=lambda act: act.name)
def test_moments_are_those_of_a_fine_trapezoid(act: Activation, sigma: float, method: str) -> None:
    found = init.moments(act, sigma, method=method)
    mean, square, slope = of_spec(act, sigma)
    assert found.mean == pytest.approx(mean, rel=KINK, abs=1e-9 * math.sqrt(square))
    assert found.square == pytest.approx(square, rel=KINK)
    assert found.slope_square == pytest.approx(slope, rel=1e-4 if act == ReLU() else KINK)
    for error, of in ((found.square_error, found.square), (found.slope_square_error, found.slope_square)):
        assert 0 <= error <= 1e-9 * of


@pytest.mark.parametrize(
    "act", [Sine(7.0), Gaussian(3.0), RealGabor(7.0, 2.0), Gabor(5.0, 2.0), ReLU(), Identity()]
)
@pytest.mark.parametrize("sigma", [1e-5, 0.2, 40.0])
def test_closed_forms_and_quadrature_agree(act: Activation, sigma: float) -> None:
    exact, found = (init.moments(act, sigma, method=name) for name in ("closed-form", "quadrature"))
    assert (exact.method, found.method) == ("closed-form", "quadrature")
    assert exact.mean == pytest.approx(found.mean, rel=1e-9, abs=1e-12)
    assert exact.square == pytest.approx(found.square, rel=1e-9)
    assert exact.slope_square == pytest.approx(found.slope_square, rel=1e-9)


def test_published_closed_forms() -> None:
    assert init.moments(Sine(30), 0.02).square == pytest.approx((1 - math.exp(-2 * 0.6**2)) / 2, rel=1e-14)
    ratio = 0.05 / 0.078  # VI3NR, Eq. 16
    assert init.moments(Gaussian.from_sigma(0.05), 0.078).square == pytest.approx(
        ratio / math.sqrt(ratio**2 + 2), rel=1e-14
    )


@pytest.mark.parametrize("tau", [1e-3, 0.1, 1.0, 30.0, 1000.0])
def test_sinc_has_the_moments_of_its_fourier_integral(tau: float) -> None:
    """sinc^2 = int_0^2 (1 - k/2) cos(kv) dk, sinc = int_0^1 cos(kv) dk; E cos(kv) = exp(-(k tau)^2 / 2)."""
    found = init.moments(Sinc(30.0), tau / 30.0)
    root = math.sqrt(math.pi / 2) / tau
    square = root * math.erf(math.sqrt(2) * tau) + math.expm1(-2 * tau**2) / (2 * tau**2)
    assert found.mean == pytest.approx(root * math.erf(tau / math.sqrt(2)), rel=1e-9)
    assert found.square == pytest.approx(square, rel=1e-9)


@pytest.mark.parametrize(
    ("act", "variance"),
    [(Tanh(), 2.54), (torch.sigmoid, 3.41), (ReLU(), 2.0), (Sine(30.0), 2.0), (Sinc(1.0), 1.31),
     (Gaussian.from_sigma(0.05), 28.30), (RealGabor(1.0, 1.0), 2.68)],
)  # fmt: skip
def test_variances_that_the_paper_prints(act: init.ActivationLike, variance: float) -> None:
    """VI3NR, Tables 1 and 3, sigma_p = 1; the Gaussian's 28.07 there is Monte Carlo's, 28.30 is Eq. 16's."""
    assert init.gain(act) ** 2 == pytest.approx(variance, abs=0.005)


@pytest.mark.parametrize(
    ("function", "sigma", "square"),
    [
        (lambda u: torch.exp(-(u**2) / (2 * 0.05**2)), 1.0, 0.05 / math.sqrt(0.05**2 + 2)),
        (lambda u: torch.exp(-((1e5 * u) ** 2)), 1.0, 1 / math.sqrt(1 + 4e10)),
        (lambda u: torch.sin(3000 * u), 1.0, 0.5),
        (lambda u: torch.exp(5 * u), 1.0, math.exp(50)),
        (lambda u: u**3, 2.0, 15 * 64),
        (lambda u: torch.exp(-(((u - 2) / 0.02) ** 2)), 1.0,
         math.exp(-20_000 / 10_001) / math.sqrt(10_001)),
        (lambda u: (u > 0.3).double(), 1.0, 0.5 * math.erfc(0.3 / math.sqrt(2))),
        (lambda u: u.abs() ** -0.25, 1.0, 2**-0.25 * math.gamma(0.25) / math.sqrt(math.pi)),
    ],
    ids=["narrow", "very-narrow", "fast", "exponential", "cubic", "narrow-off-centre", "step", "singular"],
)  # fmt: skip
def test_quadrature_survives_hard_functions(function: Formula, sigma: float, square: float) -> None:
    found = init.moments(function, sigma)
    assert found.square == pytest.approx(square, rel=1e-8)
    assert abs(found.square - square) <= max(10 * found.square_error, 1e-13 * square)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 5.0])
def test_a_kink_away_from_0_is_found(sigma: float) -> None:
    found = init.moments(kinked, sigma)
    at = 0.37 / sigma  # E[((u - c)+)^2] = (sigma^2 + c^2) Q(c / sigma) - c sigma phi(c / sigma)
    upper = 0.5 * math.erfc(at / math.sqrt(2))
    above = (sigma**2 + 0.37**2) * upper - 0.37 * sigma * math.exp(-0.5 * at**2) / math.sqrt(2 * math.pi)
    assert found.square == pytest.approx(above + 0.04 * (sigma**2 + 0.37**2 - above), rel=1e-8)
    assert found.slope_square == pytest.approx(upper + 0.04 * (1 - upper), rel=1e-8)


def test_a_slope_of_infinite_second_moment_does_not_stop_the_forward_condition() -> None:
    """E[|u|] = sqrt(2 / pi), and f' = +-1 / (2 sqrt|u|), whose square has no integral."""

    def cusp(u: Tensor) -> Tensor:
        return u.abs().sqrt()

    assert init.gain(cusp) ** 2 == pytest.approx(math.sqrt(math.pi / 2), rel=1e-8)
    with pytest.raises(InputError, match=r"mean square slope.*infinite or too rough"):
        init.condition(cusp)


def test_the_rule_is_exact_for_polynomials() -> None:
    """The 21 Kronrod points are exact to degree 31, and N(0, 1) has E[u^(2k)] = (2k - 1)!!."""
    value, _ = expectations(
        lambda u: torch.stack([u**k for k in (0, 2, 4, 10, 20)]), torch.ones(1, dtype=torch.float64)
    )
    expected = [1, 1, 3, 945, 654_729_075]
    assert value[:, 0].tolist() == pytest.approx(expected, rel=1e-13)


def test_an_unmet_accuracy_shows_in_the_error_estimate() -> None:
    sigmas = torch.tensor([1.0, 300.0], dtype=torch.float64)
    effort = Effort(rtol=1e-10, step=0.6, rounds=0)
    value, error = expectations(lambda u: torch.sin(10 * u).square().unsqueeze(0), sigmas, effort)
    exact = [-0.5 * math.expm1(-200.0 * s * s) for s in sigmas.tolist()]
    for k in range(2):
        assert abs(float(value[0, k]) - exact[k]) <= float(error[0, k])
    assert float(error[0, 1]) > 1e-2


def test_many_deviations_at_once_are_each_alone() -> None:
    sigmas = torch.tensor([0.01, 0.5, 70.0], dtype=torch.float64)

    def integrand(u: Tensor) -> Tensor:
        return torch.stack([torch.sin(9 * u).square(), torch.tanh(u).square()])

    together, _ = expectations(integrand, sigmas, EXACT)
    for k in range(3):
        alone, _ = expectations(integrand, sigmas[k : k + 1], EXACT)
        assert torch.allclose(together[:, k], alone[:, 0], rtol=1e-9)


@pytest.mark.parametrize("act", [Sine(30.0), Gaussian(10.0), Gabor(20.0, 10.0), torch.tanh])
def test_monte_carlo_is_off_by_its_error_and_repeats_itself(act: init.ActivationLike) -> None:
    state = torch.get_rng_state()
    exact, first, again, other = (
        init.moments(act, 0.07, method=name, samples=50_000, seed=seed)
        for name, seed in (("auto", 0), ("monte-carlo", 1), ("monte-carlo", 1), ("monte-carlo", 2))
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert first == again
    assert first.square != other.square
    assert abs(first.mean - exact.mean) < 4 * first.mean_error
    assert abs(first.square - exact.square) < 4 * first.square_error
    assert abs(first.slope_square - exact.slope_square) < 4 * first.slope_square_error


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.2])
def test_complex_gabor_of_complex_input_is_what_samples_say(sigma: float) -> None:
    act = Gabor(20.0, 10.0)
    exact = init.moments(act, sigma, complex_input=True)
    drawn = init.moments(act, sigma, method="monte-carlo", samples=200_000, complex_input=True)
    assert exact.method == "closed-form"
    assert abs(drawn.mean - exact.mean) < 4 * drawn.mean_error
    assert abs(drawn.square - exact.square) < 4 * drawn.square_error
    assert abs(drawn.slope_square - exact.slope_square) < 4 * drawn.slope_square_error


@pytest.mark.parametrize(
    ("spec", "function"),
    [(Tanh(), torch.tanh), (Tanh(), Custom(torch.tanh)), (ReLU(), nn.ReLU()), (ReLU(), nn.functional.relu),
     (Sine(4.0), lambda u: torch.sin(4 * u))],
)  # fmt: skip
def test_a_function_has_the_moments_of_its_spec(spec: Activation, function: init.ActivationLike) -> None:
    ours, theirs = init.moments(spec, 0.6), init.moments(function, 0.6)
    assert theirs.square == pytest.approx(ours.square, rel=1e-10)
    assert theirs.slope_square == pytest.approx(ours.slope_square, rel=1e-10)


def test_a_parameter_inside_a_function_is_read_again() -> None:
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def act(u: Tensor) -> Tensor:
        return torch.exp(-((scale * u) ** 2))

    for value in (2.0, 5.0, 2.0):
        with torch.no_grad():
            scale.fill_(value)
        assert init.gain(act, 0.4) == pytest.approx(init.gain(Gaussian(value), 0.4), rel=1e-10)
    assert scale.grad is None


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda u: 0 * u, "zero"),
        (lambda u: torch.relu(u - 40), "zero"),
        (lambda u: torch.exp(0.3 * u**2), "infinite"),
        (lambda u: torch.exp(40 * u), "infinite"),
        (torch.sqrt, r"undefined \(NaN\)"),
        (lambda u: 1 / u, "quadrature reached .*infinite or too rough"),
    ],
    ids=["zero", "dead", "heavy", "overflow", "nan", "pole"],
)
def test_an_activation_without_a_usable_second_moment_is_refused(function: Formula, kind: str) -> None:
    with pytest.raises(InputError, match=kind):
        init.gain(function)


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        ("tanh", "expected an activation such as Sine"),
        (torch.softmax, "elementwise.*raised TypeError"),
        (lambda u: u.softmax(0), "elementwise.*depends on others"),
        (lambda u: u.sum(), r"returned shape \[\]"),
        (lambda u: u.tolist(), "returned list"),
    ],
    ids=["name", "raises", "mixing", "reducing", "list"],
)
def test_what_is_no_elementwise_function_is_refused(activation: Callable[..., object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        init.moments(activation)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma_p": 0.0}, "sigma_p to be a number above 0"),
        ({"sigma_p": math.nan}, "sigma_p to be a number above 0"),
        ({"method": "hermite"}, "method to be one of auto, closed-form"),
        ({"method": "closed-form"}, "closed forms .sine, gaussian.*got Tanh"),
        ({"seed": 0.5}, "seed to be a whole number"),
        ({"samples": 1}, "samples to be a whole number of at least 2"),
        ({"complex_input": True}, "complex_input with a complex activation"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        init.moments(Tanh(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_moments_are_found_where_gradients_are_off(context: Callable[[], torch.no_grad]) -> None:
    with context():
        found = init.moments(lambda u: torch.tanh(u), 0.9)
    assert found.slope_square == pytest.approx(init.moments(Tanh(), 0.9).slope_square, rel=1e-12)


def test_moments_are_found_on_the_cpu_whatever_the_default_device_and_dtype() -> None:
    torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        found = init.moments(lambda u: torch.erf(u), 0.8)  # its own: nothing remembered
        root = init.solve_sigma_p(lambda u: torch.exp(-(u**2)))
        drawn = init.moments(torch.erf, 0.8, method="monte-carlo", samples=100_000)
    assert abs(found.square - drawn.square) < 4 * drawn.square_error
    assert root == pytest.approx(init.solve_sigma_p(Gaussian(1.0)), rel=1e-9)
