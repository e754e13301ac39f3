"""The first layer's kernels against float64, in Triton's interpreter where there is no GPU."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from fastsnf.engines.triton import edges
from fastsnf.engines.triton.kernels.activation import PHASE_NAN
from fastsnf.engines.triton.launch import recording
from fastsnf.engines.triton.plan import DTYPES
from fastsnf.engines.triton.tile_table import padded
from fastsnf.reference import activations
from fastsnf.spec import Activation, FieldSpec, Gaussian, Identity, ReLU, Sine, Tanh
from tests import cases
from tests.engines.triton.edge_cases import (
    DEVICE,
    EVERY_ACTIVATION,
    EVERY_REAL,
    NOT_FINITE,
    PHASES,
    SUMS,
    nans,
    random,
)
from tests.tolerances import assert_close, error, largest

SHAPES = ((1, 1, 1), (17, 2, 33), (130, 3, 31), (5, 4, 64), (9, 5, 7), (33, 6, 100), (3, 7, 5), (12, 8, 65))
"""(M, D, F)."""

SPLIT = 32

DTYPES_OF_COTANGENTS = (torch.float32, torch.bfloat16)


def layer(M: int, D: int, F: int, act: Activation | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return points, weight and bias of a first layer whose activation is alive."""
    gen = cases.generator(M + D + F)
    weights, biases = cases.random_field(FieldSpec.mlp(act or Tanh(), 0), [D, F, 1], gen=gen)
    return cases.random_points(M, D, gen=gen), weights[0], biases[0]


def run_forward(x, weight, bias, act, form="float32") -> Tensor:
    """Return what the kernel saves, from a buffer of NaN."""
    s = nans(x.shape[0], padded(weight.shape[0]), dtype=DTYPES[form])
    edges.first_fwd(
        x.to(DEVICE), weight.to(DEVICE), None if bias is None else bias.to(DEVICE), s, act, format_out=form
    )
    return s.cpu()


