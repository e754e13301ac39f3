"""Every activation's device functions against `fastsnf.reference.activations` in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from fastsnf.engines.triton.kernels.activation import PHASE_STEPS
from fastsnf.engines.triton.parameters import saved_format
from fastsnf.reference import activations
from fastsnf.spec import Activation, Finer, Gabor, Gaussian, Identity, ReLU, Sigmoid, Sinc, Sine, Tanh
from tests import cases
from tests.engines.triton.device_functions import DEVICE, run_activation, run_gabor
from tests.tolerances import FLOAT32, error, largest

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy, of infinities in the interpreter

TIERS = ("exact", "accurate")
EVERY = (*cases.REAL_ACTIVATIONS, Sinc(30.0, 7.0), Identity())
COARSE = 4e-6 if DEVICE == "cuda" else 3e-7
"""What the tier "accurate" adds: the special-function unit's error, its argument's rounding."""

HALF_STEP = 4.8e-5
"""Radians: half a step of a 16-bit phase."""


def points(act: Activation) -> Tensor:
    """Return pre-activations where `act` is alive, dense, random and tiny ones."""
    reach = {"sine": 3.0, "finer": 2.0, "sinc": 1.5, "gaussian": 0.7, "gabor-real": 0.5}.get(act.name, 12.0)
    spread = (2.0 * torch.rand(6000) - 1.0) * reach
    return torch.cat(
        [torch.linspace(-reach, reach, 3001), spread, torch.logspace(-30, -1, 300), -spread / 50]
    )


def reference_turns(stored: Tensor) -> Tensor:
    """Return the phase, in turns and float64, that 16-bit codes stand for."""
    return torch.where(stored == -32768, math.nan, stored.double() / PHASE_STEPS.value)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("act", EVERY, ids=cases.name)
def test_value_and_derivative(act, tier):
    u = points(act)
    exact = u.double()
    _, value, slope = run_activation(act, u, "float32", tier)
    coarse = COARSE if tier == "accurate" else 0.0
    for found, truth, eager in (
        (value, activations.value(act, exact), activations.value(act, u)),
        (slope, activations.first(act, exact), activations.first(act, u)),
    ):
        allowed = max(2.0 * error(eager, truth), 2.5e-7 * largest(truth)) + coarse * largest(truth)
        assert error(found, truth) <= allowed


@pytest.mark.parametrize("act", [act for act in EVERY if act.name != "sine"], ids=cases.name)
def test_saved_in_float16(act):
    """What is saved is u rounded to fp16; value and derivative are those of the rounded u."""
    u = points(act)
    stored, value, slope = run_activation(act, u, "float16", "accurate")
    assert torch.equal(stored, u.half())
    assert error(value, activations.value(act, stored.double())) <= 2 * FLOAT32
    truth = activations.first(act, stored.double())
    assert error(slope, truth) <= 2 * FLOAT32 * largest(truth)


@pytest.mark.parametrize("omega", [30.0, 3.3])
def test_saved_as_16_bit_phase(omega):
    act = Sine(omega)
    u = torch.cat([points(act), torch.linspace(-1.0, 1.0, 70_001) * math.pi / omega])
    stored, value, slope = run_activation(act, u, "phase16", "accurate")
    turns = omega / (2.0 * math.pi) * u.double()
    away = reference_turns(stored) - turns
    away = (away - away.round()).abs() * 2.0 * math.pi
    assert float(away.max()) <= HALF_STEP + 1e-6
    phase = 2.0 * math.pi * reference_turns(stored)
    assert error(value, torch.sin(phase)) <= 1e-6
    assert error(slope, omega * torch.cos(phase)) <= 1e-6 * omega
    assert error(value, activations.value(act, u.double())) <= HALF_STEP + 2e-6


def test_phase_codes_wrap_around_and_never_take_that_of_nan():
    act = Sine(2.0 * math.pi)
    u = torch.cat([torch.tensor([0.5, -0.5, 1.5, -2.5]), 0.5 + (torch.rand(4000) - 0.5) * 1e-4])
    stored, value, slope = run_activation(act, u, "phase16", "exact")
    assert int(stored.min()) >= -32767
    assert error(value, torch.sin(2.0 * math.pi * u.double())) <= HALF_STEP + 1e-6
    assert error(slope, 2.0 * math.pi * torch.cos(reference_turns(stored) * 2.0 * math.pi)) <= 2e-6
    inf = float("inf")
    stored, value, slope = run_activation(act, torch.tensor([inf, -inf, math.nan, 0.0]), "phase16", "exact")
    assert stored.tolist() == [-32768, -32768, -32768, 0]
    assert value[:3].isnan().all()
    assert slope[:3].isnan().all()
    assert value[3] == 0.0


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fast"])
@pytest.mark.parametrize("act", EVERY, ids=cases.name)
def test_not_finite_pre_activations(act, precision):
    """NaN stays NaN in every format; an infinite one gives what eager gives."""
    u = torch.tensor([math.nan, float("inf"), -float("inf")])
    for tier in TIERS:
        _, value, _ = run_activation(act, u, saved_format(act, precision), tier)
        eager = activations.value(act, u)
        assert torch.equal(value.isnan(), eager.isnan())
        assert torch.equal(value.nan_to_num(7.0, 8.0, 9.0), eager.nan_to_num(7.0, 8.0, 9.0))


@pytest.mark.parametrize("act", [Tanh(), Sinc(30.0), Sine(30.0), Finer(30.0)], ids=cases.name)
def test_small_pre_activations_relative_to_themselves(act):
    """Near 0, tanh and the sines are their argument; sinc's derivative is too."""
    u = torch.logspace(-30, -0.5, 900)
    u = u if act.name == "tanh" else u / 30.0
    _, value, slope = run_activation(act, u, "float32", "exact")
    found, truth = (
        (slope, activations.first(act, u.double())) if act.name == "sinc"
        else (value, activations.value(act, u.double()))
    )  # fmt: skip
    assert float(((found.double() - truth) / truth).abs().max()) <= 6e-7


