"""The formula of the eNTK is the product of explicit Jacobians, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.reference import ntk
from fastsnf.spec import Activation, FieldSpec, Gabor, Identity, Sine
from tests import cases
from tests.engines.problems import EVERY_SPEC, problem
from tests.tolerances import FLOAT64, assert_close

EVERY_ACTIVATION = pytest.mark.parametrize("act", [*cases.ACTIVATIONS, Identity()], ids=cases.name)


def gram_of(spec: FieldSpec, x: Tensor, weights: list[Tensor], biases: list, d_out: Tensor) -> Tensor:
    """Return the eNTK [..., n, n] by the formula."""
    traced = ntk.layer_trace(x, weights, biases, spec, d_out)
    return ntk.ntk_gram(traced.inputs, traced.cotangents, [b is not None for b in biases])


def explicit(spec: FieldSpec, x: Tensor, weights: list[Tensor], biases: list, d_out: Tensor) -> Tensor:
    """Return the eNTK [n, n] by explicit Jacobians."""
    full = ntk.jacobian_gram(ntk.jacobian(x, weights, biases, spec))
    return torch.einsum("nc,ncmd,md->nm", d_out, full, d_out)


def check(spec: FieldSpec, widths: list[int], points: int, bias: bool | list[bool], seed: int = 0) -> None:
    """Assert that both are the same, for random cotangents."""
    gen = cases.generator(seed)
    case = problem(spec, widths, points, bias=bias, gen=gen, dtype=torch.float64)
    given = spec, case.x, case.weights, case.biases, case.d_out
    found = gram_of(*given)
    assert_close(found, explicit(*given), FLOAT64, f"{spec}, {widths}, n = {points}, bias = {bias}")
    assert torch.equal(found, found.mT)
    lowest = torch.linalg.eigvalsh(found)
    assert float(lowest.min()) >= -points * torch.finfo(torch.float64).eps * float(lowest.max())


@EVERY_SPEC
def test_identity_with_explicit_jacobians(spec: FieldSpec) -> None:
    for points, bias in ((7, True), (5, False), (1, True)):
        check(spec, [3, *[6] * (spec.layers - 1), 2], points, bias)


@EVERY_ACTIVATION
def test_one_and_two_layers(act: Activation) -> None:
    if not act.is_complex:  # which takes two layers
        check(FieldSpec((act,)), [3, 4], 6, True)
        check(FieldSpec((act,)), [2, 1], 6, False)
    check(FieldSpec.mlp(act, 0), [2, 9, 1], 6, [True, False])


@pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)
def test_mixed_biases_and_depth(act: Activation) -> None:
    check(FieldSpec.mlp(act, 4), [2, 11, 7, 5, 8, 6, 3], 9, [True, False, False, True, False, True])


def test_a_two_layer_network_in_closed_form() -> None:
    """``sum_h a_h^2 relu'(u_nh) relu'(u_mh) (x_n . x_m + 1) + h_n . h_m + 1``, written out."""
    gen = cases.generator(1)
    spec = FieldSpec.mlp(cases.REAL_ACTIVATIONS[5], 0)
    assert spec.activations[0].name == "relu"
    case = problem(spec, [2, 33, 1], 12, gen=gen, dtype=torch.float64)
    w, a = case.weights
    u = case.x @ w.T + case.biases[0]
    h, step = u.relu(), (u > 0).double()
    expected = ((a * step) @ (a * step).T) * (case.x @ case.x.T + 1.0) + h @ h.T + 1.0
    d_out = torch.ones(12, 1, dtype=torch.float64)
    assert_close(gram_of(spec, case.x, case.weights, case.biases, d_out), expected, FLOAT64)


@pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)
def test_batches_are_blocks(act: Activation) -> None:
    spec = FieldSpec.mlp(act, 1)
    case = problem(spec, [2, 7, 7, 3], 24, dtype=torch.float64)
    x, d_out = case.x.view(4, 6, 2), case.d_out.view(4, 6, 3)
    blocks = gram_of(spec, x, case.weights, case.biases, d_out)
    whole = gram_of(spec, case.x, case.weights, case.biases, case.d_out)
    for i in range(4):
        assert_close(blocks[i], whole[6 * i : 6 * i + 6, 6 * i : 6 * i + 6], FLOAT64)


def test_the_trace_holds_the_parameters_gradients() -> None:
    """``sum_n D_n A_n^H`` is the conjugate of the weight's gradient."""
    for act in (Sine(30.0), Gabor(20.0, 10.0)):
        spec = FieldSpec.mlp(act, 1)
        case = problem(spec, [2, 7, 5, 3], 8, dtype=torch.float64)
        traced = ntk.layer_trace(case.x, case.weights, case.biases, spec, case.d_out)
        _, d_weights, d_biases = reference.vjp(case.x, case.weights, case.biases, spec, case.d_out)
        for a, d, d_weight, d_bias in zip(*traced, d_weights, d_biases, strict=True):
            assert_close(torch.einsum("no,ni->oi", d, a), d_weight.conj().resolve_conj(), FLOAT64)
            assert d_bias is not None
            assert_close(d.sum(dim=0), d_bias.conj().resolve_conj(), FLOAT64)


def test_no_points() -> None:
    spec = FieldSpec.mlp(Sine(3.0), 0)
    case = problem(spec, [2, 4, 3], 0, dtype=torch.float64)
    assert gram_of(spec, case.x, case.weights, case.biases, case.d_out).shape == (0, 0)
