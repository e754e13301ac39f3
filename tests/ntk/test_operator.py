"""Products with the NTK without its matrix: those of the matrix, whatever the chunks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.ntk.operator import NtkOperator
from fastsnf.spec import Activation
from tests import cases
from tests.nn import networks
from tests.ntk import explicit
from tests.tolerances import FLOAT64, assert_as_good_as_eager, assert_close

CHUNKS = (1, 4, 7, 11, 100, None)
"""Of 11 points: single ones, with a rest, all of them, more than there are, as many as fit."""


def dense(gram: Tensor, v: Tensor) -> Tensor:
    """Return the product of the matrix, [N, N] or [N, C, N, C], with v."""
    rows = v.shape[: gram.dim() // 2].numel()
    return (gram.reshape(rows, rows) @ v.reshape(rows, -1)).reshape(v.shape)


def vectors(operator: NtkOperator, columns: int | None) -> Tensor:
    """Return a random v of the operator's rows."""
    form = operator.shape[: len(operator.shape) // 2]
    shape = form if columns is None else (*form, columns)
    return torch.randn(shape, dtype=operator.dtype, generator=cases.generator(9))


def assert_is_the_matrix(module: nn.Module, x: Tensor, outputs: str, chunk: int | None) -> None:
    gram = empirical_ntk(module, x, outputs=outputs)
    operator = NtkOperator(module, x, outputs=outputs, chunk=chunk)
    assert (operator.shape, operator.dtype, operator.device) == (gram.shape, gram.dtype, gram.device)
    for columns in (None, 1, 3):
        v = vectors(operator, columns)
        assert_close(operator @ v, dense(gram, v), FLOAT64)
    form = gram.shape[: gram.dim() // 2]
    diagonal = gram.reshape(form.numel(), form.numel()).diagonal().reshape(form)
    assert_close(operator.diagonal(), diagonal, FLOAT64)
    assert_close(operator.trace(), diagonal.sum(), FLOAT64)


@pytest.mark.parametrize("outputs", ["sum", "full"])
@pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)
def test_a_field(act: Activation, outputs: str) -> None:
    x, weights, biases, spec = explicit.problem(act, cases.Shape(N=11, D=2, F=7, L=1, C=3))
    assert_is_the_matrix(explicit.field_of(weights, biases, spec), x, outputs, 4)


@pytest.mark.parametrize("outputs", ["sum", "full"])
@pytest.mark.parametrize("chunk", CHUNKS)
def test_chunks(chunk: int | None, outputs: str) -> None:
    x, weights, biases, spec = explicit.problem(
        cases.ACTIVATIONS[0], cases.Shape(N=11, D=2, F=5, L=0, C=2), bias=(True, False)
    )
    module = explicit.field_of(weights, biases, spec)
    assert_is_the_matrix(module, x, outputs, chunk)
    assert_is_the_matrix(nn.Sequential(module), x, outputs, chunk)


def hooked() -> nn.Module:
    module = SNF(2, 3, 6, 1, dtype=torch.float64)
    module.net[0].register_forward_hook(lambda module, args, out: 2.0 * out)
    return module


def parametrized() -> nn.Module:
    module = SNF(2, 3, 6, 1, activation="finer", dtype=torch.float64)
    parametrizations.weight_norm(module.net[1].linear)
    return module


def complex_field() -> nn.Module:
    return nn.Sequential(SNF(2, 3, 6, 1, activation="gabor", dtype=torch.float64))


def notebook() -> nn.Module:
    return networks.NotebookSiren(2, 6, 1, 3, outermost_linear=True).to(torch.float64)


def with_a_spare_parameter() -> nn.Module:
    module = networks.INR(networks.SineLayer).to(torch.float64)
    module.spare = nn.Parameter(torch.ones(2, dtype=torch.float64))
    return module


@pytest.mark.parametrize("outputs", ["sum", "full"])
@pytest.mark.parametrize(
    "make", [hooked, parametrized, complex_field, notebook, with_a_spare_parameter], ids=lambda m: m.__name__
)
def test_any_module(make: Callable[[], nn.Module], outputs: str) -> None:
    x = cases.random_points(11, 2, dtype=torch.float64, gen=cases.generator(1))
    assert_is_the_matrix(make(), x, outputs, 5)


@pytest.mark.parametrize("outputs", ["sum", "full"])
@pytest.mark.parametrize("activation", ["sine", "gabor"])
def test_frozen_parameters(activation: str, outputs: str) -> None:
    module = SNF(2, 2, 6, 1, activation=activation, dtype=torch.float64)
    module.linears()[0].weight.requires_grad_(False)
    module.linears()[1].bias.requires_grad_(False)
    module.linears()[2].requires_grad_(False)
    x = cases.random_points(11, 2, dtype=torch.float64, gen=cases.generator(2))
    assert_is_the_matrix(module, x, outputs, 4)
    for part in (module, nn.Sequential(module)):
        part.requires_grad_(False)
        module.linears()[2].bias.requires_grad_()
        assert_is_the_matrix(part, x, outputs, 4)


def test_it_is_symmetric_and_linear() -> None:
    module = SNF(2, 2, 9, 1, dtype=torch.float64)
    operator = NtkOperator(module, cases.random_points(13, 2, dtype=torch.float64), outputs="full", chunk=5)
    a, b = (torch.randn(13, 2, dtype=torch.float64, generator=cases.generator(seed)) for seed in (3, 4))
    assert_close((a * (operator @ b)).sum(), (b * (operator @ a)).sum(), FLOAT64)
    assert_close(operator @ (2.0 * a - b), 2.0 * (operator @ a) - operator @ b, FLOAT64)
    assert (a * (operator @ a)).sum() > 0


@pytest.mark.parametrize("wrap", [lambda f: f, nn.Sequential], ids=["field", "module"])
def test_float32_is_as_good_as_eager(wrap: Callable[[nn.Module], nn.Module]) -> None:
    x, weights, biases, spec = explicit.problem(
        cases.ACTIVATIONS[0], cases.Shape(N=40, D=2, F=32, L=1, C=3), dtype=torch.float32
    )
    v = torch.randn(40, 2, generator=cases.generator(5))
    doubles = [cases.as_double(tensors) for tensors in (weights, biases)]
    exact = explicit.ntk(x.double(), *doubles, spec) @ v.double()
    eager = explicit.ntk(x, weights, biases, spec) @ v
    ours = NtkOperator(wrap(explicit.field_of(weights, biases, spec)), x, chunk=13) @ v
    assert ours.dtype == torch.float32
    assert_as_good_as_eager(ours, eager, exact)


def test_the_parameters_are_read_at_every_product() -> None:
    module = SNF(2, 1, 6, 1, dtype=torch.float64)
    x = cases.random_points(6, 2, dtype=torch.float64)
    operator, v = NtkOperator(module, x), torch.ones(6, dtype=torch.float64)
    before = operator @ v
    with torch.no_grad():
        module.linears()[0].weight.mul_(0.5)
    assert not torch.allclose(operator @ v, before)
    assert_close(operator @ v, empirical_ntk(module, x) @ v, FLOAT64)


def test_any_strides_and_no_columns() -> None:
    module = SNF(3, 2, 6, 1, dtype=torch.float64)
    x = cases.random_points(6, 3, dtype=torch.float64)
    expected = NtkOperator(module, x, outputs="full")
    v = vectors(expected, 3)
    for view in (cases.strided, cases.transposed, cases.offset):
        assert_close(NtkOperator(module, view(x), outputs="full") @ view(v), expected @ v, FLOAT64)
    assert (expected @ v[..., :0]).shape == (6, 2, 0)


def test_nothing_is_recorded_and_nothing_changes() -> None:
    for module in (SNF(2, 1, 6, 1), nn.Sequential(SNF(2, 1, 6, 1))):
        operator = NtkOperator(module, torch.rand(6, 2))
        v = torch.rand(6, requires_grad=True)
        assert not (operator @ v).requires_grad
        assert v.grad is None
        assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("make", [complex_field, notebook, hooked], ids=lambda make: make.__name__)
def test_inference_mode_changes_nothing(make: Callable[[], nn.Module]) -> None:
    x = cases.random_points(7, 2, dtype=torch.float64)
    module, v = make(), torch.rand(7, dtype=torch.float64)
    operator = NtkOperator(module, x)
    expected = empirical_ntk(module, x), operator @ v, operator.diagonal()
    with torch.inference_mode():
        inner = NtkOperator(module, 1.0 * x)
        found = empirical_ntk(module, 1.0 * x), inner @ (1.0 * v), inner.diagonal()
        for a, b in zip(found, expected, strict=True):
            assert_close(a, b, FLOAT64)


def test_a_million_points_take_no_matrix() -> None:
    module = SNF(1, 1, 1, 0)
    operator = NtkOperator(module, torch.linspace(-1, 1, 1_000_000).unsqueeze(1))
    assert operator.shape == (1_000_000, 1_000_000)  # 3.6 TiB
    product = operator @ torch.full((1_000_000,), 1e-6)
    assert bool(product.isfinite().all())
    assert "NtkOperator(SNF, shape=(1000000, 1000000), outputs='sum')" in repr(operator)


def test_bad_input_is_refused() -> None:
    module, x = SNF(2, 3, 4, 1), torch.rand(5, 2)
    with pytest.raises(InputError, match="expected outputs to be one of sum, full; got 'each'"):
        NtkOperator(module, x, outputs="each")
    for chunk in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="expected chunk to be a whole number of at least 1"):
            NtkOperator(module, x, chunk=chunk)  # type: ignore[arg-type]
    for points in (torch.rand(2, 5, 2), torch.rand(5, 3), torch.rand(0, 2), x.double(), [1.0]):
        with pytest.raises(InputError):
            NtkOperator(module, points)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="couples its points"):
        NtkOperator(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), x)


@pytest.mark.parametrize(
    ("outputs", "v"),
    [
        ("sum", torch.rand(4)),
        ("sum", torch.rand(5, 3, 2)),
        ("sum", torch.tensor(1.0)),
        ("sum", torch.rand(5).double()),
        ("sum", torch.rand(5, device="meta")),
        ("sum", [1.0] * 5),
        ("full", torch.rand(5)),
        ("full", torch.rand(15)),
        ("full", torch.rand(3, 5)),
        ("full", torch.rand(5, 3, 2, 1)),
    ],
)
def test_bad_vectors_are_refused(outputs: str, v: Tensor) -> None:
    operator = NtkOperator(SNF(2, 3, 4, 1), torch.rand(5, 2), outputs=outputs)
    with pytest.raises(InputError, match="expected"):
        operator @ v
