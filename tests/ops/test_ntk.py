"""`ntk_gram`, `layer_trace` and `small_eigh`: every engine, every refusal, and calls that are made up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fastsnf import ops, reference
from fastsnf.errors import EngineError, InputError
from fastsnf.spec import FieldSpec, Gabor, Sine
from tests import cases
from tests.engines.problems import EVERY_SPEC, problem
from tests.ops.engines import NATIVE
from tests.ops.grams import (
    EVERY_GRAM_ENGINE,
    LAYOUTS,
    Operands,
    integer,
    one_of,
    operands,
)
from tests.tolerances import FLOAT32, FLOAT64, assert_as_good_as_eager, assert_close

UNITS = [(2, 31), (31, 17), (17, 3)]


def some(seed: int = 0, **more: Any) -> Operands:
    return operands((2, 7), UNITS, cases.generator(seed), **more)


@EVERY_GRAM_ENGINE
@pytest.mark.parametrize("complex_from", [None, 1])
@pytest.mark.parametrize("rows", [(3, 20), (33,), (1, 1), (5, 1)])
def test_the_formula(engine: str, complex_from: int | None, rows: tuple[int, ...]) -> None:
    given = operands(rows, UNITS, cases.generator(1), complex_from=complex_from)
    found = ops.ntk_gram(given.inputs, given.cotangents, bias=given.bias, engine=engine)
    assert found.shape == (*rows, rows[-1])
    assert found.dtype == torch.float32
    assert torch.equal(found, found.mT)
    assert_as_good_as_eager(found, given.eager(), given.exact())


@EVERY_GRAM_ENGINE
@pytest.mark.parametrize("rows", [(0, 5), (3, 0), (0,)])
def test_no_points_and_no_blocks(engine: str, rows: tuple[int, ...]) -> None:
    given = operands(rows, UNITS, cases.generator())
    found = ops.ntk_gram(given.inputs, given.cotangents, engine=engine)
    assert (found.shape, found.dtype) == ((*rows, rows[-1]), torch.float32)


@EVERY_GRAM_ENGINE
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_memory(engine: str, layout: str) -> None:
    given = some(complex_from=1)
    laid = [[LAYOUTS[layout](t) for t in tensors] for tensors in (given.inputs, given.cotangents)]
    found = ops.ntk_gram(*laid, bias=given.bias, engine=engine)
    assert_as_good_as_eager(found, given.eager(), given.exact())


def test_one_flag_for_all_layers() -> None:
    given = some()
    for flag in (True, False):
        every = ops.ntk_gram(given.inputs, given.cotangents, bias=flag)
        assert torch.equal(every, ops.ntk_gram(given.inputs, given.cotangents, bias=[flag] * 3))


def test_float64_takes_the_reference() -> None:
    given = some(dtype=torch.float64, complex_from=1)
    found = ops.ntk_gram(given.inputs, given.cotangents, bias=given.bias)
    assert torch.equal(found, given.eager())
    with pytest.raises(EngineError, match=r"tensors are torch.float64, it computes in torch.float32"):
        ops.ntk_gram(given.inputs, given.cotangents, engine="native")


def test_autograd_takes_plain_operations() -> None:
    given = some(dtype=torch.float64, complex_from=1)
    leaves = [cases.leaves(given.inputs), cases.leaves(given.cotangents)]
    found = ops.ntk_gram(*leaves, bias=given.bias)  # type: ignore[arg-type]
    weight = torch.randn_like(found)
    grads = torch.autograd.grad((found * weight).sum(), [*leaves[0], *leaves[1]])  # type: ignore[list-item]
    a, d = given.inputs[2], given.cotangents[2]
    s = weight + weight.mT
    expected = (
        s * (d @ d.mH).conj()
    ) @ a  # d/dA of Re[(A A^H + 1) * (D D^H)], as torch has complex gradients
    assert_close(grads[2], expected, FLOAT64)
    with torch.no_grad():
        assert not ops.ntk_gram(*leaves).requires_grad  # type: ignore[arg-type]


@NATIVE
def test_what_autograd_records_is_a_reason() -> None:
    given = some()
    leaf = given.inputs[0].clone().requires_grad_()
    inputs = [leaf, *given.inputs[1:]]
    assert ops.ntk_gram(inputs, given.cotangents).requires_grad
    with pytest.raises(EngineError, match="autograd records, which takes plain operations"):
        ops.ntk_gram(inputs, given.cotangents, engine="native")
    with torch.no_grad():
        assert not ops.ntk_gram(inputs, given.cotangents, engine="native").requires_grad


def test_under_vmap() -> None:
    given = some()
    mapped = torch.func.vmap(lambda a, d: ops.ntk_gram([a], [d]))(given.inputs[1], given.cotangents[1])
    assert_close(mapped, ops.ntk_gram(given.inputs[1:2], given.cotangents[1:2]), FLOAT32)


def test_engines_that_have_no_blocks() -> None:
    given = some()
    with pytest.raises(EngineError, match=r"'triton' cannot take this call: it has no NTK blocks; cuda"):
        ops.ntk_gram(given.inputs, given.cotangents, engine="triton")
    outside = ops.ntk_gram(given.inputs, given.cotangents)
    with ops.use_engine("triton"):
        assert torch.equal(ops.ntk_gram(given.inputs, given.cotangents), outside)
    with pytest.raises(InputError, match="did you mean 'native'"):
        ops.ntk_gram(given.inputs, given.cotangents, engine="nativ")


def test_the_cuda_engine_says_why_it_cannot() -> None:
    given = some()
    with pytest.raises(EngineError, match="engine 'cuda' cannot take this call: "):
        ops.ntk_gram(given.inputs, given.cotangents, engine="cuda")
    with ops.use_engine("cuda"), pytest.raises(EngineError, match="engine 'cuda' cannot take this call: "):
        ops.ntk_gram(given.inputs, given.cotangents)


def test_where_the_cuda_engine_can_auto_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A double in its place: what it is asked, what crosses, and that its result comes back."""
    given, asked = some(complex_from=1), []

    def reasons(device: torch.device, dtype: torch.dtype, shapes: list) -> list[str]:
        asked.append((device, dtype, shapes))
        return [] if dtype == torch.float32 else ["it computes in torch.float32"]

    def gram(inputs: list[Tensor], cotangents: list[Tensor], bias: list[bool]) -> Tensor:
        assert {t.dim() for t in (*inputs, *cotangents)} == {3}
        return reference.ntk.ntk_gram(inputs, cotangents, bias) + 1.0

    monkeypatch.setattr("fastsnf.engines.cuda.gram_reasons", reasons)
    monkeypatch.setattr("fastsnf.engines.cuda.gram", gram)
    for inputs, cotangents in (given[:2], ([a[0] for a in given.inputs], [d[0] for d in given.cotangents])):
        found = ops.ntk_gram(inputs, cotangents, bias=given.bias)
        assert_close(found, reference.ntk.ntk_gram(inputs, cotangents, given.bias) + 1.0, FLOAT32)
    assert asked[0] == (torch.device("cpu"), torch.float32, UNITS)
    with ops.use_engine("cuda"):
        assert float(ops.ntk_gram(*[[torch.zeros(1, 1)]] * 2)) == 1.0
    with ops.use_engine("reference"):
        assert float(ops.ntk_gram(*[[torch.zeros(1, 1)]] * 2)) == 0.0
    doubled = some(dtype=torch.float64)
    assert torch.equal(ops.ntk_gram(doubled.inputs, doubled.cotangents, bias=doubled.bias), doubled.eager())
    leaf = torch.ones(1, 1, requires_grad=True)
    assert ops.ntk_gram([leaf], [leaf]).item() == 2.0


