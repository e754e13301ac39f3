"""The eNTK of a field: equal to explicit Jacobians, whatever the activation, the width and the outputs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

import fastsnf
from fastsnf import ops
from fastsnf.errors import EngineError, InputError
from fastsnf.nn import SNF, Siren, accelerate
from fastsnf.ntk import empirical
from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.spec import Activation, FieldSpec, Gabor, Identity, Sine
from tests import cases
from tests.cases import Shape
from tests.judge import Result, judge
from tests.ntk import explicit
from tests.tolerances import FLOAT64, assert_close, largest

OUTPUTS = ("sum", "each", "full")

SHAPES = (
    Shape(N=1, D=1, F=1, L=0, C=1),
    Shape(N=9, D=2, F=7, L=1, C=3),
    Shape(N=17, D=3, F=16, L=2, C=1),
    Shape(N=6, D=2, F=33, L=0, C=4),
)


def ntk_run(outputs: str, spec: FieldSpec, ours: bool):
    """Return the run for `tests.judge.judge`."""

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        if ours:
            gram = empirical_ntk(explicit.field_of(weights, biases, spec), rows[0], outputs=outputs)
        else:
            gram = explicit.ntk(rows[0], weights, biases, spec, outputs)
        return Result([gram], [], [], [])

    return run


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)
def test_equals_explicit_jacobians(act: Activation, shape: Shape, outputs: str) -> None:
    x, weights, biases, spec = explicit.problem(act, shape)
    gram = empirical_ntk(explicit.field_of(weights, biases, spec), x, outputs=outputs)
    assert_close(gram, explicit.ntk(x, weights, biases, spec, outputs), FLOAT64)
    square = (
        gram if outputs == "each" else gram.reshape(1, *[gram.shape[0] * shape.C ** (outputs == "full")] * 2)
    )
    assert torch.equal(square, square.mT)
    values = torch.linalg.eigvalsh(square)
    assert (values.min() >= -1e-12 * values.max()).all()


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)
def test_float32_is_as_good_as_eager_jacobians(act: Activation, outputs: str) -> None:
    shape = Shape(N=33, D=2, F=45, L=1, C=2)
    x, weights, biases, spec = explicit.problem(act, shape, dtype=torch.float32)
    judge(ntk_run(outputs, spec, True), ntk_run(outputs, spec, False), [x], weights, biases)


@pytest.mark.parametrize("seed", range(cases.count(100)))
def test_random_widths_in_float32(seed: int) -> None:
    gen = cases.generator(100 + seed)
    (shape,) = cases.random_shapes(1, gen)
    shape = shape._replace(N=min(shape.N, 12), F=min(shape.F, 150), C=min(shape.C, 3))
    act = cases.ACTIVATIONS[seed % len(cases.ACTIVATIONS)]
    x, weights, biases, spec = explicit.problem(act, shape, dtype=torch.float32, seed=seed)
    outputs = OUTPUTS[seed % 3]
    judge(ntk_run(outputs, spec, True), ntk_run(outputs, spec, False), [x], weights, biases)


@pytest.mark.parametrize("bias", [False, (True, False, True), (False, True, False)])
@pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)
def test_layers_without_bias(act: Activation, bias: bool | tuple[bool, ...]) -> None:
    x, weights, biases, spec = explicit.problem(act, Shape(N=8, D=2, F=5, L=1, C=2), bias=bias)
    for outputs in OUTPUTS:
        gram = empirical_ntk(explicit.field_of(weights, biases, spec), x, outputs=outputs)
        assert_close(gram, explicit.ntk(x, weights, biases, spec, outputs), FLOAT64)


@pytest.mark.parametrize("last", [Identity(), Sine(5.0)], ids=cases.name)
def test_one_layer(last: Activation) -> None:
    spec, gen = FieldSpec((last,)), cases.generator(3)
    weights, biases = cases.random_field(spec, [3, 2], dtype=torch.float64, gen=gen)
    x = cases.random_points(6, 3, dtype=torch.float64, gen=gen)
    for outputs in OUTPUTS:
        gram = empirical_ntk(explicit.field_of(weights, biases, spec), x, outputs=outputs)
        assert_close(gram, explicit.ntk(x, weights, biases, spec, outputs), FLOAT64)


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_batches_are_single_matrices(dtype: torch.dtype, outputs: str) -> None:
    field = SNF(2, 3, 19, 1, dtype=dtype, generator=cases.generator(1))
    x = cases.random_points(5, 7, 2, dtype=dtype, gen=cases.generator(2))
    together = empirical_ntk(field, x, outputs=outputs)
    shapes = {"sum": (5, 7, 7), "each": (5, 3, 7, 7), "full": (5, 7, 3, 7, 3)}
    assert together.shape == shapes[outputs]
    tolerance = FLOAT64 if dtype == torch.float64 else 1e-6
    for gram, points in zip(together, x, strict=True):
        assert_close(gram, empirical_ntk(field, points, outputs=outputs), tolerance)


FROZEN = (
    {"w0"},
    {"b0"},
    {"w0", "b0"},
    {"w1", "b2"},
    {"w2", "b2"},
    {"w0", "w1", "w2"},
    {"b0", "b1", "b2"},
    {"w0", "b0", "w1", "b1", "w2"},
)


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda names: "-".join(sorted(names)))
@pytest.mark.parametrize("act", [Sine(30.0), Gabor(20.0, 10.0)], ids=cases.name)
def test_frozen_parameters_have_no_part(act: Activation, frozen: set[str]) -> None:
    x, weights, biases, spec = explicit.problem(act, Shape(N=6, D=2, F=5, L=1, C=2))
    field = explicit.field_of(weights, biases, spec)
    for layer, linear in enumerate(field.linears()):
        linear.weight.requires_grad_(f"w{layer}" not in frozen)
        linear.bias.requires_grad_(f"b{layer}" not in frozen)
    for outputs in OUTPUTS:
        expected = explicit.ntk(x, weights, biases, spec, outputs, lambda name: name not in frozen)
        assert_close(empirical_ntk(field, x, outputs=outputs), expected, FLOAT64)


def test_frozen_parameters_in_float32() -> None:
    field = SNF(2, 3, 16, 1, generator=cases.generator(4))
    field.linears()[0].weight.requires_grad_(False)
    field.linears()[2].bias.requires_grad_(False)
    x = cases.random_points(20, 2, gen=cases.generator(5))
    single = empirical_ntk(field, x)
    double = empirical_ntk(field.to(torch.float64), x.to(torch.float64))
    assert_close(single, double, 1e-4)


def test_a_field_with_nothing_to_train_is_refused() -> None:
    field = SNF(2, 1, 4, 1).requires_grad_(False)
    with pytest.raises(InputError, match="trainable parameters; got all frozen"):
        empirical_ntk(field, torch.zeros(3, 2))


def test_every_class_of_field() -> None:
    x = cases.random_points(7, 2, dtype=torch.float64, gen=cases.generator(6))
    for field in (
        Siren(2, 8, 1, 2, dtype=torch.float64),
        Siren(2, 8, 1, 2, outermost_linear=False, return_coords=True, dtype=torch.float64),
        accelerate(nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 2))).to(torch.float64),
    ):
        weights, biases = ([t.detach() for t in tensors] for tensors in field.layer_tensors())
        expected = explicit.ntk(x, weights, biases, field.spec, "full")
        assert_close(empirical_ntk(field, x, outputs="full"), expected, FLOAT64)


def test_no_jacobian_is_formed_for_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(empirical, "Network", None)
    field = SNF(2, 3, 8, 1)
    assert empirical_ntk(field, torch.rand(4, 2)).shape == (4, 4)
    assert empirical_ntk(torch.compile(field), torch.rand(4, 2)).shape == (4, 4)


def test_nothing_is_recorded_and_nothing_changes() -> None:
    field = SNF(2, 3, 8, 1)
    before = [parameter.clone() for parameter in field.parameters()]
    x = torch.rand(4, 2, requires_grad=True)
    for outputs in OUTPUTS:
        assert not empirical_ntk(field, x, outputs=outputs).requires_grad
    assert x.grad is None
    for parameter, old in zip(field.parameters(), before, strict=True):
        assert parameter.grad is None
        assert torch.equal(parameter, old)
        assert parameter.requires_grad


@pytest.mark.parametrize("view", [cases.strided, cases.transposed, cases.offset])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_any_strides_of_x(view, dtype: torch.dtype) -> None:
    field = SNF(3, 2, 9, 1, dtype=dtype)
    for x in (cases.random_points(6, 3, dtype=dtype), cases.random_points(2, 6, 3, dtype=dtype)):
        for outputs in OUTPUTS:
            expected = empirical_ntk(field, x, outputs=outputs)
            assert_close(empirical_ntk(field, view(x), outputs=outputs), expected, 1e-6)


def test_points_may_be_expanded() -> None:
    field = SNF(2, 1, 9, 1)
    gram = empirical_ntk(field, torch.rand(1, 2).expand(5, 2))
    assert_close(gram, gram[0, 0].expand(5, 5), 1e-6)


@pytest.mark.parametrize("engine", ["auto", "native", "reference"])
def test_engines_agree(engine: str) -> None:
    field = SNF(2, 3, 40, 1, generator=cases.generator(7))
    x = cases.random_points(2, 30, 2, gen=cases.generator(8))
    double = field.to(torch.float64)
    exact = {o: empirical_ntk(double, x.to(torch.float64), outputs=o, engine="reference") for o in OUTPUTS}
    field.to(torch.float32)
    if engine == "native" and dict(ops.explain(x, *field.layer_tensors(), spec=field.spec))["native"]:
        pytest.skip("the native engine is not built")
    for outputs in OUTPUTS:
        gram = empirical_ntk(field, x, outputs=outputs, engine=engine)
        assert_close(gram, exact[outputs], 1e-4)
        with fastsnf.use_engine(engine):
            assert torch.equal(empirical_ntk(field, x, outputs=outputs), gram)


def test_a_named_engine_that_cannot_says_why() -> None:
    field = SNF(2, 1, 8, 1)
    x = torch.rand(4, 2)
    with pytest.raises(InputError, match="expected the engine to be one of"):
        empirical_ntk(field, x, engine="triton")
    with pytest.raises(EngineError, match="engine 'cuda' cannot take this call"):
        empirical_ntk(field, x, engine="cuda")
    with pytest.raises(EngineError, match="'native' cannot take this call: Sequential is more than layers"):
        empirical_ntk(nn.Sequential(field), x, engine="native")
    assert empirical_ntk(nn.Sequential(field), x, engine="reference").shape == (4, 4)


def test_autocast_changes_nothing() -> None:
    field = SNF(2, 1, 8, 1)
    x = torch.rand(4, 2)
    for module in (field, nn.Sequential(field)):
        expected = empirical_ntk(module, x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(empirical_ntk(module, x), expected)


BAD_POINTS = (
    ("x", "expected x as a torch.Tensor; got str"),
    (torch.rand(2), r"\[N, D\] or \[B, N, D\] with at least one point; got \[2\]"),
    (torch.rand(1, 1, 4, 2), r"got \[1, 1, 4, 2\]"),
    (torch.rand(0, 2), r"at least one point; got \[0, 2\]"),
    (torch.rand(0, 4, 2), "at least one point"),
    (torch.rand(4, 3), r"expected x of shape \[..., 2\]; got \[4, 3\]"),
    (torch.rand(4, 2, dtype=torch.float64), "dtype torch.float32; got torch.float64"),
    (torch.rand(4, 2).half(), "got torch.float16"),
    (torch.zeros(4, 2, dtype=torch.int64), "got torch.int64"),
    (torch.rand(4, 2, device="meta"), "expected x on cpu"),
)


@pytest.mark.parametrize(("x", "message"), BAD_POINTS)
@pytest.mark.parametrize("wrap", [lambda f: f, nn.Sequential])
def test_bad_points_are_refused(wrap, x: object, message: str) -> None:
    if wrap is nn.Sequential and "[..., 2]" in message.replace("\\", ""):
        message = r"expected x of shape \[..., 2\]|takes points"
    with pytest.raises(InputError, match=message):
        empirical_ntk(wrap(SNF(2, 1, 4, 1)), x)  # type: ignore[arg-type]


def test_bad_modules_and_modes_are_refused() -> None:
    x = torch.rand(4, 2)
    with pytest.raises(InputError, match="expected outputs to be one of sum, each, full; got 'mean'"):
        empirical_ntk(SNF(2, 1, 4, 1), x, outputs="mean")
    with pytest.raises(InputError, match="expected a field, or another"):
        empirical_ntk(torch.sin, x)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="float32 or of float64"):
        empirical_ntk(SNF(2, 1, 4, 1).half(), x.half())
    with pytest.raises(InputError, match="parameters on one device"):
        empirical_ntk(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1, device="meta")), x)


def test_sum_is_what_full_adds_up_to() -> None:
    field = SNF(2, 3, 8, 1, dtype=torch.float64)
    x = torch.rand(5, 2, dtype=torch.float64)
    full, each = (empirical_ntk(field, x, outputs=outputs) for outputs in ("full", "each"))
    assert_close(full.sum(dim=(1, 3)) / 3, empirical_ntk(field, x), FLOAT64)
    assert_close(full.diagonal(dim1=1, dim2=3).permute(2, 0, 1), each, FLOAT64)
    assert largest(full) > 0
