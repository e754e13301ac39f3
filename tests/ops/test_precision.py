"""Choosing a precision: by name, for a block, or as torch is told; an engine that lacks it refuses."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import fastsnf
from fastsnf import ops, reference
from fastsnf.errors import EngineError, InputError
from fastsnf.ops import precision as precisions
from fastsnf.ops import registration
from fastsnf.spec import FieldSpec, Gabor, Sine
from tests.engines.problems import Problem
from tests.ops.double import Double
from tests.ops.engines import NATIVE, TRITON
from tests.ops.functions import as_leaves, field_of, present, small
from tests.tolerances import error

CASE = small(Sine(3.0), torch.float32, 9)
CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture(autouse=True)
def _torchs_own_setting() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()
    torch.backends.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Double:
    """Return the engine that takes the calls to ``engine="triton"``."""
    double = Double()
    monkeypatch.setitem(registration.MODULES, "triton", double)  # type: ignore[arg-type]
    return double


def field(engine: str = "triton", precision: str = "auto") -> Tensor:
    return ops.field(*CASE[1:4], spec=CASE.spec, engine=engine, precision=precision)


@TRITON
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fast"])
def test_every_operator_is_told(precision: str, double: Double) -> None:
    field(precision=precision)
    inputs = as_leaves(present(CASE))
    with ops.use_precision(precision):
        out = field_of(CASE, "triton")(*inputs)
        ops.linear_act(CASE.x, CASE.weights[0], None, activation=Sine(3.0), engine="triton")
    out.sum().backward()
    assert [call.split()[1] for call in double.calls] == [precision] * 4
    assert double.calls[-1].startswith("backward_kept"), "outside the block, in the precision of its forward"


@TRITON
def test_auto_follows_torch_at_the_time_of_the_call(double: Double) -> None:
    for setting in ("highest", "high", "medium", "highest"):
        torch.set_float32_matmul_precision(setting)
        field()
        assert ops.choose("triton", CASE.x, CASE.weights, CASE.spec).precision == precisions.FOLLOWED[setting]
    assert double.calls == ["forward fp32", "forward tf32", "forward fast", "forward fp32"]


@TRITON
@pytest.mark.parametrize(("setting", "expected"), [("tf32", "tf32"), ("ieee", "fp32")])
def test_torchs_newer_setting_is_followed(setting: str, expected: str) -> None:
    """After which `torch.get_float32_matmul_precision` may raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.backends.cuda.matmul.fp32_precision = setting
        try:
            assert ops.choose("triton", CASE.x, CASE.weights, CASE.spec).precision == expected
        finally:
            torch.backends.cuda.matmul.fp32_precision = "none"


@TRITON
def test_a_name_outranks_the_block_and_the_block_outranks_torch(double: Double) -> None:
    torch.set_float32_matmul_precision("medium")
    with fastsnf.use_precision("tf32"):
        field(precision="fp32")
        field()
        with fastsnf.use_precision("auto"):
            field()
    with pytest.raises(KeyError), fastsnf.use_precision("fp32"):
        raise KeyError
    field()
    assert double.calls == ["forward fp32", "forward tf32", "forward fast", "forward fast"]


@NATIVE
@pytest.mark.parametrize("precision", ["tf32", "fast"])
def test_an_engine_that_lacks_it_says_so(precision: str) -> None:
    calls = (
        lambda: field("native", precision),
        lambda: ops.mse_value_and_grad(
            *CASE[1:2], CASE.target, *CASE[2:4], spec=CASE.spec, engine="native", precision=precision
        ),
        lambda: ops.linear_act(
            CASE.x, CASE.weights[0], None, activation=Sine(3.0), engine="native", precision=precision
        ),
    )
    for call in calls:
        with pytest.raises(
            EngineError, match="'native' cannot take this call: it computes in fp32 only"
        ) as raised:
            call()
        assert "\n" not in str(raised.value)
    assert dict(ops.explain(*CASE[1:4], spec=CASE.spec, precision=precision))["native"] == [
        "it computes in fp32 only"
    ]
    with ops.use_precision(precision), pytest.raises(EngineError, match="it computes in fp32 only"):
        field("native")


def test_where_no_engine_has_it_every_reason_is_said() -> None:
    double = small(Sine(3.0))
    for case, own in ((CASE, "fp32"), (double, "fp64")):
        with pytest.raises(EngineError) as raised:
            ops.field(*case[1:4], spec=case.spec, precision="tf32")
        message = str(raised.value)
        assert message.startswith(
            "expected a precision that an engine has for this call; got 'tf32': triton: "
        )
        assert f"reference: it computes in {own} only" in message
        assert "native: " in message
        assert message.endswith("Use precision='auto'")