def test_small_matrices_go_to_the_cuda_engine_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def small(matrix: Tensor) -> tuple[Tensor, Tensor]:
        taken.append(tuple(matrix.shape))
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors

    monkeypatch.setattr(
        "fastsnf.engines.cuda.gram_reasons", lambda _device, dtype, _shapes: ["no"] * (dtype != torch.float32)
    )
    monkeypatch.setattr("fastsnf.engines.cuda.eigh_small", small)
    for shape, dtype in (((3, 3), torch.float32), ((2, 4, 64, 64), torch.float32), ((3, 3), torch.float64),
                         ((65, 65), torch.float32), ((0, 3, 3), torch.float32)):  # fmt: skip
        matrix = torch.eye(shape[-1], dtype=dtype).expand(shape)
        values, vectors = ops.small_eigh(matrix)
        assert (values.shape, vectors.shape) == (shape[:-1], shape)
    assert taken == [(1, 3, 3), (8, 64, 64)]


@NATIVE
def test_a_blocks_engine_that_has_blocks_counts() -> None:
    given = some()
    with ops.use_engine("reference"):
        assert torch.equal(ops.ntk_gram(given.inputs, given.cotangents, bias=given.bias), given.eager())
    meta = [[t.to("meta") for t in tensors] for tensors in (given.inputs, given.cotangents)]
    with (
        ops.use_engine("native"),
        pytest.raises(EngineError, match="tensors are on meta, it runs on the CPU"),
    ):
        ops.ntk_gram(*meta)
    assert ops.ntk_gram(*meta).shape == (2, 7, 7)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a, d: ([], []), "expected inputs and cotangents of the same layers, at least one; got 0"),
        (lambda a, d: (a[:2], d), "got 2 inputs and 3 cotangents"),
        (lambda a, d: ([a[0][0, 0], *a[1:]], d), r"expected inputs of shape \[B, n, fan_in\] or"),
        (lambda a, d: ([a[0][:1], *a[1:]], d), r"cotangents of layer 0 as \[1, 7, units\], .* \[2, 7, 31\]"),
        (lambda a, d: (a, [d[0][:, :3], *d[1:]]), r"cotangents of layer 0 as \[2, 7, units\]"),
        (lambda a, d: (a, [d[0][..., :0], *d[1:]]), r"cotangents of layer 0 as .* got \[2, 7, 0\]"),
        (lambda a, d: (a, [d[0].double(), *d[1:]]), "cotangents of layer 0 in torch.float32, as the first"),
        (lambda a, d: (a, [d[0].int(), *d[1:]]), r"float32 or float64, or complex .* got torch.int32: conv"),
        (lambda a, d: ([a[0].half(), *a[1:]], d), "inputs of layer 0 as float32 .* got torch.float16"),
        (lambda a, d: (a, [d[0].to("meta"), *d[1:]]), "on cpu, where the first inputs are; got meta"),
        (lambda a, d: (a, [*d[:2], d[2].to(torch.complex64)]), "layer 2 to be both real or both complex"),
    ],
)
def test_bad_calls(change: Any, said: str) -> None:
    given = some()
    with pytest.raises(InputError, match=said):
        ops.ntk_gram(*change(given.inputs, given.cotangents))


