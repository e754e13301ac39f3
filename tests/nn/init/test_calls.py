"""What all initializers share: names, generators, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from fastsnf.errors import InputError
from fastsnf.nn import MFN, SNF, Field, FourierReparameterized, NormalizedField, Wire2d, accelerate, init
from fastsnf.spec import Sigmoid
from tests.cases import generator
from tests.nn.init.draws import make


class Plane(Field):
    """A field that is no chain of linear layers."""

    def __init__(self) -> None:
        super().__init__(2, 3, 4)
        self.weight = nn.Parameter(torch.ones(3, 2))

    def evaluate(self, x: Tensor) -> Tensor:
        return x @ self.weight.T


@pytest.mark.parametrize("name", init.INITIALIZERS)
def test_one_generator_state_is_one_field_and_the_global_one_stays_out(name: str) -> None:
    state = torch.get_rng_state()
    first, second, other = (make(init=name, generator=generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    for a, b, c in zip(first.parameters(), second.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


@pytest.mark.parametrize("name", init.INITIALIZERS)
def test_the_global_generator_serves_when_none_is_given(name: str) -> None:
    torch.manual_seed(11)
    first = make(init=name)
    torch.manual_seed(11)
    second = make(init=name)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=str)
def test_default_gives_the_very_numbers_of_nn_linear(dtype: torch.dtype) -> None:
    field = make(activation="gabor" if dtype.is_complex else "sine")
    torch.manual_seed(7)
    init.default_(field)
    torch.manual_seed(7)
    for layer, linear in enumerate(field.linears()):
        theirs = nn.Linear(linear.in_features, linear.out_features, dtype=dtype if layer else torch.float32)
        assert torch.equal(linear.weight, theirs.weight)
        assert torch.equal(linear.bias, theirs.bias)


@pytest.mark.parametrize("name", init.INITIALIZERS)
def test_names_take_dashes_and_underscores(name: str) -> None:
    assert make(init=name.replace("-", "_")).config()["init"] == name


@pytest.mark.parametrize("name", init.INITIALIZERS)
def test_every_initializer_is_a_function_of_its_name(name: str) -> None:
    function = getattr(init, name.replace("-", "_") + "_")
    assert function is init.INITIALIZERS[name]


@pytest.mark.parametrize(
    ("activation", "chosen"),
    [("sine", "weight-scaling"), ("finer", "weight-scaling"), ("gaussian", "default"), ("gabor", "default"),
     ("gabor-real", "default"), ("sinc", "default"), ("relu", "default"), ("tanh", "default")],
)  # fmt: skip
def test_every_activation_has_an_initializer_of_its_own(activation: str, chosen: str) -> None:
    assert SNF(2, 3, 8, 1, activation=activation).config()["init"] == chosen


@pytest.mark.parametrize("initialize", [init.weight_scaling_, init.siren_, init.nfsl_sine_])
def test_an_activated_last_layer_takes_the_hidden_omega(initialize: Callable[..., Field]) -> None:
    plain, squashed = make(), make(last_activation=Sigmoid())
    for field in (plain, squashed):
        initialize(field, generator=generator(8))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), squashed.parameters(), strict=True))


def test_alpha_may_be_any_real_number() -> None:
    first, second = (
        make(init="weight-scaling", alpha=a, generator=generator(1)) for a in (2, numpy.float32(2))
    )
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("number", [0.0, -1.0, math.nan, math.inf, "2", True])
@pytest.mark.parametrize(
    ("initialize", "argument"),
    [(init.weight_scaling_, "alpha"), (init.frequency_tuning_, "factor"), (init.nfsl_normal_, "head_factor"),
     (init.nfsl_uniform_, "head_factor"), (init.xavier_uniform_, "gain"), (init.kaiming_normal_, "gain"),
     (init.random_normal_, "std"), (init.vi3nr_, "sigma_p"), (init.vi3nr_, "input_moment")],
)  # fmt: skip
def test_a_bad_number_is_refused_before_anything_changes(
    initialize: Callable[..., Field], argument: str, number: object
) -> None:
    field = make()
    before = [parameter.clone() for parameter in field.parameters()]
    with pytest.raises(InputError, match=f"expected {argument} to be a number above 0; got"):
        initialize(field, **{argument: number})
    assert all(torch.equal(a, b) for a, b in zip(before, field.parameters(), strict=True))


@pytest.mark.parametrize(
    ("initialize", "options", "hint"),
    [(init.kaiming_uniform_, {"mode": "fan_inn"}, "did you mean 'fan-in'"),
     (init.vi3nr_, {"condition": "forwards"}, "did you mean 'forward'"),
     (init.vi3nr_, {"distribution": "unifrom"}, "did you mean 'uniform'"),
     (init.vi3nr_, {"method": "monte_carlo"}, "did you mean 'monte-carlo'")],
)  # fmt: skip
def test_an_unknown_choice_names_the_nearest(
    initialize: Callable[..., Field], options: dict[str, str], hint: str
) -> None:
    with pytest.raises(InputError, match=hint):
        initialize(make(), **options)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("weight-scalling", "weight-scaling"), ("xavier", "xavier-normal"), ("vi3rn", "vi3nr"),
     ("kaiming-unifrom", "kaiming-uniform")],
)  # fmt: skip
def test_an_unknown_initializer_names_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"did you mean '{meant}'"):
        make(init=name)


@pytest.mark.parametrize("name", init.INITIALIZERS)
def test_a_field_that_is_no_chain_of_layers_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=f"init '{name}'; got Plane"):
        init.initialize_(Plane(), name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["siren", "default", "vi3nr", "lecun-normal"])
@pytest.mark.parametrize("cls", [FourierReparameterized, MFN, Wire2d, NormalizedField])
def test_published_fields_keep_the_initial_parameters_of_their_constructors(
    name: str, cls: type[Field]
) -> None:
    field = cls(2, 3, 8, 1)  # type: ignore[call-arg]
    before = [parameter.clone() for parameter in field.parameters()]
    with pytest.raises(InputError, match=f"init '{name}'; got {cls.__name__}.*leave init out"):
        init.initialize_(field, name)  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(before, field.parameters(), strict=True))


@pytest.mark.parametrize("name", init.INITIALIZERS)
def test_a_layer_without_inputs_is_refused(name: str) -> None:
    field = make()
    field.linears()[2].in_features = 0
    with pytest.raises(InputError, match=r"fan-in of 1 or more.*got 0 in layer 2"):
        init.initialize_(field, name)


@pytest.mark.parametrize("name", ["siren", "vi3nr", "default", "xavier-normal"])
def test_a_parametrized_field_is_not_initialized(name: str) -> None:
    field = make()
    parametrizations.weight_norm(field.net[1].linear)
    with pytest.raises(InputError, match=r"layer 1.*parametrized"):
        init.initialize_(field, name)


def test_an_accelerated_module_takes_every_initializer() -> None:
    field = accelerate(make())
    for name in init.INITIALIZERS:
        assert init.initialize_(field, name) is field
        assert torch.isfinite(field(torch.rand(7, 2))).all()
