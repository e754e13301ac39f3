"""Choosing an engine: automatic, explicit, for a block, and what is said about those that cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from fastsnf import ops, reference
from fastsnf.engines import triton
from fastsnf.errors import EngineError, InputError
from fastsnf.spec import FieldSpec, Sine
from tests import cases
from tests.ops.engines import INTERPRETED, NATIVE, TRITON

SPEC = FieldSpec.mlp(Sine(30.0), 0)


def field(
    dtype: torch.dtype = torch.float32, width: int = 8
) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Return (x, weights, biases) of a field of two layers."""
    gen = cases.generator()
    x = cases.random_points(5, 2, dtype=dtype, gen=gen)
    return (x, *cases.random_field(SPEC, [2, width, 3], dtype=dtype, gen=gen))


def reasons(x: Tensor, weights: list[Tensor], biases: list[Tensor | None]) -> dict[str, list[str]]:
    return dict(ops.explain(x, weights, biases, spec=SPEC))


def test_names() -> None:
    assert ops.engine_names() == ("auto", "triton", "native", "reference", "cuda")


@NATIVE
def test_auto_takes_the_fastest_that_can() -> None:
    assert ops.chosen(*field(), spec=SPEC) == "native"
    assert reasons(*field())["native"] == []


def test_auto_takes_the_reference_where_nothing_else_can() -> None:
    for other in (field(torch.float64), field(width=5000)):
        assert ops.chosen(*other, spec=SPEC) == "reference"
        assert reasons(*other)["reference"] == []
        assert torch.equal(ops.field(*other, spec=SPEC), reference.forward(*other, SPEC))


@NATIVE
def test_an_explicit_engine_raises_with_every_reason() -> None:
    with pytest.raises(EngineError) as raised:
        ops.field(*field(torch.float64, width=5000), spec=SPEC, engine="native")
    message = str(raised.value)
    assert message.startswith("engine 'native' cannot take this call: ")
    assert "tensors are torch.float64, it computes in torch.float32" in message
    assert "a layer has 5000 inputs or outputs, it takes at most 4096" in message
    assert message.endswith("Use engine='auto'")
    assert reasons(*field(torch.float64, width=5000))["native"] == message[
        len("engine 'native' cannot take this call: ") : -len(". Use engine='auto'")
    ].split("; ")


def test_an_engine_without_fields_says_so() -> None:
    x, weights, biases = field()
    with pytest.raises(EngineError, match="engine 'cuda' cannot take this call: it computes NTK blocks only"):
        ops.field(x, weights, biases, spec=SPEC, engine="cuda")
    with pytest.raises(EngineError, match="NTK blocks only"):
        ops.mse_value_and_grad(x, torch.zeros(5, 3), weights, biases, spec=SPEC, engine="cuda")
    with pytest.raises(EngineError, match="NTK blocks only"):
        ops.linear_act(x, weights[0], biases[0], activation=Sine(30.0), engine="cuda")
    assert reasons(x, weights, biases)["cuda"] == ["it computes NTK blocks only"]


@pytest.mark.parametrize(
    ("name", "nearest"), [("nativ", "native"), ("refrence", "reference"), ("Cuda", "cuda"), ("auot", "auto")]
)
def test_an_unknown_engine_names_the_nearest(name: str, nearest: str) -> None:
    names = "auto, triton, native, reference, cuda"
    expected = f"expected the engine to be one of {names}; got '{name}', did you mean '{nearest}'"
    for call in (
        lambda: ops.field(*field(), spec=SPEC, engine=name),
        lambda: ops.chosen(*field(), spec=SPEC, engine=name),
        lambda: ops.use_engine(name).__enter__(),
    ):
        with pytest.raises(InputError) as raised:
            call()
        assert expected in str(raised.value)


def test_use_engine_holds_for_a_block() -> None:
    outside = ops.chosen(*field(), spec=SPEC)
    with ops.use_engine("reference"):
        assert ops.chosen(*field(), spec=SPEC) == "reference"
        assert torch.equal(ops.field(*field(), spec=SPEC), reference.forward(*field(), SPEC))
        with ops.use_engine("auto"):
            assert ops.chosen(*field(), spec=SPEC) == outside
        assert ops.chosen(*field(), spec=SPEC) == "reference"
    assert ops.chosen(*field(), spec=SPEC) == outside


@NATIVE
def test_an_explicit_engine_outranks_the_block() -> None:
    with ops.use_engine("reference"):
        assert ops.chosen(*field(), spec=SPEC, engine="native") == "native"
    with ops.use_engine("native"):
        assert ops.chosen(*field(), spec=SPEC, engine="reference") == "reference"


def test_use_engine_ends_with_an_exception() -> None:
    outside = ops.chosen(*field(), spec=SPEC)
    with pytest.raises(KeyError), ops.use_engine("reference"):
        raise KeyError
    assert ops.chosen(*field(), spec=SPEC) == outside


def test_the_blocks_engine_must_take_the_call() -> None:
    with ops.use_engine("cuda"), pytest.raises(EngineError, match="it computes NTK blocks only"):
        ops.field(*field(), spec=SPEC)


def test_use_engine_holds_in_every_thread() -> None:
    """A data loader's or an autograd thread inside the block takes the block's engine."""
    found: list[str] = []
    with ops.use_engine("reference"):
        thread = threading.Thread(target=lambda: found.append(ops.chosen(*field(), spec=SPEC)))
        thread.start()
        thread.join()
    assert found == ["reference"]


