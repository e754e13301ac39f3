"""The custom operators as torch sees them: schema, fake tensors, autograd registration, dispatch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fastsnf.ops import ntk_registration, registration
from fastsnf.ops.registration import (
    field_bwd,
    field_bwd_kept,
    field_fwd,
    field_fwd_keep,
    field_mse,
    flatten,
)
from fastsnf.spec import FieldSpec, Gabor, Sine
from tests import cases
from tests.engines.problems import Problem, problem
from tests.ops.engines import FUSED, NATIVE, TRITON
from tests.ops.grams import operands

SPECS = [FieldSpec.mlp(Sine(2.0), 1), FieldSpec.mlp(Gabor(2.0, 1.0), 1), FieldSpec((Sine(2.0),))]
"""Slow waves: opcheck compares float32 results added up in other orders, and omega amplifies rounding."""


def inputs_of(spec: FieldSpec, points: int, bias: bool, layout: str) -> Problem:
    """Return a problem whose tensors are laid out as `layout` says."""
    case = problem(spec, [3, *[6] * (spec.layers - 1), 2], points, bias=bias)
    case.target.nan_to_num_(0.0)
    if layout == "dense":
        return case
    return case._replace(
        x=cases.strided(case.x),
        weights=[cases.transposed(w) for w in case.weights],
        d_out=cases.transposed(case.d_out),
        target=cases.strided(case.target),
    )


def arguments(case: Problem, engine: str, *, grad: bool) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Return every operator with arguments."""
    params, has_bias = flatten(case.weights, case.biases)
    x, d_out = case.x.detach(), case.d_out.detach()
    if grad:
        x.requires_grad_()
        d_out.requires_grad_()
        params = [p.detach().requires_grad_() for p in params]
    end = case.spec.key, has_bias, engine, "fp32"
    operators = {
        "field_fwd": (field_fwd, (x, params, *end)),
        "field_mse": (
            field_mse,
            (x.detach(), case.target, [p.detach() for p in params], case.sample_weight, *end),
        ),
    }
    for need_x, need_params in ((True, True), (True, False), (False, True)):
        operators[f"field_bwd {need_x} {need_params}"] = (
            field_bwd,
            (x, params, d_out, *end, need_x, need_params),
        )
    if engine == "triton":
        _, kept = field_fwd_keep(x.detach(), [p.detach() for p in params], *end)
        operators["field_fwd_keep"] = field_fwd_keep, (x, params, *end)
        operators["field_bwd_kept"] = field_bwd_kept, (x, params, d_out, kept, *end, True, True)
    return operators


NATIVE_CASES = [
    (spec, points, layout) for spec in SPECS for points in (9, 0, 1) for layout in ("strided", "dense")
]


@NATIVE
@pytest.mark.parametrize(
    ("spec", "points", "layout"), NATIVE_CASES if cases.count(10) == 10 else NATIVE_CASES[:1]
)
def test_opcheck(spec: FieldSpec, points: int, layout: str) -> None:
    for bias in (True, False) if cases.count(10) == 10 else (True,):
        case = inputs_of(spec, points, bias, layout)
        for operator, given in arguments(case, "native", grad=True).values():
            torch.library.opcheck(operator, given)


@TRITON
@pytest.mark.skipif(cases.count(10) < 10, reason="slow in the interpreter; test_kept.py checks a double")
@pytest.mark.parametrize("spec", SPECS)
def test_opcheck_of_the_triton_engine(spec: FieldSpec) -> None:
    case = inputs_of(spec, 9, True, "strided")
    for operator, given in arguments(case, "triton", grad=True).values():
        torch.library.opcheck(operator, given)


@NATIVE
@pytest.mark.parametrize("complex_from", [1, None][: cases.count(10)])
def test_opcheck_of_the_ntk(complex_from: int | None) -> None:
    given = operands((2, 5), [(3, 4), (4, 2)], cases.generator(), complex_from=complex_from)
    laid = [cases.transposed(a) for a in given.inputs], [cases.strided(d) for d in given.cotangents]
    torch.library.opcheck(ntk_registration.ntk_gram, (*laid, given.bias, "native"))


@NATIVE
@pytest.mark.parametrize("spec", SPECS if cases.count(10) == 10 else SPECS[1:2])
def test_opcheck_of_traces_and_adjusted_steps(spec: FieldSpec) -> None:
    case = inputs_of(spec, 9, True, "strided")
    params, has_bias = flatten(case.weights, case.biases)
    torch.library.opcheck(
        ntk_registration.layer_trace, (case.x, params, case.d_out, spec.key, has_bias, "native")
    )
    for slots in (torch.arange(9), None)[: cases.count(10)]:
        given = case.x, case.target, params, torch.eye(3)[:, :2], torch.ones(2), slots, 3, 3
        end = case.sample_weight, spec.key, has_bias, "native"
        torch.library.opcheck(ntk_registration.field_adjusted_mse, (*given, *end))


@NATIVE
def test_opcheck_without_gradients() -> None:
    for operator, given in arguments(inputs_of(SPECS[0], 9, True, "dense"), "native", grad=False).values():
        torch.library.opcheck(operator, given)


@FUSED
def test_results_are_new_and_contiguous(engine: str) -> None:
    for operator, given in arguments(inputs_of(SPECS[0], 9, True, "strided"), engine, grad=False).values():
        results = operator(*given)
        for result in [results] if isinstance(results, Tensor) else results:
            assert result.is_contiguous()
            assert not any(
                result.data_ptr() == t.data_ptr() for t in [given[0], *given[1]] if isinstance(t, Tensor)
            )


def test_flat_parameters_round_trip() -> None:
    weights = [torch.ones(1, 1), torch.ones(2, 1), torch.ones(3, 2)]
    biases = [torch.zeros(1), None, torch.zeros(3)]
    params, has_bias = flatten(weights, biases)
    assert (len(params), has_bias) == (5, [True, False, True])
    again = registration.unflatten(params, has_bias)
    assert all(a is b for a, b in zip(again[0], weights, strict=True))
    assert all(a is b for a, b in zip(again[1], biases, strict=True))


@FUSED
def test_lazy_conjugates_and_negatives_are_resolved(engine: str) -> None:
    case = problem(SPECS[1], [3, 6, 6, 2], 9)
    weights = [
        w.conj().resolve_conj().conj() if w.is_complex() else torch._neg_view(-w) for w in case.weights
    ]
    params, has_bias = flatten(weights, case.biases)
    found = field_fwd(torch._neg_view(-case.x), params, case.spec.key, has_bias, engine, "fp32")
    params, has_bias = flatten(case.weights, case.biases)
    assert torch.equal(found, field_fwd(case.x, params, case.spec.key, has_bias, engine, "fp32"))
