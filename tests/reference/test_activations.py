"""Activations: their closed derivatives against autograd, differences, quadrature, the papers' formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fastsnf.reference import activations
from fastsnf.spec import (
    Activation,
    Finer,
    Gabor,
    Gaussian,
    Identity,
    RealGabor,
    ReLU,
    Sigmoid,
    Sinc,
    Sine,
    Tanh,
)
from tests import cases
from tests.tolerances import FINITE_DIFFERENCE, FLOAT32, FLOAT64, assert_close

PEAK = Sinc(7.0, 3.0)
REAL = (*cases.REAL_ACTIVATIONS, PEAK, Identity())
SMOOTH_REAL = (*(act for act in cases.SMOOTH_ACTIVATIONS if not act.is_complex), PEAK)
GABOR = Gabor(omega=7.0, scale=3.0)


def arguments(act: Activation, dtype: torch.dtype = torch.float64) -> Tensor:
    """Pre-activations on both sides of 0 and at it, in the range where `act` is alive, and sinc's joint."""
    steep = cases.steepness(act)
    near = [0.0, 1e-30, -1e-12, 1e-8, -1e-4, 0.5, 0.999, 1.0, -1.001, 2.0]
    grid = torch.cat(
        [torch.linspace(-3.0, 3.0, 41, dtype=torch.float64), torch.tensor(near, dtype=torch.float64)]
    )
    return (grid / steep).to(dtype)


def derivative(value: Tensor, u: Tensor) -> Tensor:
    """d sum(value) / du by autograd, zeros where `value` is constant in `u`."""
    if not value.requires_grad:
        return torch.zeros_like(u)
    (grad,) = torch.autograd.grad(value.sum(), u, create_graph=True, materialize_grads=True)
    return grad


@pytest.mark.parametrize("act", REAL, ids=cases.name)
def test_derivatives_are_those_of_autograd(act: Activation) -> None:
    u = arguments(act).requires_grad_()
    by_autograd = derivative(activations.value(act, u), u)
    assert_close(activations.first(act, u), by_autograd, FLOAT64, "first")
    assert_close(activations.second(act, u), derivative(by_autograd, u), FLOAT64, "second")
    assert_close(derivative(activations.first(act, u), u), activations.second(act, u), FLOAT64, "of first")


@pytest.mark.parametrize("act", SMOOTH_REAL, ids=cases.name)
def test_derivatives_are_those_of_differences(act: Activation) -> None:
    u, step = arguments(act), 1e-4 / cases.steepness(act)
    for function, slope in ((activations.value, activations.first), (activations.first, activations.second)):
        # Fourth order: its error, about step^4, is far under the rounding of the quotient.
        near = function(act, u + step) - function(act, u - step)
        far = function(act, u + 2 * step) - function(act, u - 2 * step)
        assert_close(slope(act, u), (8 * near - far) / (12 * step), FINITE_DIFFERENCE, slope.__name__)


