"""torch.func and forward-mode autograd through `ops`: plain operations, never silently wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from fastsnf import ops, reference
from fastsnf.errors import EngineError
from fastsnf.spec import Activation, FieldSpec, Gabor, Sine
from tests import cases
from tests.engines.problems import Problem
from tests.ops.engines import FUSED, NATIVE
from tests.ops.functions import GENTLE, field_of, present, small
from tests.tolerances import FLOAT32, FLOAT64, assert_close

EVERY = pytest.mark.parametrize("act", GENTLE, ids=cases.name)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
TOLERANCE = {torch.float32: 10 * FLOAT32, torch.float64: FLOAT64}


def exact_jvp(case: Problem, tangents: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the output and its tangent by the reference's own formula."""
    count = case.spec.layers
    rest = iter(tangents[1 + count :])
    t_biases = [None if b is None else next(rest) for b in case.biases]
    return reference.jvp(
        case.x, case.weights, case.biases, case.spec, tangents[0], tangents[1 : 1 + count], t_biases
    )


@EVERY
@DTYPES
def test_jvp(act: Activation, dtype: torch.dtype) -> None:
    """A bare custom operator would return tangents of zero here without a word."""
    case = small(act, dtype)
    tangents = [torch.randn_like(t) for t in present(case)]
    out, t_out = jvp(field_of(case), tuple(present(case)), tuple(tangents))
    for found, expected in zip((out, t_out), exact_jvp(case, tangents), strict=True):
        assert_close(found, expected, TOLERANCE[dtype])


@EVERY
@DTYPES
def test_dual_numbers(act: Activation, dtype: torch.dtype) -> None:
    case = small(act, dtype)
    tangents = [torch.randn_like(t) for t in present(case)]
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(t, tangent) for t, tangent in zip(present(case), tangents, strict=True)]
        out, t_out = forward_ad.unpack_dual(field_of(case)(*duals))
        for found, expected in zip((out, t_out), exact_jvp(case, tangents), strict=True):
            assert_close(found, expected, TOLERANCE[dtype])


@EVERY
@DTYPES
def test_vjp_and_grad(act: Activation, dtype: torch.dtype) -> None:
    case = small(act, dtype)
    d_x, d_weights, d_biases = reference.vjp(*case[1:4], case.spec, case.d_out)
    expected = [d_x, *d_weights, *(d for d in d_biases if d is not None)]
    _, pull = vjp(field_of(case), *present(case))
    everything = tuple(range(len(expected)))
    by_grad = grad(lambda *t: (field_of(case)(*t) * case.d_out).sum(), argnums=everything)(*present(case))
    for found in (pull(case.d_out), by_grad):
        for tensor, wanted in zip(found, expected, strict=True):
            assert_close(tensor, wanted, TOLERANCE[dtype])


def point_function(case: Problem) -> Tensor:
    return lambda point: field_of(case)(point, *present(case)[1:])  # type: ignore[return-value]


@EVERY
def test_jacobians_and_vmap(act: Activation) -> None:
    case = small(act)
    at = point_function(case)
    exact = torch.stack(
        [
            torch.autograd.functional.jacobian(lambda p: reference.forward(p, *case[2:4], case.spec), p)
            for p in case.x
        ]
    )
    assert_close(vmap(at)(case.x), reference.forward(*case[1:4], case.spec), FLOAT64)
    assert_close(vmap(jacrev(at))(case.x), exact, FLOAT64)
    assert_close(vmap(jacfwd(at))(case.x), exact, FLOAT64)


@pytest.mark.parametrize("act", [Sine(3.0), Gabor(2.0, 1.0)], ids=cases.name)
def test_hessian_and_laplacian(act: Activation) -> None:
    case = small(act)
    first = lambda point: point_function(case)(point)[0]  # noqa: E731
    found = vmap(hessian(first))(case.x)
    exact = torch.stack(
        [
            torch.autograd.functional.hessian(lambda p: reference.forward(p, *case[2:4], case.spec)[0], p)
            for p in case.x
        ]
    )
    assert_close(found, exact, FLOAT64)
    assert_close(vmap(jacfwd(jacfwd(first)))(case.x), exact, FLOAT64)


@DTYPES
def test_gradients_of_each_point(dtype: torch.dtype) -> None:
    """The empirical NTK's building block: vmap of grad over points, the parameters shared."""
    case = small(Sine(3.0), dtype)
    params = present(case)[1:]
    one = grad(lambda weight, point: field_of(case)(point, weight, *params[1:]).sum())
    found = vmap(one, in_dims=(None, 0))(params[0], case.x)
    for point, per_point in zip(case.x, found, strict=True):
        d_out = torch.ones(case.target.shape[1], dtype=dtype)
        assert_close(per_point, reference.vjp(point, *case[2:4], case.spec, d_out)[1][0], TOLERANCE[dtype])


def test_an_ensemble_by_vmap() -> None:
    members = [small(Sine(3.0), torch.float32, points) for points in (4, 5, 6)]
    stacked = [torch.stack(tensors) for tensors in zip(*(present(m)[1:] for m in members), strict=True)]
    x = members[0].x
    found = vmap(lambda *params: field_of(members[0])(x, *params))(*stacked)
    for out, member in zip(found, members, strict=True):
        assert_close(out, reference.forward(x, *member[2:4], member.spec), FLOAT32)


def test_mse_inside_a_transform() -> None:
    case = small(Sine(3.0), torch.float32)
    target = case.target.nan_to_num(0.0)
    found = vmap(lambda t: ops.mse_value_and_grad(case.x, t, case.weights, case.biases, spec=case.spec).loss)(
        torch.stack([target, target + 1.0])
    )
    out = reference.forward(*case[1:4], case.spec)
    assert_close(
        found, torch.stack([(out - target).square().mean(), (out - target - 1.0).square().mean()]), FLOAT32
    )


@FUSED
def test_an_explicit_fused_engine_refuses_transforms(engine: str) -> None:
    case = small(Sine(3.0), torch.float32)
    function = field_of(case, engine)
    tensors = tuple(present(case))
    calls = [
        lambda: jvp(function, tensors, tensors),
        lambda: vmap(lambda p: function(p, *tensors[1:]))(case.x),
        lambda: grad(lambda *t: function(*t).sum())(*tensors),
        lambda: jacfwd(function)(*tensors),
    ]
    for call in calls:
        with pytest.raises(
            EngineError, match=r"torch\.func transforms, forward-mode autograd and torch\.export"
        ):
            call()
    with forward_ad.dual_level(), pytest.raises(EngineError, match="forward-mode autograd"):
        function(forward_ad.make_dual(case.x, case.x), *tensors[1:])


@NATIVE
def test_afterwards_the_native_engine_takes_calls_again() -> None:
    case = small(Sine(3.0), torch.float32)
    jvp(field_of(case), tuple(present(case)), tuple(present(case)))
    assert ops.chosen(*case[1:4], spec=case.spec) == "native"


def test_linear_act_and_activate_in_transforms() -> None:
    case = small(Sine(3.0))
    x, weight, bias, act = case.x, case.weights[0], case.biases[0], Sine(3.0)
    t_x = torch.randn_like(x)
    _, found = jvp(lambda p: ops.linear_act(p, weight, bias, activation=act), (x,), (t_x,))
    assert_close(
        found, reference.jvp(x, [weight], [bias], FieldSpec((act,)), t_x, [None], [None])[1], FLOAT64
    )
    _, found = jvp(lambda u: ops.activate(u, activation=act), (x,), (t_x,))
    assert_close(found, reference.activations.jvp(act, x, t_x), FLOAT64)
