"""NTK products ignore what torch is told about float32, and leave the setting as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from fastsnf import ops
from fastsnf.ops.exact import full_float32
from tests import cases
from tests.ops.grams import operands


@pytest.fixture(params=["high", "medium"])
def told(request: pytest.FixtureRequest) -> Iterator[str]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(request.param)
    yield request.param
    torch.set_float32_matmul_precision(before)


def test_products_are_exact_inside_and_as_told_after(told: str) -> None:
    setting, like = torch.backends.mkldnn.matmul, torch.ones(1)
    outside = setting.fp32_precision
    with full_float32(like):
        assert setting.fp32_precision in ("ieee", "none")
    assert setting.fp32_precision == outside
    with pytest.raises(KeyError), full_float32(like):
        raise KeyError
    assert setting.fp32_precision == outside
    assert torch.get_float32_matmul_precision() == told


def test_the_reference_engine_computes_the_same_whatever_torch_is_told(told: str) -> None:
    given = operands((64,), [(96, 80), (80, 3)], cases.generator())
    found = ops.ntk_gram(given.inputs, given.cotangents, bias=given.bias, engine="reference")
    torch.set_float32_matmul_precision("highest")
    exact = ops.ntk_gram(given.inputs, given.cotangents, bias=given.bias, engine="reference")
    assert torch.equal(found, exact)


def test_other_devices_have_no_setting() -> None:
    with full_float32(torch.ones(1, device="meta")):
        pass
