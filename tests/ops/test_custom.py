"""A user's own activation: the same as a known one in plain operations, refused elsewhere with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import fastsnf
from fastsnf import ops, reference
from fastsnf.errors import EngineError, InputError
from fastsnf.nn import SNF
from fastsnf.ops.dispatch import OWN_ACTIVATION
from fastsnf.reference.adjusted import Adjustment, Layout
from fastsnf.spec import Custom, FieldSpec, Sine, Tanh
from tests import cases
from tests.engines.problems import problem
from tests.tolerances import FLOAT64, assert_close

OWN_TANH = Custom(lambda u: 1.0 - 2.0 / (torch.exp(2.0 * u) + 1.0), name="tests.tanh")


class Straight(torch.autograd.Function):
    """sign(u) with a derivative of its own, 3 u^2: nothing that autograd could find by itself."""

    @staticmethod
    def forward(u: Tensor) -> Tensor:
        return u.sign()

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, d_h: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return 3.0 * u * u * d_h


def both(shape: tuple[int, ...] = (2, 9, 7, 3)) -> list:
    """Return one problem in float64 with the known activation and with the user's."""
    made = []
    for act in (Tanh(), OWN_TANH):
        spec = FieldSpec.mlp(act, len(shape) - 3, first=Sine(5.0))
        made.append(problem(spec, shape, 24, gen=cases.generator(1), dtype=torch.float64))
    return made


def named(result: tuple) -> list[Tensor]:
    """Return the tensors of a result, flat."""
    flat: list[Tensor] = []
    for part in result:
        flat += [t for t in part if t is not None] if isinstance(part, list) else [part]
    return [t for t in flat if isinstance(t, Tensor)]


def test_training_steps_are_those_of_the_known_activation() -> None:
    known, own = (
        ops.mse_value_and_grad(
            case.x, case.target, case.weights, case.biases, spec=case.spec, sample_weight=case.sample_weight
        )
        for case in both()
    )
    for found, exact in zip(named(own), named(known), strict=True):
        assert_close(found, exact, FLOAT64)


def test_adjusted_steps_and_layer_traces_are_those_of_the_known_activation() -> None:
    gen = cases.generator(2)
    vectors = torch.linalg.qr(torch.randn(6, 2, generator=gen, dtype=torch.float64)).Q
    adjustment = Adjustment(Layout(6, 4), vectors, torch.tensor([0.9, 0.5], dtype=torch.float64))
    for run in (
        lambda case: ops.adjusted_mse_value_and_grad(
            case.x,
            case.target.nan_to_num(0.1),
            case.weights,
            case.biases,
            spec=case.spec,
            adjustment=adjustment,
        ),
        lambda case: ops.layer_trace(case.x, case.weights, case.biases, spec=case.spec),
    ):
        known, own = map(run, both())
        for found, exact in zip(named(own), named(known), strict=True):
            assert_close(found.double(), exact.double(), FLOAT64)


def test_a_grid_is_decoded() -> None:
    field = SNF(2, 3, 8, 1, activation=OWN_TANH, dtype=torch.float64)
    known = SNF(2, 3, 8, 1, activation=Tanh(), dtype=torch.float64)
    known.load_state_dict(field.state_dict())
    values = [
        ops.field_on_grid((4, 5), *made.layer_tensors(), spec=made.spec).reshape(20, 3)
        for made in (field, known)
    ]
    assert_close(values[0], values[1], FLOAT64)


def test_a_derivative_of_its_own_is_taken_as_it_is() -> None:
    act = Custom(Straight.apply, name="tests.straight")
    u = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64)
    assert torch.equal(reference.activations.value(act, u), u.sign())
    assert torch.equal(reference.activations.first(act, u), 3.0 * u * u)
    assert torch.equal(reference.activations.second(act, u), 6.0 * u)


def test_no_derivative_is_recorded_where_none_is_wanted() -> None:
    u = torch.linspace(-1.0, 1.0, 5, requires_grad=True)
    with torch.no_grad():
        assert not reference.activations.first(OWN_TANH, u).requires_grad
    assert reference.activations.first(OWN_TANH, u).requires_grad


def test_every_engine_of_kernels_says_why_it_cannot() -> None:
    field = SNF(2, 3, 8, 1, activation=OWN_TANH)
    x, tensors = torch.zeros(4, 2), field.layer_tensors()
    answers = dict(fastsnf.explain(x, *tensors, spec=field.spec))
    assert answers["reference"] == []
    for engine in ("triton", "native"):
        assert OWN_ACTIVATION in answers[engine]
    assert ops.chosen(x, *tensors, spec=field.spec) == "reference"
    for call in (ops.field, ops.layer_trace):
        with pytest.raises(EngineError, match="a user's own activation runs in plain PyTorch"):
            call(x, *tensors, spec=field.spec, engine="native")


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda u: u.sum(), r"got \[\] of torch.float32"),
        (lambda u: u.double(), r"got \[4, 8\] of torch.float64"),
        (lambda u: torch.complex(u, u), r"got \[4, 8\] of torch.complex64"),
        (lambda u: 1.0, "got float"),
    ],
)
def test_what_is_not_elementwise_or_real_is_refused(function, got: str) -> None:
    field = SNF(2, 3, 8, 1, activation=Custom(function))
    with pytest.raises(InputError, match=got):
        field(torch.zeros(4, 2))


def test_a_checkpoint_holds_the_name(tmp_path: Path) -> None:
    field = SNF(2, 3, 8, 1, activation=OWN_TANH, generator=cases.generator())
    fastsnf.save(field, tmp_path / "field.safetensors")
    back = fastsnf.load(tmp_path / "field.safetensors")
    assert back.spec == field.spec
    x = cases.random_points(10, 2)
    assert torch.equal(back(x), field(x))


def test_torch_compile_takes_it() -> None:
    field = SNF(2, 3, 8, 1, activation=OWN_TANH)
    compiled = torch.compile(field, backend="eager", fullgraph=True)
    x = cases.random_points(10, 2)
    torch.testing.assert_close(compiled(x), field(x))