def test_what_each_engine_computes_in() -> None:
    single, double = small(Sine(3.0), torch.float32), small(Sine(3.0))
    for case, precision in ((single, "fp32"), (double, "fp64")):
        assert ops.choose("reference", case.x, case.weights, case.spec).precision == precision
        assert ops.choose("auto", case.x, case.weights, case.spec).precision == precision
    assert field("auto", "fp32").shape == (9, 2)


@pytest.mark.parametrize(("setting", "own"), [("highest", "fp32"), ("high", "tf32"), ("medium", "tf32")])
def test_the_reference_on_a_gpu_is_named_after_what_torch_does_there(setting: str, own: str) -> None:
    torch.set_float32_matmul_precision(setting)
    assert precisions.offered("reference", CUDA, torch.float32) == (own,)
    assert precisions.offered("reference", CUDA, torch.float64) == ("fp64",)
    assert precisions.offered("reference", CPU, torch.float32) == ("fp32",)
    assert precisions.resolve("auto", "reference", CUDA, torch.float32) == own


@pytest.mark.parametrize(("name", "nearest"), [("fp23", "fp32"), ("tf23", "tf32"), ("Fast", "fast")])
def test_an_unknown_precision_names_the_nearest(name: str, nearest: str) -> None:
    expected = f"expected the precision to be one of auto, fp32, tf32, fast; got '{name}', did you mean"
    for call in (
        lambda: field("auto", name),
        lambda: field("reference", name),
        lambda: ops.use_precision(name).__enter__(),
        lambda: ops.linear_act(CASE.x, CASE.weights[0], None, activation=Sine(3.0), precision=name),
    ):
        with pytest.raises(InputError, match=f"{expected} '{nearest}'"):
            call()


def test_a_complex_layer_alone_is_not_fused_in_a_lower_precision() -> None:
    gabor = Gabor(2.0, 1.0)
    h = ops.linear_act(CASE.x, CASE.weights[0], None, activation=gabor, precision="fp32")
    assert torch.equal(h, reference.linear_act(CASE.x, CASE.weights[0], None, gabor))
    with pytest.raises(InputError, match="expected a real layer in precision 'fast'; got a complex one"):
        ops.linear_act(CASE.x, CASE.weights[0], None, activation=gabor, precision="fast")


@TRITON
def test_a_compiled_function_follows_too(double: Double) -> None:
    compiled = torch.compile(field_of(CASE, "triton"), fullgraph=True, backend="aot_eager")
    for setting in ("highest", "high", "highest"):
        torch.set_float32_matmul_precision(setting)
        compiled(*present(CASE))
    torch.set_float32_matmul_precision("highest")
    for name in ("fast", "tf32", "fast"):
        with ops.use_precision(name):
            compiled(*present(CASE))
    names = ["fp32", "tf32", "fp32", "fast", "tf32", "fast"]
    assert double.calls == [f"forward {name}" for name in names]


@TRITON
def test_a_compiled_layer_of_a_lower_precision_takes_the_engine(
    double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's own compiler would fuse it, in torch's precision."""
    monkeypatch.setattr("fastsnf.engines.triton.interpreted", lambda: False)

    def layer(x: Tensor, weight: Tensor) -> Tensor:
        return ops.linear_act(x, weight, None, activation=Sine(3.0), precision="tf32")

    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    compiled(CASE.x, CASE.weights[0])
    assert double.calls == ["forward tf32"]


@TRITON
def test_the_engine_computes_as_told() -> None:
    """The real kernels: each precision is the less exact the lower it is."""
    case = small(Sine(3.0), torch.float32, 33)
    exact = reference.forward(case.x.double(), *as_double(case), case.spec)
    found = [
        error(ops.field(*case[1:4], spec=case.spec, engine="triton", precision=name), exact)
        for name in ("fp32", "tf32", "fast")
    ]
    assert found[0] < 1e-5 < found[1] < 1e-1
    assert 1e-5 < found[2] < 1e-1


def as_double(case: Problem) -> tuple[list[Tensor], list[Tensor | None]]:
    return [w.double() for w in case.weights], [None if b is None else b.double() for b in case.biases]


def test_one_layer_fields_and_the_single_pass_take_it() -> None:
    spec = FieldSpec((Sine(3.0),))
    x, weight = torch.rand(4, 2), torch.rand(3, 2)
    result = ops.mse_value_and_grad(x, torch.rand(4, 3), [weight], [None], spec=spec, precision="fp32")
    assert result.loss.shape == ()
    with pytest.raises(EngineError, match="got 'fast'"):
        ops.mse_value_and_grad(x, torch.rand(4, 3), [weight], [None], spec=spec, precision="fast")