@pytest.mark.parametrize("bias", [[True, False], [True, 1, False], []])
def test_bad_biases(bias: list) -> None:
    given = some()
    with pytest.raises(InputError, match="expected bias as True, False or 3 of them, one a layer"):
        ops.ntk_gram(given.inputs, given.cotangents, bias=bias)


FAULTS = ("device", "dtype", "rows", "units", "kind", "missing", "bias", "dimensions", "engine")


def with_fault(given: Operands, fault: str, gen: torch.Generator) -> tuple[Operands, str]:
    """Return the operands with one thing wrong, and the engine to ask for."""
    lists = [list(given.inputs), list(given.cotangents)]
    side, layer = integer(0, 1, gen), integer(0, len(given.bias) - 1, gen)
    tensor, bias, engine = lists[side][layer], list(given.bias), "auto"
    if fault == "device":
        tensor = tensor.to("meta")
    elif fault == "dtype":
        wrong = (torch.int64, torch.float16, torch.bfloat16, torch.bool, torch.float64)
        tensor = tensor.to(torch.complex128) if tensor.is_complex() else tensor.to(one_of(wrong, gen))
    elif fault == "rows":
        tensor = tensor.new_zeros(*tensor.shape[:-2], tensor.shape[-2] + 1, tensor.shape[-1])
    elif fault == "units":
        tensor = tensor[..., :0]
    elif fault == "kind":
        tensor = tensor.real if tensor.is_complex() else tensor.to(torch.complex64)
    elif fault == "dimensions":
        tensor = one_of([tensor.sum(dim=0), tensor.unsqueeze(0), tensor.reshape(-1)], gen)
    elif fault == "bias":
        bias = one_of([bias[1:], [*bias, True], ["yes"] * len(bias)], gen)
    elif fault == "engine":
        engine = one_of(["triton", "cuda", "numpy"], gen)
    lists[side][layer] = tensor
    if fault == "missing":
        del lists[side][layer]
    return Operands(lists[0], lists[1], bias), engine


