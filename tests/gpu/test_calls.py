"""Where a call runs on GPUs: stream, device, memory that is not there, and what falls to the reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf import ops, reference
from fastsnf.errors import EngineError, InputError
from fastsnf.ops import registration
from fastsnf.spec import FieldSpec, Sine
from tests.engines.problems import Problem, problem
from tests.gpu.fields import moved
from tests.ops.functions import as_leaves, field_of, present
from tests.tolerances import assert_close

pytestmark = pytest.mark.gpu
SPEC = FieldSpec.mlp(Sine(3.0), 1)


def on(device: str) -> Problem:
    """Return a random problem with its points, parameters and cotangent on a device."""
    case = problem(SPEC, [2, 64, 64, 3], 1000, bias=[True, False, True])
    return moved(case, device)


def derivatives(case: Problem) -> list[Tensor]:
    """Return the values and all gradients."""
    inputs = as_leaves(present(case))
    out = field_of(case)(*inputs)
    return [out, *torch.autograd.grad(out, inputs, case.d_out)]


def test_the_current_stream_is_used() -> None:
    """Points that another stream writes late are seen by the calls of that stream."""
    case = on("cuda")
    expected = derivatives(case)
    late = torch.full_like(case.x, torch.nan)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        late.copy_(case.x)
        found = derivatives(case._replace(x=late))
    torch.cuda.current_stream().wait_stream(stream)
    assert all(map(torch.equal, found, expected))


def test_the_device_of_the_tensors_is_used() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU")
    case, other = on("cuda:0"), on("cuda:1")
    for found, expected in zip(derivatives(other), derivatives(case), strict=True):
        assert found.device == torch.device("cuda:1")
        assert_close(found.to("cuda:0"), expected, 1e-4)
    with pytest.raises(InputError, match="where x is; got cuda:0"):
        ops.field(other.x, case.weights, case.biases, spec=SPEC)


def test_tensors_on_two_devices_are_refused() -> None:
    case = on("cuda")
    with pytest.raises(InputError, match="on cpu, where x is; got cuda:0"):
        ops.field(case.x.cpu(), case.weights, case.biases, spec=SPEC)
    with pytest.raises(EngineError, match="tensors are on cuda, it runs on the CPU"):
        field_of(case, "native")(*present(case))


def test_out_of_memory_computes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    case = on("cuda")
    expected = derivatives(case)

    def full(*_args: object, **_kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(registration.MODULES["triton"], "forward_keep", full)
    for found, wanted in zip(derivatives(case), expected, strict=True):
        assert_close(found, wanted, 1e-5)


def test_float64_and_too_wide_layers_take_the_reference() -> None:
    case = on("cuda")
    weights = [weight.double() for weight in case.weights]
    biases = [None if bias is None else bias.double() for bias in case.biases]
    x = case.x.double()
    assert ops.choose("auto", x, weights, SPEC) == ("reference", "fp64")
    assert torch.equal(ops.field(x, weights, biases, spec=SPEC), reference.forward(x, weights, biases, SPEC))
    wide = torch.rand(5000, 2, device="cuda")
    assert ops.chosen(case.x, [wide], [None], spec=FieldSpec((Sine(3.0),))) == "reference"
