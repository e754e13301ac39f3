"""What PyTorch's transforms make of a field: compile, export, torch.func, derivatives of any order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from fastsnf.nn import SNF, Siren, accelerate
from tests import cases
from tests.nn.networks import SirenNet
from tests.tolerances import FLOAT32, FLOAT64, assert_close

ACTIVATIONS = ["sine", "gabor", "gaussian"]


def plain(field: SNF) -> SNF:
    """Return the field off its fused path: a hook that does nothing on every layer."""
    for module in field.net:
        module.register_forward_hook(lambda *_: None)
    assert not field.fused
    return field


def twins(activation: str, dtype: torch.dtype = torch.float64) -> tuple[SNF, SNF]:
    """Return one field twice: as it is, and layer by layer."""
    field, twin = (
        SNF(2, 3, 7, 2, activation=activation, dtype=dtype, generator=cases.generator(1)) for _ in "ab"
    )
    return field, plain(twin)


def parameters(field: SNF) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in field.named_parameters()}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradcheck_to_second_order_through_parameters_and_coordinates(activation: str) -> None:
    field = SNF(
        2, 2, 3, 1, activation=activation, first_omega=3.0, hidden_omega=3.0, scale=1.0, dtype=torch.float64
    )
    names, values = zip(*field.named_parameters(), strict=True)

    def function(x: Tensor, *tensors: Tensor) -> Tensor:
        return functional_call(field, dict(zip(names, tensors, strict=True)), (x,))

    inputs = (cases.random_points(3, 2, dtype=torch.float64).requires_grad_(), *values)
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_double_backward(activation: str, dtype: torch.dtype) -> None:
    found = []
    for field in twins(activation, dtype):
        x = cases.random_points(9, 2, dtype=dtype, gen=cases.generator(2)).requires_grad_()
        (d_x,) = torch.autograd.grad(field(x).sum(), x, create_graph=True)
        d_x.square().sum().backward()
        found.append([x.grad, *(p.grad for p in field.parameters() if p.grad is not None)])
    for a, b in zip(*found, strict=True):
        assert a is not None
        assert b is not None
        assert_close(a, b, FLOAT64 if dtype == torch.float64 else 100 * FLOAT32)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("transform", [jacrev, jacfwd, hessian])
def test_derivatives_in_the_coordinates(activation: str, transform: object) -> None:
    field, twin = twins(activation)
    x = cases.random_points(2, dtype=torch.float64)
    assert_close(transform(field)(x), transform(twin)(x), FLOAT64)  # type: ignore[operator]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_vmap_of_grad_gives_per_sample_gradients(activation: str, dtype: torch.dtype) -> None:
    field, twin = twins(activation, dtype)
    x = cases.random_points(4, 2, dtype=dtype)

    def loss(values: dict[str, Tensor], module: SNF, point: Tensor) -> Tensor:
        return functional_call(module, values, (point,)).square().sum()

    per_sample = vmap(grad(loss), in_dims=(None, None, 0))(parameters(field), field, x)
    for index in range(len(x)):
        alone = grad(loss)(parameters(twin), twin, x[index])
        for name, gradient in per_sample.items():
            assert_close(
                gradient[index], alone[name], FLOAT64 if dtype == torch.float64 else 100 * FLOAT32, name
            )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_jvp_and_vjp_in_parameters_and_coordinates(activation: str, dtype: torch.dtype) -> None:
    field, twin = twins(activation, dtype)
    x, t_x = cases.random_points(6, 2, dtype=dtype), cases.random_points(6, 2, dtype=dtype)
    values = parameters(field)
    tangents = {name: 0.01 * torch.randn_like(value) for name, value in values.items()}

    def call(module: SNF) -> object:
        return lambda v, points: functional_call(module, v, (points,))

    out, t_out = jvp(call(field), (values, x), (tangents, t_x))
    expected, t_expected = jvp(call(twin), (values, x), (tangents, t_x))
    tolerance = FLOAT64 if dtype == torch.float64 else 100 * FLOAT32
    assert_close(out, expected, tolerance)
    assert t_out.abs().max() > 0
    assert_close(t_out, t_expected, tolerance)
    (_, pull), (_, pull_twin) = vjp(call(field), values, x), vjp(call(twin), values, x)
    (d_values, d_x), (e_values, e_x) = pull(out), pull_twin(out)
    assert_close(d_x, e_x, tolerance)
    for name, gradient in d_values.items():
        assert_close(gradient, e_values[name], tolerance, name)


def test_vmap_over_stacked_fields() -> None:
    fields = [SNF(2, 3, 7, 1, generator=cases.generator(seed)) for seed in range(3)]
    stacked, _ = torch.func.stack_module_state(list(fields))
    x = cases.random_points(5, 2)
    out = vmap(lambda values: functional_call(fields[0], values, (x,)))(stacked)
    for index, field in enumerate(fields):
        assert_close(out[index], field(x), FLOAT32)


def train_step(module: torch.nn.Module, x: Tensor) -> list[Tensor]:
    module.zero_grad()
    module(x).square().mean().backward()
    return [parameter.grad for parameter in module.parameters() if parameter.grad is not None]


def assert_compiles(module: SNF, backend: str) -> None:
    """Assert that forward, backward and another batch size compile without a graph break."""
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend=backend)
    for n in (8, 13):
        x = cases.random_points(n, 2)
        with torch.no_grad():
            assert_close(compiled(x), module(x), FLOAT32)
        expected = [gradient.clone() for gradient in train_step(module, x)]
        for a, b in zip(train_step(compiled, x), expected, strict=True):
            assert_close(a, b, 10 * FLOAT32)


@pytest.mark.parametrize("activation", ["sine", "gabor"])
def test_compile_without_a_graph_break(activation: str) -> None:
    assert_compiles(SNF(2, 3, 8, 1, activation=activation), "aot_eager")


def test_compile_of_an_accelerated_network() -> None:
    assert_compiles(accelerate(SirenNet(2, 8, 3, 2)), "aot_eager")


def test_compile_by_inductor() -> None:
    if cases.count(10) < 10:
        pytest.skip("compiles C++ for a minute: runs with --all")
    assert_compiles(SNF(2, 3, 8, 1), "inductor")


def test_compile_around_autocast_and_hooks() -> None:
    torch.compiler.reset()
    field = SNF(2, 3, 8, 1)
    x = cases.random_points(8, 2)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def call(points: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return field(points)

    assert call(x).dtype == torch.float32
    assert_close(call(x), field(x), FLOAT32)
    field.net[1].linear.register_forward_hook(lambda module, args, out: 0 * out)
    torch.compiler.reset()
    assert_close(torch.compile(field, fullgraph=True, backend="aot_eager")(x), field(x), FLOAT32)


@pytest.mark.parametrize("activation", ["sine", "gabor"])
def test_export_with_a_dynamic_number_of_points(activation: str) -> None:
    field = SNF(2, 3, 8, 1, activation=activation)
    points = torch.export.Dim("points", min=2)
    program = torch.export.export(field, (cases.random_points(5, 2),), dynamic_shapes={"x": {0: points}})
    for n in (5, 9):
        x = cases.random_points(n, 2)
        assert_close(program.module()(x), field(x), FLOAT32)


def test_export_of_a_siren() -> None:
    field = Siren(2, 8, 1, 3)
    x = cases.random_points(5, 2)
    assert_close(torch.export.export(field, (x,)).module()(x), field(x), FLOAT32)
