"""Sine, cosine, exponential and the reduction of phases against float64."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

from fastsnf.engines.triton.parameters import parameters
from fastsnf.spec import Sine
from tests.engines.triton.device_functions import DEVICE, run_elementwise
from tests.tolerances import error

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy, of infinities in the interpreter

TIERS = ("exact", "accurate")
INTERPRETED_OR_EXACT = 1.9e-7
"""Sine and cosine of a reduced phase, as found: 1.6 units in the last place of 1, of cosine at 1/2."""

SPECIAL_UNIT = 5.5e-7
"""2^-21.2 and the multiplications before it: what CUDA documents for its approximate sine and cosine."""


def reduced_sine_bound(tier: str) -> float:
    """Return the largest error of sine and cosine of a turn in [-1/2, 1/2]."""
    return SPECIAL_UNIT if DEVICE == "cuda" and tier == "accurate" else INTERPRETED_OR_EXACT


@pytest.mark.parametrize("tier", TIERS)
def test_sine_and_cosine_of_reduced_turns(tier):
    r = torch.cat([torch.linspace(-0.5, 0.5, 200_001), torch.logspace(-30, -3, 200), torch.zeros(1)])
    phase = 2.0 * math.pi * r.double()
    bound = reduced_sine_bound(tier) + (2.0**-24 * math.pi if tier == "accurate" else 0.0)
    assert error(run_elementwise("sin", r, tier), torch.sin(phase)) <= bound
    assert error(run_elementwise("cos", r, tier), torch.cos(phase)) <= bound


def test_exact_sine_is_right_relative_to_itself():
    """Sine near its zeros, where an absolute error would be a large relative one."""
    r = torch.cat([torch.logspace(-30, -1, 500), 0.5 - torch.logspace(-6, -1, 500)])
    exact = torch.sin(2.0 * math.pi * r.double())
    found = run_elementwise("sin", r)
    assert float(((found.double() - exact) / exact).abs().max()) <= 4.5 * 2.0**-24
    r = 0.25 + torch.logspace(-6, -1, 500)
    exact = torch.cos(2.0 * math.pi * r.double())
    assert float(((run_elementwise("cos", r).double() - exact) / exact).abs().max()) <= 4.5 * 2.0**-24
    assert run_elementwise("cos", torch.zeros(1)).item() == 1.0


@pytest.mark.parametrize("omega", [30.0, 1.0, 3000.0, 7.3])
@pytest.mark.parametrize("tier", TIERS)
def test_sine_of_large_phases(omega, tier):
    """Up to 1e5 radians the phase's two roundings (2^-26 turns each) are all that comes on top."""
    u = (torch.rand(20_000, dtype=torch.float64) * 2.0 - 1.0).mul(1e5 / omega).float()
    act = parameters(Sine(omega))
    r = run_elementwise("reduced", u, turn=act["turn"], turn_low=act["turn_low"])
    assert float(r.abs().max()) <= 0.5 + 1e-3
    exact = torch.sin(omega * u.double())
    allowed = reduced_sine_bound(tier) + 2.0 * math.pi * 2.0**-25 + 1e5 * 2.0**-48
    assert error(run_elementwise("sin", r, tier), exact) <= allowed + (2e-7 if tier == "accurate" else 0.0)


def test_phases_beyond_float32_are_zero_and_not_finite_ones_are_nan():
    act = parameters(Sine(30.0))
    u = torch.tensor([1e6, -3e6, 1e12, 1e37, float("inf"), -float("inf"), float("nan")])
    r = run_elementwise("reduced", u, turn=act["turn"], turn_low=act["turn_low"])
    assert r[1:4].tolist() == [0.0, 0.0, 0.0]
    assert r[4:].isnan().all()
    for tier in TIERS:
        assert run_elementwise("sin", r[4:], tier).isnan().all()
        assert run_elementwise("cos", r[4:], tier).isnan().all()


def test_nearest_rounds_ties_to_even():
    t = torch.cat([torch.arange(-64, 65) * 0.5, torch.rand(4000) * 2e4 - 1e4, torch.tensor([0.49999997])])
    assert torch.equal(run_elementwise("nearest", t), torch.round(t))
    rest = torch.tensor([8388609.0, 1e30, float("inf"), -float("inf"), float("nan")])
    assert torch.equal(run_elementwise("nearest", rest).nan_to_num(7.0), rest.nan_to_num(7.0))


def test_exact_exponential_within_two_ulps():
    v = torch.cat([torch.linspace(-87.0, 88.7, 200_001), torch.logspace(-30, 0, 200)])
    exact = torch.exp(v.double())
    found = run_elementwise("exp", v).double()
    assert float(((found - exact) / exact).abs().max()) <= 2.0 * 2.0**-23
    assert error(run_elementwise("exp", torch.linspace(-120.0, -87.0, 5001)).double(),
                 torch.exp(torch.linspace(-120.0, -87.0, 5001).double())) <= 2.0**-149 * 4  # fmt: skip


@pytest.mark.parametrize("tier", TIERS)
def test_exponential_of_special_values(tier):
    inf, nan = float("inf"), float("nan")
    found = run_elementwise("exp", torch.tensor([0.0, -0.0, -inf, -1e30, inf, 1e30, 89.0, nan]), tier)
    assert found[:7].tolist() == [1.0, 1.0, 0.0, 0.0, inf, inf, inf]
    assert found[7].isnan()


def test_accurate_exponential():
    v = torch.linspace(-20.0, 20.0, 20_001)
    exact = torch.exp(v.double())
    found = run_elementwise("exp", v, "accurate").double()
    assert float(((found - exact) / exact).abs().max()) <= 4e-6


def test_compiled_tiers_have_no_call_no_stack_and_no_conversion():
    """Compiled for sm_90 in a process that does not interpret: what the special-function unit is given."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.engines.triton.device_functions_compiled"],
        capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    rows = [line.split() for line in run.stdout.splitlines()]
    assert len(rows) == 2
    for tier, stack, local, *instructions in rows:
        assert (stack, local) == ("0", "0")
        assert not [name for name in instructions if re.match(r"CALL|LDL|STL|F2I|I2F|FRND|F2F", name)]
        special = {name for name in instructions if name.startswith("MUFU")}
        assert special == (set() if tier == "exact" else {"MUFU.SIN", "MUFU.COS"})
