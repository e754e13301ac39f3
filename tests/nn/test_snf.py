"""`SNF`: construction, names, description, refusals."""

from __future__ import annotations

import json

import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.nn import FIELDS, SNF, Field, Siren, accelerate, from_config
from fastsnf.spec import Activation, FieldSpec, Gabor, Gaussian, Identity, Sine, Tanh
from tests import cases
from tests.nn.networks import INR, ComplexGaborLayer, NotebookSiren


def test_the_contracts_example() -> None:
    field = SNF(
        in_features=2, out_features=3, hidden_features=256, hidden_layers=3,
        activation="sine", first_omega=30.0, hidden_omega=30.0, init="weight_scaling", alpha=2.37,
    )  # fmt: skip
    assert isinstance(field, torch.nn.Module)
    assert (field.in_features, field.out_features) == (2, 3)
    assert field.spec == FieldSpec.mlp(Sine(30.0), 3)
    assert field(torch.zeros(4, 5, 2)).shape == (4, 5, 3)
    names = [f"net.{i}.linear.{what}" for i in range(4) for what in ("weight", "bias")]
    assert list(field.state_dict()) == [*names, "net.4.weight", "net.4.bias"]


def test_defaults() -> None:
    field = SNF(2, 3)
    assert [tuple(weight.shape) for weight in field.layer_tensors()[0]] == [
        (256, 2),
        *[(256, 256)] * 3,
        (3, 256),
    ]
    assert field.spec == FieldSpec.mlp(Sine(30.0), 3)
    assert field.fused


@pytest.mark.parametrize("act", cases.ACTIVATIONS, ids=cases.name)
def test_an_activation_by_name_has_its_own_defaults(act: Activation) -> None:
    by_name, by_spec = SNF(2, 3, 8, 1, activation=act.name), SNF(2, 3, 8, 1, activation=type(act)())
    assert by_name.spec == by_spec.spec


def test_names_take_omegas_and_scale() -> None:
    field = SNF(2, 3, 8, 1, activation="gabor", first_omega=5.0, hidden_omega=6.0, scale=7.0)
    assert field.spec.activations == (Gabor(5.0, 7.0), Gabor(6.0, 7.0), Identity())
    field = SNF(2, 3, 8, 2, activation="tanh", first_activation="gaussian", scale=7.0)
    assert field.spec.activations == (Gaussian(7.0), Tanh(), Tanh(), Identity())
    field = SNF(2, 3, 8, 1, activation=Tanh(), first_activation=Sine(9.0))
    assert field.spec.activations == (Sine(9.0), Tanh(), Identity())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_complex_fields_hold_complex_weights_after_the_first_layer(dtype: torch.dtype) -> None:
    field = SNF(2, 3, 8, 1, activation="gabor", dtype=dtype)
    weights, biases = field.layer_tensors()
    expected = [dtype, dtype.to_complex(), dtype.to_complex()]
    assert [weight.dtype for weight in weights] == expected
    assert [bias.dtype for bias in biases if bias is not None] == expected
    assert field(torch.zeros(4, 2, dtype=dtype)).dtype == dtype


def test_the_default_dtype_and_device_are_torchs() -> None:
    torch.set_default_dtype(torch.float64)
    assert SNF(2, 3, 8).layer_tensors()[0][0].dtype == torch.float64
    with torch.device("meta"):
        assert all(parameter.is_meta for parameter in SNF(2, 3, 8).parameters())


FIELD_CASES = {
    "snf": lambda: SNF(2, 3, 8, 2, activation=Sine(20.0), first_activation=Gaussian(3.0), bias_init=0.5),
    "snf-gabor": lambda: SNF(1, 2, 5, 1, activation="gabor", bias=False, dtype=torch.float64),
    "snf-bare": lambda: SNF(3, 1, 7, 0, first_omega=40.0, hidden_omega=11.0),
    "siren": lambda: Siren(2, 8, 1, 3, False, 25.0, 35.0, return_coords=True),
    "accelerated": lambda: accelerate(NotebookSiren(2, 8, 1, 3)),
    "accelerated-gabor": lambda: accelerate(INR(ComplexGaborLayer)),
}


