"""`field`, `linear_act` and `activate`: shapes, strides, modes, and what autograd records."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf import ops, reference
from fastsnf.errors import InputError
from fastsnf.spec import Activation, FieldSpec, Gabor, Identity, Sine
from tests import cases
from tests.engines.problems import SPECS, problem
from tests.ops.engines import EVERY_ENGINE, NATIVE, every_engine_with
from tests.ops.functions import as_leaves, field_of, present, small
from tests.tolerances import FLOAT32, FLOAT64, assert_close

TOLERANCE = 10 * FLOAT32
SHAPES = [(2,), (0, 2), (1, 2), (7, 2), (3, 4, 2), (2, 0, 3, 2), (1, 2, 1, 5, 2)]


@EVERY_ENGINE
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_leading_dimensions(shape: tuple[int, ...], engine: str) -> None:
    case = small(Sine(3.0), torch.float32)
    x = cases.random_points(*shape).requires_grad_()
    out = field_of(case, engine)(x, *present(case)[1:])
    assert out.shape == (*shape[:-1], 2)
    assert_close(out, reference.forward(x, *case[2:4], case.spec), TOLERANCE)
    (d_x,) = torch.autograd.grad(out, x, torch.ones_like(out))
    assert d_x.shape == shape
    assert_close(d_x, reference.vjp(x, *case[2:4], case.spec, torch.ones_like(out))[0], TOLERANCE)


@every_engine_with("spec", SPECS, interpreted=("sine", "gabor", "mixed", "last sine"))
def test_zero_rows(spec: FieldSpec, engine: str) -> None:
    case = problem(spec, [3, *[5] * (spec.layers - 1), 2], 0)
    inputs = as_leaves(present(case))
    out = field_of(case, engine)(*inputs)
    assert out.shape == (0, 2)
    for tensor, found in zip(inputs, torch.autograd.grad(out.sum(), inputs), strict=True):
        assert found.shape == tensor.shape
        assert not found.any()


@EVERY_ENGINE
def test_strides_and_views(engine: str) -> None:
    case = small(Sine(3.0), torch.float32, 12)
    function, params = field_of(case, engine), present(case)[1:]
    expected = function(case.x, *params)
    layouts = [
        cases.strided(case.x),
        cases.transposed(case.x),
        cases.offset(case.x),
        case.x.T.contiguous().T,
        torch._neg_view(-case.x),
        case.x.flip(0)[torch.arange(11, -1, -1)],
    ]
    for x in layouts:
        assert torch.equal(function(x, *params), expected)
    repeated = case.x[:1].expand(12, 2)
    assert_close(function(repeated, *params), expected[:1].expand(12, 2), TOLERANCE)


@EVERY_ENGINE
def test_gradients_of_strided_cotangents(engine: str) -> None:
    case = small(Gabor(2.0, 1.0), torch.float32, 12)
    inputs = as_leaves(present(case))
    out = field_of(case, engine)(*inputs)
    dense = torch.autograd.grad(out, inputs, torch.ones(12, 2), retain_graph=True)
    expanded = torch.autograd.grad(out, inputs, torch.ones(1).expand(12, 2))
    for a, b in zip(dense, expanded, strict=True):
        assert torch.equal(a, b)


@EVERY_ENGINE
def test_what_autograd_records(engine: str) -> None:
    case = small(Sine(3.0), torch.float32)
    function, tensors = field_of(case, engine), present(case)
    assert function(*tensors).grad_fn is None
    assert function(*as_leaves(tensors)).requires_grad
    with torch.no_grad():
        assert not function(*as_leaves(tensors)).requires_grad
    with torch.inference_mode():
        assert function(*tensors).is_inference()


@EVERY_ENGINE
def test_arguments_stay_as_they_are(engine: str) -> None:
    case = small(Sine(3.0), torch.float32)
    tensors = as_leaves(present(case))
    before = [tensor.detach().clone() for tensor in tensors]
    field_of(case, engine)(*tensors).sum().backward()
    assert all(map(torch.equal, tensors, before))


@EVERY_ENGINE
def test_a_change_in_place_before_backward_is_noticed(engine: str) -> None:
    case = small(Sine(3.0), torch.float32)
    inputs = as_leaves(present(case))
    out = field_of(case, engine)(*inputs)
    with torch.no_grad():
        inputs[1].add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


@every_engine_with("act", {"sine": Sine(3.0), "gabor": Gabor(2.0, 1.0)}, interpreted=("sine",))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_leaves_float32(dtype: torch.dtype, act: Activation, engine: str) -> None:
    """Half precision makes noise of steep waves. The derivatives are taken outside, as torch advises."""
    case, results = small(act, torch.float32, 12), []
    for enabled in (True, False):
        inputs = as_leaves(present(case))
        with torch.autocast("cpu", dtype=dtype, enabled=enabled):
            out = field_of(case, engine)(*inputs)
        results.append(derivatives(out, inputs))
    assert results[0][0].dtype == torch.float32
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, TOLERANCE)


@NATIVE
@pytest.mark.parametrize("act", [Sine(3.0), Gabor(2.0, 1.0)], ids=cases.name)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_derivatives_inside_autocast(dtype: torch.dtype, act: Activation) -> None:
    case, results = small(act, torch.float32, 12), []
    for enabled in (True, False):
        inputs = as_leaves(present(case))
        with torch.autocast("cpu", dtype=dtype, enabled=enabled):
            results.append(derivatives(field_of(case, "native")(*inputs), inputs))
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, TOLERANCE)


def derivatives(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """Return `out`, its first derivatives and a second one."""
    grads = torch.autograd.grad(out.square().sum(), inputs, create_graph=True)
    second = torch.autograd.grad(grads[0].square().sum(), inputs, materialize_grads=True)
    return [out, *grads, *second]


LAYERS = {act.name: act for act in (*cases.REAL_ACTIVATIONS, Identity())}


@every_engine_with("act", LAYERS, interpreted=("sine", "gaussian", "identity"))
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_linear_act(bias: bool, act: Activation, engine: str) -> None:
    case = problem(FieldSpec((act,)), [3, 5], 12, bias=bias)
    tensors = [case.x, *case.weights, *(b for b in case.biases if b is not None)]
    results = []
    for of in ("engine", "formula"):
        inputs = as_leaves(tensors)
        x, weight, b = [*inputs, None][:3]
        if of == "engine":
            h = ops.linear_act(x, weight, b, activation=act, engine=engine)
        else:
            h = reference.linear_act(x, weight, b, act)
        results.append([h, *torch.autograd.grad(h, inputs, case.d_out)])
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, 100 * FLOAT32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_complex_layers(dtype: torch.dtype) -> None:
    """A Gabor layer alone gives complex values; a complex linear layer too, not their real part."""
    gabor = Gabor(2.0, 1.0)
    case = small(gabor, dtype)
    h = case.x
    for weight, bias, act in zip(case.weights, case.biases, case.spec.activations, strict=True):
        expected = reference.linear_act(h, weight, bias, act)
        h = ops.linear_act(h, weight, bias, activation=act)
        assert h.is_complex()
        assert torch.equal(h, expected)
    assert_close(ops.field(*case[1:4], spec=case.spec), h.real, 1e-5)
    with pytest.raises(InputError, match="expected a real layer for engine 'native'; got a complex one"):
        ops.linear_act(case.x, case.weights[0], case.biases[0], activation=gabor, engine="native")


@pytest.mark.parametrize(
    ("act", "dtype"),
    [(act, dtype) for act in (*cases.ACTIVATIONS, Identity()) for dtype in (torch.float32, torch.float64)]
    + [(act, dtype) for act in (Gabor(), Identity()) for dtype in (torch.complex64, torch.complex128)],
    ids=str,
)
def test_activate(act: Activation, dtype: torch.dtype) -> None:
    u = (torch.randn(2, 3, 4, dtype=dtype, generator=cases.generator()) * 0.1).requires_grad_()
    h = ops.activate(u, activation=act)
    assert h.shape == u.shape
    assert torch.equal(h, reference.activations.value(act, u))
    d_h = torch.randn_like(h)
    (d_u,) = torch.autograd.grad(h, u, d_h)
    tolerance = FLOAT64 if u.dtype in (torch.float64, torch.complex128) else FLOAT32
    assert_close(d_u, reference.activations.vjp(act, u, d_h), tolerance)


def test_parameters_as_module_parameters() -> None:
    """Lists, tuples and nn.ParameterList serve alike."""
    case = small(Sine(3.0), torch.float32)
    parameters = torch.nn.ParameterList(case.weights)
    expected = ops.field(*case[1:4], spec=case.spec)
    for weights in (tuple(case.weights), parameters):
        assert torch.equal(ops.field(case.x, weights, tuple(case.biases), spec=case.spec), expected)
