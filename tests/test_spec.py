"""The static description of a field: round trips, identity as a key, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle

import pytest

from fastsnf import spec
from fastsnf.errors import InputError
from fastsnf.spec import (
    ACTIVATIONS,
    Activation,
    Custom,
    FieldSpec,
    Finer,
    Gabor,
    Gaussian,
    Identity,
    RealGabor,
    ReLU,
    Sigmoid,
    Sinc,
    Sine,
    Tanh,
    activation_from_dict,
    make_activation,
)
from tests import cases

EVERY = pytest.mark.parametrize(
    "act", [*cases.ACTIVATIONS, Sine(0.1), Gabor(1e-3, 7.7), Sinc(3.0, 7.0), Identity()], ids=str
)
NAMES = ["sine", "gaussian", "sinc", "gabor", "gabor-real", "finer", "relu", "tanh", "sigmoid"]


def test_the_names_are_those_of_the_command_line() -> None:
    assert list(ACTIVATIONS) == [*NAMES, "identity"]
    assert all(cls.name == name for name, cls in ACTIVATIONS.items())


def test_every_activation_class_is_listed() -> None:
    classes = {v for v in vars(spec).values() if isinstance(v, type) and issubclass(v, Activation)}
    assert classes - {Activation, Custom} == set(ACTIVATIONS.values())


@EVERY
def test_activation_round_trip(act: Activation) -> None:
    back = activation_from_dict(json.loads(json.dumps(act.to_dict())))
    assert (back, type(back), hash(back)) == (act, type(act), hash(act))
    assert pickle.loads(pickle.dumps(act)) == act


@EVERY
def test_field_round_trip(act: Activation) -> None:
    field = FieldSpec.mlp(act, 2)
    back = FieldSpec.from_dict(json.loads(json.dumps(field.to_dict())))
    assert (back, hash(back)) == (field, hash(field))
    assert field.key == json.dumps([activation.to_dict() for activation in field.activations])
    assert FieldSpec.from_key(field.key) == field


def test_integers_are_the_same_key_as_floats() -> None:
    assert Sine(30) == Sine(30.0)
    assert isinstance(Sine(30).omega, float)
    assert {Sine(30): "a"}[Sine(30.0)] == "a"
    assert json.dumps(Sine(30).to_dict()) == json.dumps(Sine(30.0).to_dict())


def test_activations_of_one_value_are_different_keys() -> None:
    assert len({Sine(20.0), Sinc(20.0), Finer(20.0), Gaussian(20.0), Sine(20.5), Sinc(20.0, 2.0)}) == 6
    assert RealGabor(20.0, 10.0) != Gabor(20.0, 10.0)
    assert ReLU() != Tanh()
    assert Sigmoid() != Tanh()


def test_specs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sine(30.0).omega = 20.0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        FieldSpec((Identity(),)).activations = ()  # type: ignore[misc]


@pytest.mark.parametrize("cls", [Sine, Gaussian, Sinc, Gabor, RealGabor, Finer])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "30", None, True, 1j])
def test_parameters_are_positive_and_finite(cls: type[Activation], value: object) -> None:
    with pytest.raises(InputError, match=f"expected {cls.name} (omega|scale|amplitude) to be .*; got"):
        cls(value)  # type: ignore[call-arg]


def test_gaussian_from_sigma() -> None:
    assert Gaussian.from_sigma(0.05).scale == pytest.approx(14.142135623730951)
    for sigma in (0.0, -1.0, math.nan):
        with pytest.raises(InputError, match="sigma"):
            Gaussian.from_sigma(sigma)


def test_the_three_sincs() -> None:
    assert Sinc(20.0) == Sinc(20.0, amplitude=1.0)
    assert Sinc.from_pi(3.0) == Sinc(3.0 * math.pi)
    assert Sinc.unnormalized(20.0) == Sinc(20.0, 20.0)
    for wrong in (0.0, -1.0, math.nan, math.inf, True, None, "2"):
        with pytest.raises(InputError, match="amplitude"):
            Sinc(20.0, wrong)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="expected a to be positive"):
            Sinc.from_pi(wrong)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="expected omega to be positive"):
            Sinc.unnormalized(wrong)  # type: ignore[arg-type]


def test_a_description_older_than_a_parameter_takes_its_default() -> None:
    assert activation_from_dict({"name": "sinc", "omega": 20.0}) == Sinc(20.0, 1.0)
    assert FieldSpec.from_key('[{"name": "sinc", "omega": 20.0}]') == FieldSpec((Sinc(20.0),))
    with pytest.raises(
        InputError, match=r"sinc with the parameters \['amplitude', 'omega'\]; got \['peak'\]"
    ):
        activation_from_dict({"name": "sinc", "peak": 20.0})


@pytest.mark.parametrize("name", [*NAMES, "identity"])
def test_make_activation_takes_what_it_has(name: str) -> None:
    act = make_activation(name, omega=12.0, scale=3.0)
    assert act.name == name
    assert getattr(act, "omega", 12.0) == 12.0
    assert getattr(act, "scale", 3.0) == 3.0


def test_an_unknown_activation_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"got 'guassian', did you mean 'gaussian'\?"):
        make_activation("guassian")
    with pytest.raises(InputError, match=r"got 'sines', did you mean 'sine'\?"):
        activation_from_dict({"name": "sines", "omega": 30.0})
    with pytest.raises(InputError, match="got None"):
        activation_from_dict({"omega": 30.0})


def test_mlp() -> None:
    field = FieldSpec.mlp(Sine(30.0), 3, first=Sine(17.0))
    assert field.activations == (Sine(17.0), *[Sine(30.0)] * 3, Identity())
    assert field.layers == 5
    assert FieldSpec.mlp(ReLU(), 0).activations == (ReLU(), Identity())
    assert FieldSpec.mlp(Tanh(), 1, last=Sine(5.0)).activations == (Tanh(), Tanh(), Sine(5.0))
    with pytest.raises(InputError, match="hidden_layers to be 0 or more; got -1"):
        FieldSpec.mlp(Sine(30.0), -1)


def test_a_field_has_layers() -> None:
    with pytest.raises(InputError, match="at least one layer"):
        FieldSpec(())


def test_complex_fields() -> None:
    gabor = FieldSpec.mlp(Gabor(20.0, 10.0), 1)
    assert gabor.is_complex
    assert [gabor.complex_weights(layer) for layer in range(3)] == [False, True, True]
    real = FieldSpec.mlp(RealGabor(20.0, 10.0), 1)
    assert not real.is_complex
    assert not any(real.complex_weights(layer) for layer in range(3))


@pytest.mark.parametrize(
    "activations",
    [
        (Gabor(),),
        (Gabor(), Gabor()),
        (Sine(), Gabor(), Identity()),
        (Gabor(), Sine(), Identity()),
        (Identity(), Gabor()),
        (Gabor(), Gabor(), Sine()),
    ],
    ids=str,
)
def test_a_complex_field_is_gabor_and_one_identity(activations: tuple[Activation, ...]) -> None:
    with pytest.raises(InputError, match="gabor layers and one identity; got"):
        FieldSpec(activations)
