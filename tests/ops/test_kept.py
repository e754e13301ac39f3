"""Engines that keep pre-activations: when they do, when these do not fit, and their operators."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from fastsnf import ops, reference
from fastsnf.ops import registration
from fastsnf.ops.registration import field_bwd, field_bwd_kept, field_fwd, field_fwd_keep, flatten
from fastsnf.spec import FieldSpec, Gabor, Sine
from tests.engines.problems import problem
from tests.ops.double import Double
from tests.ops.engines import TRITON
from tests.ops.functions import as_leaves, field_of, present, small
from tests.tolerances import FLOAT32, assert_close

pytestmark = TRITON


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Double:
    """Return the engine that takes the calls to ``engine="triton"``."""
    double = Double()
    monkeypatch.setitem(registration.MODULES, "triton", double)  # type: ignore[arg-type]
    return double


def test_it_keeps_only_what_autograd_will_ask_for(double: Double) -> None:
    case = small(Sine(3.0), torch.float32)
    function, leaves = field_of(case, "triton"), as_leaves(present(case))
    function(*present(case))
    with torch.no_grad():
        function(*leaves)
    with torch.inference_mode():
        function(*leaves)
    assert double.calls == ["forward fp32"] * 3
    function(*leaves)
    function(leaves[0], *present(case)[1:])
    function(case.x, *leaves[1:])
    assert double.calls[3:] == ["forward_keep fp32"] * 3


def test_the_backward_pass_takes_what_was_kept_and_what_is_needed(double: Double) -> None:
    case = small(Sine(3.0), torch.float32)
    leaves = as_leaves(present(case))
    for inputs, needs in (
        (leaves, "True True"),
        ([leaves[0], *present(case)[1:]], "True False"),
        ([case.x, *leaves[1:]], "False True"),
    ):
        double.calls.clear()
        field_of(case, "triton")(*inputs).sum().backward()
        assert double.calls == ["forward_keep fp32", f"backward_kept fp32 {needs}"]


def test_out_of_memory_computes_again(double: Double) -> None:
    case, results = small(Sine(3.0), torch.float32), []
    for fits in (True, False):
        double.fits = fits
        inputs = as_leaves(present(case))
        out = field_of(case, "triton")(*inputs)
        results.append([out, *torch.autograd.grad(out, inputs, case.d_out)])
    assert double.calls[2:] == ["forward_keep fp32", "forward fp32", "backward fp32 True True"]
    assert all(map(torch.equal, *results))


def test_what_is_kept_is_freed(double: Double) -> None:
    """Autograd holds it until the backward pass, and nothing holds it after."""
    case = small(Sine(3.0), torch.float32)
    out = field_of(case, "triton")(*as_leaves(present(case)))
    node = out.grad_fn.next_functions[0][0]
    assert node.saved_tensors[-1].dtype == torch.uint8
    out.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        _ = node.saved_tensors


def test_saved_tensor_hooks_see_it(double: Double) -> None:
    """So that activation offloading and checkpointing work."""
    case, packed = small(Sine(3.0), torch.float32), []

    def pack(tensor: Tensor) -> Tensor:
        packed.append(tensor.dtype)
        return tensor.clone()

    inputs = as_leaves(present(case))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = field_of(case, "triton")(*inputs)
    assert torch.uint8 in packed
    found = torch.autograd.grad(out, inputs, case.d_out)
    expected = torch.autograd.grad(field_of(case, "triton")(*inputs), inputs, case.d_out)
    assert all(map(torch.equal, found, expected))


def test_opcheck(double: Double) -> None:
    case = problem(FieldSpec((Sine(3.0),)), [3, 2], 9)
    params, has_bias = flatten(case.weights, case.biases)
    end = case.spec.key, has_bias, "triton", "tf32"
    kept = field_fwd_keep(case.x, params, *end)[1]
    x, d_out, *params = as_leaves([case.x, case.d_out, *params])
    torch.library.opcheck(field_fwd_keep, (x, params, *end))
    torch.library.opcheck(field_bwd_kept, (x, params, d_out, kept, *end, True, True))


def test_third_derivatives(double: Double) -> None:
    case, results = small(Sine(3.0), torch.float32, 20), []
    for engine in ("triton", "reference"):
        inputs = as_leaves(present(case))
        value, grads = field_of(case, engine)(*inputs).square().sum(), []
        for _ in range(3):
            grads = torch.autograd.grad(value, inputs, create_graph=True, materialize_grads=True)
            value = torch.stack([grad.square().sum() for grad in grads]).sum()
        results.append(grads)
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, 1e-4)


@pytest.mark.parametrize(("act", "precision"), [(Sine(3.0), "fp32"), (Gabor(2.0, 1.0), "fast")])
def test_the_engine_keeps_and_backward_runs_twice(act: Sine | Gabor, precision: str) -> None:
    """The real engine: the same gradients from what it kept, again from it, and computed again."""
    case = small(act, torch.float32, 37)
    params, has_bias = flatten(case.weights, case.biases)
    inputs = as_leaves([case.x, *params])
    end = case.spec.key, has_bias, "triton", precision
    out = ops.field(*as_case(inputs, has_bias), spec=case.spec, engine="triton", precision=precision)
    once = torch.autograd.grad(out, inputs, case.d_out, retain_graph=True)
    again = torch.autograd.grad(out, inputs, case.d_out)
    recomputed = field_bwd(case.x, params, case.d_out, *end, True, True)
    for first, second, third in zip(once, again, recomputed, strict=True):
        assert torch.equal(first, second)
        assert_close(third, first, FLOAT32)
    exact = reference.vjp(*case[1:4], case.spec, case.d_out)
    assert_close(once[0], exact[0], 1e-4 if precision == "fp32" else 3e-2)


def as_case(tensors: list[Tensor], has_bias: list[bool]) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Return x, the weights and the biases of a flat list."""
    return tensors[0], *registration.unflatten(tensors[1:], has_bias)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fast"])
def test_more_than_two_billion_elements(precision: str) -> None:
    """Shapes and sizes, which tracing computes, hold beyond 32 bits."""
    spec, points = FieldSpec.mlp(Sine(3.0), 2), 2**31 + 5
    with FakeTensorMode():
        x = torch.empty(points, 3)
        weights = [torch.empty(256, 3), *[torch.empty(256, 256)] * 2, torch.empty(2, 256)]
        params, has_bias = flatten(weights, [torch.empty(len(weight)) for weight in weights])
        call = x, params, spec.key, has_bias, "triton", precision
        assert field_fwd(*call).shape == (points, 2)
        out, kept = field_fwd_keep(*call)
        assert (out.shape, kept.dtype) == ((points, 2), torch.uint8)
        assert kept.shape == (points * 3 * 256 * (2 if precision == "fast" else 4),)
        grads = field_bwd_kept(x, params, out, kept, *call[2:], True, True)
        assert [grad.shape for grad in grads] == [x.shape, *(p.shape for p in params)]


def test_many_points_on_the_meta_device() -> None:
    x = torch.empty(2**31 + 5, 2, device="meta")
    weights = [torch.empty(8, 2, device="meta"), torch.empty(3, 8, device="meta")]
    out = ops.field(x, weights, [None, None], spec=FieldSpec.mlp(Sine(3.0), 0))
    assert out.shape == (2**31 + 5, 3)