def test_made_up_calls() -> None:
    """Right or refused: no crash, no wrong result, whatever crosses."""
    gen = cases.generator(11)
    refused = 0
    for number in range(cases.count(200)):
        units = [(integer(1, 40, gen), integer(1, 40, gen)) for _ in range(integer(1, 4, gen))]
        rows = one_of([(integer(0, 3, gen), integer(0, 19, gen)), (integer(0, 40, gen),)], gen)
        complex_from = one_of([None, None, 0, 1], gen)
        given = operands(rows, units, gen, complex_from=complex_from)
        layout = LAYOUTS[one_of(list(LAYOUTS), gen)]
        given = given._replace(inputs=[layout(t) if t.numel() else t for t in given.inputs])
        if number % 2:
            bad, engine = with_fault(given, FAULTS[number // 2 % len(FAULTS)], gen)
            try:
                found = ops.ntk_gram(bad.inputs, bad.cotangents, bias=bad.bias, engine=engine)
            except InputError as error:  # an EngineError is one
                refused += "expected" in str(error) or "cannot take" in str(error)
                continue
            given = bad  # a fault that was none, as all operands of one layer complex
            if found.device.type == "meta":
                continue
        else:
            found = ops.ntk_gram(given.inputs, given.cotangents, bias=given.bias)
        assert_close(found, given.exact(), FLOAT32)
    assert refused >= cases.count(200) // 4


@EVERY_SPEC
def test_layer_trace_is_the_references(spec: FieldSpec) -> None:
    case = problem(spec, [3, *[9] * (spec.layers - 1), 2], 13)
    x, d_out, weights, biases = [cases.as_double(t) for t in ([case.x], [case.d_out], *case[2:4])]
    exact = reference.ntk.layer_trace(x[0], weights, biases, spec, d_out[0])  # type: ignore[arg-type]
    eager = reference.ntk.layer_trace(case.x, case.weights, case.biases, spec, case.d_out)
    found = ops.layer_trace(case.x, case.weights, case.biases, spec=spec, d_out=case.d_out)
    for ours, plain, truth in zip([*found[0], *found[1]], [*eager[0], *eager[1]], [*exact[0], *exact[1]],
                                  strict=True):  # fmt: skip
        assert ours.dtype == plain.dtype
        assert_as_good_as_eager(ours, plain, truth, ratio=8.0)  # one draw; the engine's tests take many


@pytest.mark.parametrize("act", [Sine(3.0), Gabor(2.0, 1.0)], ids=cases.name)
@EVERY_GRAM_ENGINE
def test_layer_trace_of_any_leading_dimensions(act: Any, engine: str) -> None:
    spec = FieldSpec.mlp(act, 1)
    case = problem(spec, [2, 6, 5, 3], 12)
    x = cases.strided(case.x).view(3, 4, 2)
    found = ops.layer_trace(x, case.weights, case.biases, spec=spec, engine=engine)
    ones = torch.full((12, 3), 3**-0.5)
    flat = reference.ntk.layer_trace(case.x, case.weights, case.biases, spec, ones)
    for ours, exact in zip([*found[0], *found[1]], [*flat[0], *flat[1]], strict=True):
        assert not ours.requires_grad
        assert_close(ours.reshape(12, -1), exact, 10 * FLOAT32)
    same = ops.layer_trace(x, case.weights, case.biases, spec=spec, d_out=ones[0], engine=engine)
    assert all(map(torch.equal, found.cotangents, same.cotangents))
    point = ops.layer_trace(x[0, 0], case.weights, case.biases, spec=spec, engine=engine)
    assert [tuple(d.shape) for d in point.cotangents] == [(6,), (5,), (3,)]


@EVERY_GRAM_ENGINE
def test_layer_trace_of_no_points_and_of_one_layer(engine: str) -> None:
    spec = FieldSpec((Sine(3.0),))
    for points in (0, 5):
        case = problem(spec, [2, 3], points)
        found = ops.layer_trace(case.x, case.weights, case.biases, spec=spec, engine=engine)
        assert (found.inputs[0].shape, found.cotangents[0].shape) == ((points, 2), (points, 3))


def test_layer_trace_refuses() -> None:
    spec = FieldSpec.mlp(Sine(3.0), 0)
    case = problem(spec, [2, 4, 3], 5)
    given = case.x, case.weights, case.biases
    for d_out, said in (
        (torch.ones(2), r"d_out of shape \[3\] or \[5, 3\]; got \[2\]"),
        (torch.ones(3).double(), "d_out of dtype torch.float32"),
        (torch.ones(3, device="meta"), "d_out on cpu"),
    ):
        with pytest.raises(InputError, match=said):
            ops.layer_trace(*given, spec=spec, d_out=d_out)
    with pytest.raises(
        EngineError, match="'cuda' cannot take this call: it has no layer traces; native, ref"
    ):
        ops.layer_trace(*given, spec=spec, engine="cuda")
    with ops.use_engine("cuda"):
        assert ops.layer_trace(*given, spec=spec).inputs[0] is case.x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 7, 7), (70, 70), (0, 3, 3), (1, 1)])
def test_small_eigh(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    root = torch.randn(shape, dtype=dtype)
    matrix = root @ root.mT
    values, vectors = ops.small_eigh(matrix)
    assert (values.shape, vectors.shape) == (shape[:-1], shape)
    assert bool((values[..., 1:] >= values[..., :-1]).all())
    assert_close((vectors * values.unsqueeze(-2)) @ vectors.mT, matrix, 10 * FLOAT32)


def test_small_eigh_refuses() -> None:
    for wrong in (torch.ones(3), torch.ones(2, 3), torch.ones(2, 2).half()):
        with pytest.raises(InputError, match="expected matrices of"):
            ops.small_eigh(wrong)