def exact_u(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return the pre-activations in float64."""
    u = x.double() @ weight.double().T
    return u if bias is None else u + bias.double()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pre_activations_of_every_shape(shape: tuple[int, int, int]) -> None:
    x, weight, b = layer(*shape)
    b = b if shape[1] % 4 else None
    s = run_forward(x, weight, b, Tanh())
    u, eager = exact_u(x, weight, b), torch.nn.functional.linear(x, weight, b)
    F = weight.shape[0]
    assert error(s[:, :F], u) <= max(2.0 * error(eager, u), 4 * 2.0**-23 * largest(u))
    assert bool((s[:, F:] == 0.0).all())


@pytest.mark.parametrize("act", EVERY_ACTIVATION, ids=cases.name)
@pytest.mark.parametrize("sixteen", [False, True], ids=["32 bits", "16 bits"])
def test_every_activation_saves_its_form(act, sixteen: bool) -> None:
    x, weight, bias = layer(37, 2, 45, act)
    u = exact_u(x, weight, bias)
    form = ("phase16" if act.name == "sine" else "float16") if sixteen else "float32"
    s = run_forward(x, weight, bias, act, form)
    assert bool((s[:, 45:] == 0).all())
    if act.name == "sine":
        turns = u * act.omega / (2.0 * math.pi)
        stored = s[:, :45].double() / (PHASES if sixteen else 1.0)
        assert float(stored.abs().max()) <= 0.5
        difference = stored - turns
        away = float((difference - difference.round()).abs().max())
        assert away <= 8 * 2.0**-24 * largest(turns) + (0.501 / PHASES if sixteen else 0.0)
    else:
        assert_close(s[:, :45], u, 2.0**-10 if sixteen else SUMS)


@pytest.mark.parametrize("act", EVERY_REAL, ids=cases.name)
@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_a_field_of_one_layer(act, precision: str) -> None:
    x, weight, bias = layer(35, 3, 5, act)
    rows = nans(35, 9)
    out = rows[:, 2:7]
    edges.first_fwd(
        x.to(DEVICE),
        weight.to(DEVICE),
        bias.to(DEVICE),
        out,
        act,
        format_out="float32",
        precision=precision,
        final=True,
    )
    exact = activations.value(act, exact_u(x, weight, bias))
    eager = activations.value(act, torch.nn.functional.linear(x, weight, bias))
    assert error(out.cpu(), exact) <= max(2.0 * error(eager, exact), 1e-5 * largest(exact))
    assert bool(rows[:, :2].isnan().all())
    assert bool(rows[:, 7:].isnan().all())


def test_points_may_lie_anywhere() -> None:
    x, weight, bias = layer(40, 3, 40)
    straight = run_forward(x, weight, bias, Gaussian())
    assert torch.equal(run_forward(cases.offset(x), cases.offset(weight), bias, Gaussian()), straight)


@NOT_FINITE
def test_nan_has_a_phase_of_its_own() -> None:
    x, weight, bias = layer(4, 2, 33)
    x[1, 0], x[2, 1] = float("nan"), float("inf")
    s = run_forward(x, weight, bias, Sine(30.0), "phase16")
    assert bool((s[1:3, :33] == PHASE_NAN.value).all())
    assert not bool((s[[0, 3]] == PHASE_NAN.value).any())
    assert bool((s[:, 33:] == 0).all())


@NOT_FINITE
def test_what_is_not_finite_stays_in_its_row() -> None:
    x, weight, bias = layer(20, 2, 33)
    x[3, 1], x[5, 0] = float("nan"), float("inf")
    s, eager = run_forward(x, weight, bias, ReLU()), torch.nn.functional.linear(x, weight, bias)
    assert bool(s[3, :33].isnan().all())
    assert torch.equal(s[5, :33], eager[5])
    assert bool(s[[0, 1, 2, 4, *range(6, 20)]].isfinite().all())
    assert bool((s[:, 33:] == 0.0).all())


def run_gradient(x: Tensor, d0: Tensor, F: int, rows: int = SPLIT) -> Tensor:
    """Return the partial sums of splits of `rows` rows, from a buffer of NaN."""
    partial = nans(-(-x.shape[0] // rows), F, x.shape[1] + 1)
    edges.first_dw(x.to(DEVICE), d0.to(DEVICE), partial, rows)
    return partial.cpu()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_parameter_gradients(shape: tuple[int, int, int]) -> None:
    M, D, F = shape
    dtype = DTYPES_OF_COTANGENTS[D % 2]
    gen = cases.generator(7)
    x, d0 = cases.random_points(M, D, gen=gen), nans(M, padded(F), dtype=dtype).cpu()
    d0[:, :F] = random(M, F, gen=gen).to(dtype)
    partial = run_gradient(x, d0, F)
    expected = d0[:, :F].double().T @ torch.cat([x, torch.ones(M, 1)], dim=1).double()
    assert_close(partial.double().sum(0), expected, SUMS)


def test_chunks_give_the_same_bits() -> None:
    gen = cases.generator(8)
    x, d0 = cases.random_points(90, 2, gen=gen), random(90, 32, gen=gen)
    whole = run_gradient(x, d0, 30)
    chunks = [run_gradient(x[rows], d0[rows], 30) for rows in (slice(0, 2 * SPLIT), slice(2 * SPLIT, 90))]
    assert torch.equal(torch.cat(chunks), whole)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradient_of_the_points(shape: tuple[int, int, int]) -> None:
    M, D, F = shape
    dtype = DTYPES_OF_COTANGENTS[(D + 1) % 2]
    gen = cases.generator(9)
    weight, d0 = random(F, D, gen=gen), nans(M, padded(F), dtype=dtype).cpu()
    d0[:, :F] = random(M, F, gen=gen).to(dtype)
    d_x = nans(M, D)
    edges.first_dx(d0.to(DEVICE), weight.to(DEVICE), d_x)
    assert_close(d_x.cpu(), d0[:, :F].double() @ weight.double(), SUMS)


def test_no_points() -> None:
    x, weight, bias = layer(1, 2, 8)
    edges.first_fwd(x[:0], weight, bias, nans(0, 32), Identity(), format_out="float32")
    edges.first_dw(x[:0], nans(0, 32), nans(0, 8, 3), SPLIT)
    edges.first_dx(nans(0, 32), weight, nans(0, 2))


def test_bytes_of_a_launch() -> None:
    """x is read and the saved tensor written, once."""
    x, weight, bias, s = (torch.empty(*n, device="meta") for n in ((1000, 2), (256, 2), (256,), (1000, 256)))
    with recording("sm_90") as launches:
        edges.first_fwd(x, weight, bias, s, Sine(), format_out="float32")
        edges.first_dw(x, s, torch.empty(4, 256, 3, device="meta"), 256)
        edges.first_dx(s, weight, torch.empty_like(x))
    forward, gradient, to_x = launches
    assert forward.bytes_read == 4 * (2000 + 512 + 256)
    assert forward.bytes_written == 4 * 256_000
    assert gradient.bytes_read == to_x.bytes_read - 4 * 512 + 4 * 2000 == 4 * 258_000
    assert forward.flops == 2 * 1000 * 2 * 256
