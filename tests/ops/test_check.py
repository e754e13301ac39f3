"""Calls that do not fit together: one line that says what was expected, what was got and where."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch

from fastsnf import ops
from fastsnf.errors import EngineError, InputError
from fastsnf.spec import FieldSpec, Gabor, Identity, Sine
from tests import cases

SPEC = FieldSpec.mlp(Sine(30.0), 1)
COMPLEX = FieldSpec.mlp(Gabor(20.0, 10.0), 1)
Arguments = dict[str, object]


def arguments(spec: FieldSpec = SPEC) -> Arguments:
    """Return the arguments of a right call of `ops.field`."""
    weights, biases = cases.random_field(spec, [2, 4, 5, 3], gen=cases.generator())
    return {"x": torch.zeros(7, 2), "weights": weights, "biases": biases, "spec": spec}


def replaced(
    name: str, layer: int, value: Callable[[torch.Tensor], object], spec: FieldSpec = SPEC
) -> Arguments:
    """Return right arguments but for one weight or bias."""
    given = arguments(spec)
    given[name][layer] = value(given[name][layer])  # type: ignore[index]
    return given


BAD: dict[str, tuple[Arguments, str]] = {
    "a weight too few": (
        arguments() | {"weights": arguments()["weights"][:2]},  # type: ignore[index]
        "expected 3 weights and biases, one a layer of the spec; got 2 weights and 3 biases",
    ),
    "no biases": (
        arguments() | {"biases": []},
        "expected 3 weights and biases, one a layer of the spec; got 3 weights and 0 biases",
    ),
    "x without dimensions": (
        arguments() | {"x": torch.zeros(())},
        "expected x of shape [..., in_features]; got a 0-d tensor",
    ),
    "x of other inputs": (
        arguments() | {"x": torch.zeros(7, 3)},
        "expected the weight of layer 0 to be [fan_out, 3], as x's last dimension; got [4, 2]",
    ),
    "x of another dtype": (
        arguments() | {"x": torch.zeros(7, 2, dtype=torch.float64)},
        "expected x of the weights' dtype torch.float32; got torch.float64: convert it with x.to(torch",
    ),
    "x of integers": (
        arguments() | {"x": torch.zeros(7, 2, dtype=torch.int64)},
        "expected x of the weights' dtype torch.float32; got torch.int64",
    ),
    "half precision": (
        replaced("weights", 0, lambda w: w.half()),
        "expected weights of float32 or float64; got torch.float16",
    ),
    "layers that do not fit": (
        replaced("weights", 1, lambda w: w[:, :3]),
        "expected the weight of layer 1 to be [fan_out, 4], as layer 0's outputs; got [5, 3]",
    ),
    "a weight of one dimension": (
        replaced("weights", 2, lambda w: w[0]),
        "expected the weight of layer 2 to be [fan_out, 5], as layer 1's outputs; got [5]",
    ),
    "a layer of no outputs": (
        replaced("weights", 2, lambda w: w[:0]),
        "expected at least one input and output in layer 2; got [0, 5]",
    ),
    "a bias of another size": (
        replaced("biases", 1, lambda b: b[:4]),
        "expected the bias of layer 1 to be [5]; got [4]",
    ),
    "a bias of two dimensions": (
        replaced("biases", 1, lambda b: b.unsqueeze(1)),
        "expected the bias of layer 1 to be [5]; got [5, 1]",
    ),
    "a bias of another dtype": (
        replaced("biases", 0, lambda b: b.double()),
        "expected the bias of layer 0 as torch.float32; got torch.float64",
    ),
    "a weight of another dtype": (
        replaced("weights", 2, lambda w: w.double()),
        "expected the weight of layer 2 as torch.float32; got torch.float64",
    ),
    "a real weight in a complex field": (
        replaced("weights", 1, lambda w: w.real, COMPLEX),
        "expected the weight of layer 1 as torch.complex64; got torch.float32",
    ),
    "a complex first weight": (
        replaced("weights", 0, lambda w: w.to(torch.complex64), COMPLEX),
        "expected weights of float32 or float64; got torch.complex64",
    ),
    "a weight on another device": (
        replaced("weights", 1, lambda w: w.to("meta")),
        "expected the weight of layer 1 on cpu, where x is; got meta",
    ),
    "a bias on another device": (
        replaced("biases", 1, lambda b: b.to("meta")),
        "expected the bias of layer 1 on cpu, where x is; got meta",
    ),
    "x on another device": (
        arguments() | {"x": torch.zeros(7, 2, device="meta")},
        "expected the weight of layer 0 on meta, where x is; got cpu",
    ),
}


@pytest.mark.parametrize("engine", ["auto", "native", "reference"])
@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD.keys())
def test_a_call_that_does_not_fit(given: Arguments, message: str, engine: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        ops.field(**given, engine=engine)  # type: ignore[arg-type]
    assert not isinstance(raised.value, EngineError)
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match=re.escape(message)):
        ops.mse_value_and_grad(**given, target=torch.zeros(7, 3), engine=engine)  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", [SPEC, COMPLEX], ids=["real", "complex"])
def test_the_right_call_is_taken(spec: FieldSpec) -> None:
    assert ops.field(**arguments(spec)).shape == (7, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "weight", "message"),
    [
        (torch.zeros(7, 2), None, "expected targets of shape [7, 3]; got [7, 2]"),
        (torch.zeros(6, 3), None, "expected targets of shape [7, 3]; got [6, 3]"),
        (torch.zeros(7), None, "expected targets of shape [7, 3]; got [7]"),
        (
            torch.zeros(7, 3).double(),
            None,
            "expected targets of dtype torch.float32, as x; got torch.float64",
        ),
        (torch.zeros(7, 3, device="meta"), None, "expected targets on cpu, where x is; got meta"),
        (torch.zeros(7, 3), torch.ones(7, 1), "expected sample weights of shape [7]; got [7, 1]"),
        (torch.zeros(7, 3), torch.ones(3), "expected sample weights of shape [7]; got [3]"),
        (
            torch.zeros(7, 3),
            torch.ones(7).bool(),
            "expected sample weights of dtype torch.float32, as x; got torch.bool",
        ),
        (
            torch.zeros(7, 3),
            torch.ones(7, device="meta"),
            "expected sample weights on cpu, where x is; got meta",
        ),
    ],
)
def test_targets_that_do_not_fit(target: torch.Tensor, weight: torch.Tensor | None, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        ops.mse_value_and_grad(**arguments(), target=target, sample_weight=weight)  # type: ignore[arg-type]


def test_meta_tensors_take_the_reference() -> None:
    given = arguments()
    meta = [[None if t is None else t.to("meta") for t in given[name]] for name in ("weights", "biases")]  # type: ignore[attr-defined]
    x = torch.zeros(7, 2, device="meta")
    assert ops.chosen(x, *meta, spec=SPEC) == "reference"
    assert ops.field(x, *meta, spec=SPEC).shape == (7, 3)
    with pytest.raises(EngineError, match="tensors are on meta, it runs on the CPU"):
        ops.field(x, *meta, spec=SPEC, engine="native")


def test_a_spec_of_another_number_of_layers() -> None:
    given = arguments() | {"spec": FieldSpec((Sine(30.0), Identity()))}
    with pytest.raises(InputError, match="expected 2 weights and biases"):
        ops.field(**given)  # type: ignore[arg-type]


def test_what_is_no_dense_tensor() -> None:
    given = arguments()
    with pytest.raises(InputError, match=r"expected x as a torch\.Tensor; got list"):
        ops.field(**given | {"x": [[0.0, 0.0]]})  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match=r"expected x as a dense tensor; got torch\.sparse_coo: use \.to_dense"
    ):
        ops.field(**given | {"x": torch.zeros(7, 2).to_sparse()})  # type: ignore[arg-type]
    for wrong, said in ((None, "NoneType"), (torch.zeros(7, 3).to_sparse(), "sparse_coo")):
        with pytest.raises(InputError, match=f"expected targets as a .*got .*{said}"):
            ops.mse_value_and_grad(**given, target=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inputs", "cotangents", "bias", "message"),
    [
        (
            None,
            [torch.ones(3, 2)],
            True,
            "expected the inputs as a list of tensors, one a layer; got NoneType",
        ),
        ([torch.ones(3, 2)], torch.ones(1, 3, 2), True, "expected the cotangents as a list of tensors"),
        ([None], [torch.ones(3, 2)], True, "expected the inputs of layer 0 as a torch.Tensor; got NoneType"),
        ([torch.ones(3, 2)], [[1.0]], True, "expected the cotangents of layer 0 as a torch.Tensor; got list"),
        ([torch.ones(3, 2)], [torch.ones(3, 2).to_sparse()], True, "layer 0 as a dense tensor; got torch.sp"),
        (
            [torch.ones(3, 2)],
            [torch.ones(3, 2)],
            None,
            "expected bias as True, False or 1 of them, one a lay",
        ),
        ([torch.ones(3, 2)], [torch.ones(3, 2)], 1, "expected bias as True, False or 1 of them, one a layer"),
    ],
)
def test_an_ntk_of_what_is_no_list_of_tensors(
    inputs: object, cotangents: object, bias: object, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        ops.ntk_gram(inputs, cotangents, bias=bias)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["vectors", "coefficients", "slots"])
def test_adjustments_of_what_is_no_tensor(name: str) -> None:
    parts = {"vectors": torch.ones(7, 2), "coefficients": torch.ones(2), "slots": None} | {name: [1, 2]}
    layout = ops.Layout(7, 1, parts.pop("slots"))  # type: ignore[arg-type]
    adjustment = ops.Adjustment(layout, parts["vectors"], parts["coefficients"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match=rf"expected {name} as a torch\.Tensor; got list"):
        ops.adjusted_mse_value_and_grad(
            **arguments(),
            target=torch.zeros(7, 3),
            adjustment=adjustment,  # type: ignore[arg-type]
        )