@pytest.mark.parametrize(
    "engine", [pytest.param("native", marks=NATIVE), pytest.param("triton", marks=TRITON)]
)
def test_a_transform_is_a_reason(engine: str) -> None:
    x, weights, biases = field()
    seen = []

    def inside(point: Tensor) -> Tensor:
        seen.append(reasons(point, weights, biases)[engine])
        return point

    torch.func.vmap(inside)(x)
    assert len(seen[0]) == 1
    assert "torch.func transforms" in seen[0][0]


@TRITON
def test_the_interpreter_is_taken_by_name_alone() -> None:
    passed_by = "auto passes the interpreter by, engine='triton' takes it"
    assert reasons(*field())["triton"] == [passed_by]
    assert ops.chosen(*field(), spec=SPEC) != "triton"
    assert ops.chosen(*field(), spec=SPEC, engine="triton") == "triton"
    with ops.use_engine("triton"):
        assert ops.chosen(*field(), spec=SPEC) == "triton"
    row = ops.engines_report()[0]
    assert (row["engine"], row["available"]) == ("triton", True)
    assert row["detail"].startswith("interpreted on the CPU (TRITON_INTERPRET=1), triton ")
    assert row["detail"].endswith(f", precision fp32; {passed_by}")


@TRITON
def test_the_triton_engine_says_every_reason() -> None:
    with pytest.raises(EngineError) as raised:
        ops.field(*field(torch.float64, width=5000), spec=SPEC, engine="triton")
    assert "tensors are torch.float64, it takes torch.float32" in str(raised.value)
    assert "a layer has 5000 inputs or outputs, it takes at most 4096" in str(raised.value)
    x, weights, biases = field()
    meta = [w.to("meta") for w in weights], [b.to("meta") for b in biases if b is not None]
    with pytest.raises(EngineError, match="tensors are on meta"):
        ops.field(x.to("meta"), *meta, spec=SPEC, engine="triton")


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, list[str]]]:
    """Return a function that asks for a field on a GPU of some compute capability, which is not there."""
    with FakeTensorMode() as mode:  # now, since making one asks for a driver where there should be a GPU
        x, *weights = (
            FakeTensor(mode, torch.empty(size, device="meta"), torch.device("cuda:0"))
            for size in ((5, 2), (8, 2), (3, 8))
        )
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("fastsnf.engines.cuda._load", lambda: (None, "the CUDA extension is not built"))

    def ask(gpu_failure: str = "", *, broken: str = "") -> dict[str, list[str]]:
        monkeypatch.setattr("fastsnf.engines.triton.availability._gpu_failure", lambda _index: gpu_failure)
        monkeypatch.setattr("fastsnf.engines.triton.availability._import_failure", lambda: broken)
        found = dict(ops.explain(x, weights, [None, None], spec=SPEC))
        found["chosen"] = [ops.chosen(x, weights, [None, None], spec=SPEC)]
        return found

    return ask


def test_on_a_gpu_auto_takes_triton(on_gpu: Callable[..., dict[str, list[str]]]) -> None:
    found = on_gpu()
    assert found["chosen"] == ["triton"]
    assert found["triton"] == []
    assert found["native"] == ["tensors are on cuda, it runs on the CPU"]


def test_where_triton_cannot_run_a_gpu_takes_the_reference(
    on_gpu: Callable[..., dict[str, list[str]]],
) -> None:
    for reason in (
        "the GPU has compute capability 7.5, it takes 8.0 or newer",
        "Triton cannot run a kernel here",
    ):
        found = on_gpu(reason)
        assert found["chosen"] == ["reference"]
        assert found["triton"] == [reason]
    found = on_gpu(broken="triton cannot be imported (ImportError: no libtriton); pip install triton")
    assert found["chosen"] == ["reference"]
    assert found["triton"][0].startswith("triton cannot be imported")
    assert ops.engines_report()[0]["reasons"] == found["triton"]


def test_the_cuda_engine_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(why: list[str]) -> dict[str, Any]:
        monkeypatch.setattr("fastsnf.engines.cuda.gram_reasons", lambda *_: why)
        monkeypatch.setattr("fastsnf.engines.cuda.detail", lambda: "some GPU")
        return ops.engines_report()[-1]

    assert of([]) == {"engine": "cuda", "available": True, "reasons": [], "detail": "some GPU"}
    assert of(["too old"]) == {"engine": "cuda", "available": False, "reasons": ["too old"], "detail": ""}


def test_without_a_gpu_triton_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    row = ops.engines_report()[0]
    assert (row["engine"], row["available"], row["detail"]) == ("triton", False, "")
    assert row["reasons"] == [triton.missing()]
    assert row["reasons"][0]
    assert ops.chosen(*field(), spec=SPEC) in ("native", "reference")


def test_the_report_of_this_machine() -> None:
    rows = {row["engine"]: row for row in ops.engines_report()}
    assert list(rows) == ["triton", "native", "reference", "cuda"]
    assert rows["reference"]["available"]
    assert torch.__version__ in rows["reference"]["detail"]
    assert not INTERPRETED or rows["triton"]["available"]
    assert all(row["available"] == (row["reasons"] == []) for row in rows.values())
    if rows["native"]["available"]:
        assert f"{torch.get_num_threads()} threads" in rows["native"]["detail"]
