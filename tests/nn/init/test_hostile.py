"""What users pass by mistake: functions that are no activations, numbers beyond float32, no field at all.

Oracle: the message of `InputError`, in one line, and fields that are as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fastsnf import init
from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.nn.init.slopes import fingerprint
from fastsnf.spec import Sine


def refused(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ask", [init.gain, init.solve_sigma_p, init.kumar_gain, init.moments])
@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda u: u > 0, "returned torch.bool: convert it"),
        (lambda u: u.long(), "returned torch.int64: convert it"),
        (lambda u: u.flip(-1), "to be elementwise"),
        (lambda u: u / u.norm(), "to be elementwise"),
        (lambda u: u.mean(), r"returned shape \[\]"),
        (Sine, "expected an activation such as"),
        (torch.nn.Sigmoid, "expected an activation such as"),
    ],
)
def test_what_is_no_activation_is_refused(ask: Callable[..., Any], function: Any, match: str) -> None:
    refused(lambda: ask(function), match)


def test_a_function_that_writes_into_its_argument_leaves_others_alone() -> None:
    before = fingerprint(torch.tanh)
    refused(lambda: init.gain(lambda u: u.mul_(2.0)), "in-place")
    assert fingerprint(torch.tanh) == before


@pytest.mark.parametrize(
    "function", [torch.tan, lambda u: 1.0 / (u - 0.3), lambda u: (u.abs() - 1.7).abs().pow(-0.5)]
)
def test_a_pole_has_an_infinite_second_moment(function: Callable[[Tensor], Tensor]) -> None:
    refused(lambda: init.gain(function), "infinite")


def test_a_singularity_with_a_second_moment_has_it() -> None:
    """``E |u|^(-1/2) = 2^(-1/4) Gamma(1/4) / sqrt(pi)``."""
    found = init.moments(lambda u: u.abs().pow(-0.25))
    expected = 2.0**-0.25 * torch.tensor(0.25, dtype=torch.float64).lgamma().exp().item() / torch.pi**0.5
    assert abs(found.square - expected) <= found.square_error + 1e-9
    assert found.square_error < 1e-3 * expected


@pytest.mark.parametrize(
    "call",
    [
        lambda field: init.weight_scaling_(field, alpha=1e300),
        lambda field: init.weight_scaling_(field, alpha=1e60),
        lambda field: init.frequency_tuning_(field, factor=1e60),
        lambda field: init.random_normal_(field, std=1e200),
        lambda field: init.kaiming_normal_(field, gain=1e60),
        lambda field: init.vi3nr_(field, sigma_p=1e300),
        lambda field: init.vi3nr_(field, input_moment=1e-320),
        lambda field: init.siren_(field, generator=3),
    ],
)
def test_what_weights_cannot_hold_is_refused_before_anything_changes(call: Callable[[SNF], Any]) -> None:
    field = SNF(2, 1, 8, 1)
    before = [parameter.clone() for parameter in field.parameters()]
    refused(lambda: call(field), "expected")
    assert all(map(torch.equal, before, field.parameters()))


@pytest.mark.parametrize("thing", [None, torch.nn.Linear(2, 2), "snf"])
def test_what_is_no_field_is_called_so(thing: Any) -> None:
    refused(lambda: init.siren_(thing), r"expected a field such as SNF\(2, 3\)")
