"""Packed weights: exact numbers, in every pad zero, from any memory layout."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton")

from fastsnf.engines.triton import layers
from tests import cases
from tests.engines.triton.layer_problem import DEVICE, round_tf32

LAYOUTS = {
    "dense": lambda t: t,
    "strided": cases.strided,
    "transposed": cases.transposed,
    "offset": cases.offset,
}


def expected_of(weight, rows, columns, dtype):
    whole = torch.zeros(rows, columns, dtype=dtype)
    whole[: weight.shape[0], : weight.shape[1]] = weight.to(dtype)
    return whole


@pytest.mark.parametrize("shape", [(1, 1), (31, 33), (70, 64), (65, 130)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_operands_are_the_rounded_weights(shape, layout):
    gen = cases.generator(1)
    weight, bias = torch.randn(shape, generator=gen), torch.randn(shape[0], generator=gen)
    rows, columns = (layers.padded(n) for n in shape)
    given = (LAYOUTS[layout](weight).to(DEVICE), cases.strided(bias).to(DEVICE))
    whole = expected_of(weight, rows, columns, torch.float32)
    for precision in ("fp32", "tf32", "fast"):
        packed = layers.pack(*given, precision, rows_padded=rows, cols_padded=columns)
        assert torch.equal(packed.bias.cpu(), expected_of(bias[None], 1, rows, torch.float32)[0])
        forward, backward = ([t.cpu() for t in side] for side in (packed.forward, packed.backward))
        if precision == "fast":
            assert torch.equal(forward[0], whole.half())
            assert torch.equal(backward[0], whole.bfloat16().T)
        else:
            high = round_tf32(whole)
            assert torch.equal(forward[0], high)
            assert all(torch.equal(a, b.T) for a, b in zip(forward, backward, strict=True))
        if precision == "fp32":
            assert torch.equal(forward[1], round_tf32(whole - high))
            assert float((forward[0].double() + forward[1] - whole).abs().max()) <= 2.0**-22 * 4


def test_without_a_bias_it_is_zero():
    packed = layers.pack(torch.ones(3, 2, device=DEVICE), None, "tf32", rows_padded=32, cols_padded=32)
    assert not packed.bias.any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of inf - inf
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fast"])
def test_special_values_stay(precision):
    weight = torch.tensor([[float("inf"), -float("inf"), float("nan"), 0.0]], device=DEVICE)
    packed = layers.pack(weight, None, precision, rows_padded=32, cols_padded=32)
    for operands in (packed.forward, [operand.T for operand in packed.backward]):
        whole = sum(operand.float() for operand in operands)  # of high and low: not inf - inf
        assert torch.equal(whole[0, [0, 1, 3]], weight[0, [0, 1, 3]])
        assert bool(whole[0, 2].isnan())