def test_relu_at_zero_and_tanh_far_out():
    _, value, slope = run_activation(ReLU(), torch.tensor([0.0, -0.0, 1.0, -1.0]), "float32", "exact")
    assert value.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert slope.tolist() == [0.0, 0.0, 1.0, 0.0]
    for tier in TIERS:
        _, value, slope = run_activation(Tanh(), torch.tensor([50.0, -50.0, 3e38, -3e38]), "float32", tier)
        assert value.tolist() == [1.0, -1.0, 1.0, -1.0]
        assert float(slope.abs().max()) < 1e-30


@pytest.mark.parametrize("tier", TIERS)
def test_sigmoid_is_accurate_in_both_tails(tier):
    u = torch.linspace(-80.0, 80.0, 3001)
    _, value, slope = run_activation(Sigmoid(), u, "float32", tier)
    tail = (-u.double().abs()).exp()
    exact_value, exact_slope = torch.where(u < 0, tail, 1.0) / (1.0 + tail), tail / (1.0 + tail).square()
    allowed = 4e-6 if tier == "accurate" else 7e-7  # the unit's exponential errs with its argument
    for found, exact in ((value, exact_value), (slope, exact_slope)):
        assert float(((found.double() - exact) / exact).abs().max()) <= allowed


def test_gaussian_far_out_is_zero():
    _, value, slope = run_activation(Gaussian(10.0), torch.tensor([5.0, -1e15]), "float32", "exact")
    assert value.tolist() == [0.0, 0.0]
    assert slope.abs().tolist() == [0.0, 0.0]


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("is_complex", [False, True])
def test_complex_gabor(is_complex, tier):
    act, gen = Gabor(20.0, 10.0), cases.generator(3)
    u = torch.randn(4000, generator=gen) / 10.0
    if is_complex:
        u = torch.complex(u, torch.randn(4000, generator=gen) / 20.0)
    d_h = torch.complex(torch.randn(4000, generator=gen), torch.randn(4000, generator=gen))
    value, d_u = run_gabor(act, u, d_h, tier)
    wide = torch.complex128 if is_complex else torch.float64
    truth, d_truth = (
        activations.value(act, u.to(wide)),
        activations.vjp(act, u.to(wide), d_h.to(torch.complex128)),
    )
    eager, d_eager = activations.value(act, u), activations.vjp(act, u, d_h)
    coarse = COARSE if tier == "accurate" else 0.0
    for found, exact, plain in ((value, truth, eager), (d_u, d_truth, d_eager)):
        scale = largest(exact)
        assert error(found, exact) <= max(2.0 * error(plain, exact), 5e-7 * scale) + coarse * scale


def test_complex_gabor_overflows_and_vanishes_as_eager_does():
    act = Gabor(20.0, 10.0)
    u = torch.tensor([0.1 + 40.0j, 1e9 + 0.5j, 0.1 - 0.05j, math.nan + 0.0j, 1e-20 + 0.0j])
    value, _ = run_gabor(act, u, torch.ones(5, dtype=torch.complex64), "exact")
    eager = activations.value(act, u)
    assert torch.equal(value.abs().isfinite(), eager.abs().isfinite())
    assert error(value[[0, 1, 2, 4]], eager[[0, 1, 2, 4]]) <= 1e-6
    weak = Gabor(20.0, 0.1)  # exp(-omega b) beyond float32, which scale does not hold back
    value, _ = run_gabor(weak, torch.tensor([0.3 - 5.0j]), torch.ones(1, dtype=torch.complex64), "exact")
    assert value.real.isinf().all()
    assert activations.value(weak, torch.tensor([0.3 - 5.0j])).real.isinf().all()