@pytest.mark.parametrize("make", FIELD_CASES.values(), ids=FIELD_CASES)
def test_a_field_comes_back_from_its_name_and_config(make: type[Field]) -> None:
    field = make()
    assert FIELDS[field.name] is type(field)
    config = json.loads(json.dumps(field.config()))
    state = torch.get_rng_state()
    rebuilt = from_config(field.name, config)
    assert torch.equal(torch.get_rng_state(), state)
    assert type(rebuilt) is type(field)
    assert rebuilt.spec == field.spec
    assert rebuilt.config() == field.config()
    assert rebuilt.hidden_activation == field.hidden_activation
    rebuilt.load_state_dict(field.state_dict())
    x = cases.random_points(9, field.in_features, dtype=field.layer_tensors()[0][0].dtype)
    ours, theirs = rebuilt(x), field(x)
    for a, b in zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]:
        assert torch.equal(a, b)


def test_a_config_follows_the_fields_dtype() -> None:
    assert SNF(2, 3, 8).double().config()["dtype"] == "float64"
    assert from_config("snf", SNF(2, 3, 8).double().config()).layer_tensors()[0][0].dtype == torch.float64


def test_from_config_refuses_what_it_does_not_know() -> None:
    config = SNF(2, 3, 8).config()
    with pytest.raises(InputError, match="did you mean 'siren'"):
        from_config("sirens", config)
    with pytest.raises(InputError, match="width"):
        from_config("snf", {**config, "width": 3})
    with pytest.raises(InputError, match="dtype"):
        from_config("snf", {**config, "dtype": "float16"})
    with pytest.raises(InputError, match=r"sine .*scale"):
        from_config("snf", {**config, "activation": {"name": "sine", "scale": 1.0}})
    with pytest.raises(InputError, match="constructor arguments"):
        from_config("siren", [])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"widths": [2, 3]},
        {"bias": [True]},
        {"widths": [2, 8, 0, 3]},
        {"spec": {}},
        {"dtype": 3},
        {"widths": 3},
    ],
)
def test_a_damaged_config_of_an_accelerated_field_is_refused(change: dict[str, object]) -> None:
    config = accelerate(NotebookSiren(2, 8, 1, 3)).config()
    assert from_config("accelerated", config).in_features == 2
    with pytest.raises(InputError):
        from_config("accelerated", {**config, **change})


def test_a_field_on_meta_costs_no_memory() -> None:
    field = from_config("snf", {**SNF(2, 3).config(), "hidden_features": 10**6}, device="meta")
    assert all(parameter.is_meta for parameter in field.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_features": 0}, "in_features to be a whole number of at least 1"),
        ({"out_features": 2.0}, "out_features to be a whole number"),
        ({"hidden_features": True}, "hidden_features"),
        ({"hidden_layers": -1}, "hidden_layers to be a whole number of at least 0"),
        ({"activation": "sin"}, "did you mean 'sine'"),
        ({"activation": torch.sin}, "a name or a spec"),
        ({"activation": Sine(30.0), "hidden_omega": 20.0}, "hidden_omega inside the spec"),
        ({"first_activation": Sine(30.0), "first_omega": 20.0}, "first_omega inside the spec"),
        ({"activation": Gaussian(3.0), "scale": 20.0}, "scale inside the spec"),
        ({"first_omega": 0.0}, "positive"),
        ({"activation": "sine", "first_activation": "gabor"}, "complex field"),
        ({"init": "xavier"}, "init"),
        ({"dtype": torch.float16}, "float32 or torch.float64"),
        ({"dtype": torch.complex64}, "float32 or torch.float64"),
    ],
)
def test_impossible_requests_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SNF(**{"in_features": 2, "out_features": 3, "hidden_features": 8, **options})
