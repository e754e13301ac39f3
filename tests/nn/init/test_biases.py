"""Bias schemes of every initializer."""

from __future__ import annotations

import math

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.nn import init
from tests.cases import generator
from tests.nn.init.draws import make


@pytest.mark.parametrize(
    ("scheme", "value"), [("zero", 0.0), (0.01, 0.01), ("0.01", 0.01), (-1, -1.0), ("like_weights", None)]
)
@pytest.mark.parametrize("name", init.INITIALIZERS)
def test_bias_schemes(name: str, scheme: str | float, value: float | None) -> None:
    field = make(init=name, bias_init=scheme)
    for bias in field.layer_tensors()[1]:
        assert bias is not None
        if value is None:
            assert bias.unique().numel() == bias.numel()
        else:
            assert torch.equal(bias, torch.full_like(bias, value))


@pytest.mark.parametrize("name", init.INITIALIZERS)
def test_the_bias_scheme_leaves_the_weights_as_they_were(name: str) -> None:
    plain, zero = (
        make(init=name, bias_init=scheme, generator=generator(3)) for scheme in ("default", "zero")
    )
    for a, b in zip(plain.layer_tensors()[0], zero.layer_tensors()[0], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", init.INITIALIZERS)
def test_initializers_work_without_biases_and_keep_requires_grad(name: str) -> None:
    field = make(bias=False)
    init.initialize_(field, name, bias_init="zero")
    assert field.layer_tensors()[1] == [None] * 4
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in field.parameters())


@pytest.mark.parametrize("scheme", ["zeros", "", math.nan, math.inf, None, True, "nan"])
def test_a_bad_bias_scheme_is_refused_before_anything_changes(scheme: object) -> None:
    field = make()
    before = [parameter.clone() for parameter in field.parameters()]
    with pytest.raises(InputError, match="bias_init"):
        init.siren_(field, bias_init=scheme)  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(before, field.parameters(), strict=True))