@pytest.mark.parametrize(
    ("act", "dtype"),
    [(act, torch.float64) for act in cases.SMOOTH_ACTIVATIONS] + [(GABOR, torch.complex128)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_gradcheck_twice(act: Activation, dtype: torch.dtype) -> None:
    gen = cases.generator(1)
    u = (torch.randn(6, dtype=dtype, generator=gen) / cases.steepness(act)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: activations.value(act, v), u, check_forward_ad=True, eps=1e-7, rtol=1e-4
    )
    assert torch.autograd.gradgradcheck(lambda v: activations.value(act, v), u, eps=1e-7, rtol=1e-4)


@pytest.mark.parametrize(
    ("act", "u", "expected"),
    [
        (Sine(30.0), math.pi / 60.0, 1.0),
        (Gaussian(10.0), 0.1, math.exp(-1.0)),
        (Gaussian.from_sigma(0.05), 0.05, math.exp(-0.5)),
        (Sinc(30.0), math.pi / 60.0, 2.0 / math.pi),
        (Sinc.from_pi(3.0), 0.25, float(np.sinc(0.75))),
        (Sinc.unnormalized(30.0), 0.25, math.sin(7.5) / 0.25),
        (Sinc(30.0, 5.0), 0.0, 5.0),
        (RealGabor(20.0, 10.0), math.pi / 20.0, -math.exp(-((math.pi / 2.0) ** 2))),
        (Finer(30.0), -0.5, math.sin(-0.5 * 30.0 * 1.5)),
        (ReLU(), -2.0, 0.0),
        (ReLU(), 2.0, 2.0),
        (Tanh(), 0.5, math.tanh(0.5)),
        (Sigmoid(), -0.5, 1.0 / (1.0 + math.exp(0.5))),
        (Identity(), -3.0, -3.0),
    ],
)
def test_known_values(act: Activation, u: float, expected: float) -> None:
    assert float(activations.value(act, torch.tensor(u, dtype=torch.float64))) == pytest.approx(
        expected, rel=1e-14
    )


@pytest.mark.parametrize("act", REAL, ids=cases.name)
@pytest.mark.parametrize("function", [activations.value, activations.first, activations.second])
def test_float32_is_the_rounded_float64(act: Activation, function) -> None:
    u = arguments(act, torch.float32)
    value = function(act, u)
    assert value.dtype == torch.float32
    assert_close(value, function(act, u.double()), FLOAT32, function.__name__)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sinc_against_its_integral(dtype: torch.dtype) -> None:
    """sinc(v) = int_0^1 cos(v t) dt has nothing to cancel, and neither have its derivatives."""
    nodes, masses = np.polynomial.legendre.leggauss(48)  # on [-1, 1], masses adding up to 2
    nodes, masses = torch.tensor((nodes + 1.0) / 2.0), torch.tensor(masses / 2.0)
    tolerance = max(8.0 * torch.finfo(dtype).eps, 2e-14)  # numpy's nodes are themselves good to some 1e-15
    act = Sinc(omega=3.0)
    u = torch.cat([torch.logspace(-30, 0.5, 200, dtype=torch.float64), torch.linspace(-2.0, 2.0, 101)]).to(
        dtype
    )
    v = 3.0 * u.double()[:, None] * nodes
    exact = (
        torch.cos(v) @ masses,
        -3.0 * torch.sin(v) @ (masses * nodes),
        -9.0 * torch.cos(v) @ (masses * nodes**2),
    )
    for function, integral in zip(
        (activations.value, activations.first, activations.second), exact, strict=True
    ):
        assert_close(function(act, u), integral, tolerance, function.__name__)
    slope = (
        exact[1][:60] / activations.first(act, u)[:60].double()
    )  # tiny arguments, relative: no digit cancels
    assert_close(slope, torch.ones_like(slope), tolerance, "first near 0")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sinc_at_zero(dtype: torch.dtype) -> None:
    u = torch.zeros(1, dtype=dtype, requires_grad=True)
    value = activations.value(Sinc(30.0), u)
    first = derivative(value, u)
    second = derivative(first, u)
    third = derivative(second, u)
    fourth = derivative(third, u)
    assert [t.item() for t in (value, first, third)] == [1.0, 0.0, 0.0]
    assert second.item() == pytest.approx(-300.0, rel=1e-6)
    assert fourth.item() == pytest.approx(30.0**4 / 5.0, rel=1e-6)


@settings(max_examples=cases.count(300))
@given(st.floats(-1e6, 1e6, width=32), st.floats(0.01, 3000.0))
def test_sinc_stays_in_range(u: float, omega: float) -> None:
    v = torch.tensor([u], dtype=torch.float64)
    assert abs(float(activations.value(Sinc(omega), v))) <= 1.0
    assert abs(float(activations.first(Sinc(omega), v))) <= 0.44 * omega  # max |sinc'| = 0.4362
    assert abs(float(activations.second(Sinc(omega), v))) <= omega**2 / 3.0 * (1.0 + 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sinc_far_out(dtype: torch.dtype) -> None:
    """No power of a large argument overflows into the derivatives of the branch that is taken."""
    u = torch.tensor([-1e30, -1e6, 1e3, 1e15], dtype=dtype, requires_grad=True)
    first = derivative(activations.value(Sinc(2.0), u), u)
    second = derivative(first, u)
    for grad in (first, second, derivative(second, u)):
        assert bool((grad.abs() <= 8.0 / (2.0 * u.abs())).all())


def wire(u: Tensor, act: Gabor) -> Tensor:
    """The complex wavelet as WIRE's paper writes it."""
    return torch.exp(1j * act.omega * u - (act.scale * u).abs().square())


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])
def test_gabor_is_wires(dtype: torch.dtype) -> None:
    gen = cases.generator(2)
    u = (torch.randn(50, dtype=dtype, generator=gen) / 3.0).requires_grad_()
    t_u = torch.randn(50, dtype=dtype, generator=gen)
    h = wire(u, GABOR)
    d_h = cases.random_cotangent(h, gen)
    assert_close(activations.value(GABOR, u), h, FLOAT64, "value")
    (d_u,) = torch.autograd.grad(h, u, d_h)
    assert activations.vjp(GABOR, u, d_h).dtype == dtype
    assert_close(activations.vjp(GABOR, u, d_h), d_u, FLOAT64, "vjp")
    t_h = activations.jvp(GABOR, u, t_u)
    assert_close(t_h, torch.func.jvp(lambda v: activations.value(GABOR, v), (u,), (t_u,))[1], FLOAT64, "jvp")
    # Both against each other: <d_h, J t_u> = <J^T d_h, t_u> with the real inner product.
    left, right = (d_h.conj() * t_h).sum().real, (d_u.conj() * t_u).sum().real
    assert float(left.detach()) == pytest.approx(float(right.detach()), rel=1e-10)


def test_gabor_of_a_real_argument_is_that_of_a_complex_one() -> None:
    u = torch.linspace(-0.5, 0.5, 21, dtype=torch.float64)
    as_complex = torch.complex(u, torch.zeros_like(u))
    for function in (activations.value, activations.first, activations.second):
        assert_close(function(GABOR, u), function(GABOR, as_complex), FLOAT64, function.__name__)


def test_gabor_derivatives_along_the_real_axis() -> None:
    u, step = torch.linspace(-0.5, 0.5, 21, dtype=torch.float64), 1e-4
    for shift in (0.0, 0.1j):
        z = u + shift if shift else u
        for function, slope in (
            (activations.value, activations.first),
            (activations.first, activations.second),
        ):
            near, far = (function(GABOR, z + k * step) - function(GABOR, z - k * step) for k in (1, 2))
            assert_close(slope(GABOR, z), (8 * near - far) / (12 * step), FINITE_DIFFERENCE, slope.__name__)


@pytest.mark.parametrize("act", REAL, ids=cases.name)
def test_vjp_and_jvp_multiply_by_first(act: Activation) -> None:
    u, gen = arguments(act), cases.generator(3)
    factor = cases.random_cotangent(u, gen)
    assert torch.equal(activations.vjp(act, u, factor), factor * activations.first(act, u))
    assert torch.equal(activations.jvp(act, u, factor), factor * activations.first(act, u))


@pytest.mark.parametrize("act", REAL, ids=cases.name)
def test_torch_func_transforms(act: Activation) -> None:
    u = arguments(act)
    expected = activations.first(act, u)
    reverse = torch.func.vmap(torch.func.grad(lambda v: activations.value(act, v)))(u)
    tangent = torch.func.jvp(lambda v: activations.value(act, v), (u,), (torch.ones_like(u),))[1]
    assert_close(reverse, expected, FLOAT64, "vmap of grad")
    assert_close(tangent, expected, FLOAT64, "jvp")


def test_finer_holds_its_frequency_constant() -> None:
    act, u = Finer(5.0), torch.tensor([-0.7, 0.0, 0.3], dtype=torch.float64)
    omega = 5.0 * (u.abs() + 1.0)
    assert_close(activations.first(act, u), omega * torch.cos(omega * u), FLOAT64)
    assert_close(activations.second(act, u), -omega.square() * torch.sin(omega * u), FLOAT64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sigmoid_is_accurate_in_both_tails(dtype: torch.dtype) -> None:
    u = torch.linspace(-80.0, 80.0, 321, dtype=dtype)
    tail = (-u.double().abs()).exp()
    exact = (torch.where(u < 0, tail, 1.0) / (1.0 + tail), tail / (1.0 + tail).square())
    for function, wanted in zip((activations.value, activations.first), exact, strict=True):
        off = (function(Sigmoid(), u).double() - wanted).abs() / wanted
        assert float(off.max()) <= 8.0 * torch.finfo(dtype).eps


def test_relu_has_no_slope_at_zero() -> None:
    u = torch.tensor([-1.0, -0.0, 0.0, 1e-30, 2.0])
    assert activations.first(ReLU(), u).tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("act", [*cases.ACTIVATIONS, Identity()], ids=cases.name)
def test_no_rows_and_nan(act: Activation) -> None:
    empty = torch.empty(0, 5, requires_grad=True)
    h = activations.value(act, empty)
    assert h.shape == (0, 5)
    assert torch.autograd.grad(h, empty, torch.ones_like(h))[0].shape == (0, 5)
    assert activations.vjp(act, empty, torch.ones_like(h)).shape == (0, 5)
    assert bool(activations.value(act, torch.tensor([float("nan")])).isnan().all())


@pytest.mark.parametrize("function", [activations.value, activations.first, activations.second])
def test_an_activation_without_formula_raises(function) -> None:
    with pytest.raises(TypeError, match="got Activation"):
        function(Activation(), torch.zeros(1))
