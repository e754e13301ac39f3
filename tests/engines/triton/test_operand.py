"""Rounding to the types of the matrix unit, and products in the three precisions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from tests import cases
from tests.engines.triton.device_functions import run_elementwise, run_product
from tests.tolerances import error, largest

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy, of infinities in the interpreter


def tf32(x: Tensor) -> Tensor:
    """Return float32 x with 11 significant bits, rounded to nearest and ties away from zero, in float64."""
    mantissa, exponent = torch.frexp(x.double())
    scaled = mantissa * 2.0**11
    return torch.ldexp(torch.sign(scaled) * torch.floor(scaled.abs() + 0.5) / 2.0**11, exponent)


def numbers() -> Tensor:
    """Return numbers of every size, with ties of tf32 and of bf16."""
    gen = cases.generator(5)
    x = torch.randn(4000, generator=gen) * torch.logspace(-30, 30, 4000)
    ties = torch.tensor([1.0 + 2.0**-11, -1.0 - 3 * 2.0**-11, 1.0 + 2.0**-8, 1.0 + 3 * 2.0**-8, 0.0, -0.0])
    return torch.cat([x, ties, torch.tensor([3.3e38, 1e-38])])


SPECIAL = torch.tensor([float("inf"), -float("inf"), math.nan])


def test_round_tf32_to_nearest():
    x = numbers()
    assert torch.equal(run_elementwise("tf32", x).double(), tf32(x))
    assert torch.equal(
        run_elementwise("tf32", SPECIAL).nan_to_num(7.0, 8.0, 9.0), torch.tensor([8.0, 9.0, 7.0])
    )


def test_a_nan_of_any_payload_stays_nan():
    bits = torch.tensor([0x7FFFFFFF, 0x7FC00000, 0x7F800001, -1], dtype=torch.int32)
    assert run_elementwise("tf32", bits.view(torch.float32)).isnan().all()
    assert run_elementwise("bf16", bits.view(torch.float32)).isnan().all()


def test_bf16_to_nearest_even():
    x = numbers()
    x = x[x.abs() > 2e-38]  # the interpreter flushes 16-bit denormal numbers
    assert torch.equal(run_elementwise("bf16", x), x.bfloat16().float())
    assert torch.equal(
        run_elementwise("bf16", SPECIAL).nan_to_num(7.0), SPECIAL.bfloat16().float().nan_to_num(7.0)
    )


def test_split_is_nearly_all_of_a_float():
    x = numbers()
    high, low = run_elementwise("high", x), run_elementwise("low", x)
    assert torch.equal(high.double(), tf32(x))
    rest = (x.double() - high.double() - low.double()).abs()
    assert bool((rest <= 2.0**-23 * x.double().abs() + 1e-41).all())
    assert run_elementwise("high", SPECIAL).tolist() == [0.0, 0.0, 0.0]
    assert torch.equal(
        run_elementwise("low", SPECIAL).nan_to_num(7.0, 8.0, 9.0), torch.tensor([8.0, 9.0, 7.0])
    )


def operands(seed: int) -> tuple[Tensor, Tensor]:
    """Return random a [64, 256] and b [256, 32]."""
    gen = cases.generator(seed)
    return torch.randn(64, 256, generator=gen), torch.randn(256, 32, generator=gen)


@pytest.mark.parametrize("seed", range(3))
def test_fp32_product_is_as_good_as_eager(seed):
    a, b = operands(seed)
    exact = a.double() @ b.double()
    assert error(run_product(a, b, "fp32", False), exact) <= max(
        2.0 * error(a @ b, exact), 5e-7 * largest(exact)
    )


def test_tf32_product_rounds_its_operands():
    a, b = operands(1)
    rounded = tf32(a) @ tf32(b)
    found = run_product(a, b, "tf32", False)
    assert error(found, rounded) <= 1e-6 * largest(rounded)
    assert error(found, a.double() @ b.double()) <= 2.0**-11 * 16.0 * 4.0  # sqrt(K) operands, each 2^-12 off


@pytest.mark.parametrize("backward", [False, True])
def test_fast_product_takes_fp16_forward_and_bf16_backward(backward):
    a, b = operands(2)
    narrow = torch.bfloat16 if backward else torch.float16
    rounded = a.to(narrow).double() @ b.to(narrow).double()
    assert error(run_product(a, b, "fast", backward), rounded) <= 1e-6 * largest(rounded)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fast"])
def test_infinity_and_nan_pass_through_a_product(precision):
    a, b = operands(4)
    a[3, 5], a[4, 7] = float("inf"), math.nan
    found, eager = run_product(a, b, precision, True), a @ b
    assert torch.equal(found.isnan(), eager.isnan())
    assert torch.equal(found[3], eager[3])
    a, b = operands(4)
    b[9, 3] = -float("inf")
    assert torch.equal(run_product(a, b, precision, True)[:, 3], (a @ b)[:, 3])
