"""`make_field`: each preset is the published network, of the published size, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fastsnf.encodings import Positional
from fastsnf.errors import InputError
from fastsnf.nn import FIELDS, SNF, Field, LayeredField, from_config, make_field
from fastsnf.nn.make import parameters
from fastsnf.presets import PRESETS
from fastsnf.spec import Sine
from tests.cases import generator


def size(field: Field) -> int:
    """The number of real parameters: a complex one is two."""
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in field.parameters())


def points(n: int = 12, d: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    return 2.0 * torch.rand(n, d, generator=generator(5), dtype=dtype) - 1.0


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # from 2 coordinates to 3 channels, width 256, 4 linear layers
        ("snf", 133_123),  # 2*256+256 + 2*(256*256+256) + 256*3+3
        ("wire", 133_403),  # the real count of WIRE's own 181 complex features
        ("gauss", 133_123),
        ("sinc", 133_123),
        ("finer", 133_123),
        ("relu-pe", (2 * 7 * 2 + 2 + 1) * 256 + 2 * 65_792 + 771),  # 512 x 512: 7 frequencies
        ("ffn", (512 + 1) * 256 + 2 * 65_792 + 771),
    ],
)
def test_sizes_are_the_published_ones(name: str, expected: int) -> None:
    field = make_field(name, 2, 3, shape=(512, 512), hidden_layers=2)
    assert size(field) == expected


def test_fields_of_one_width_are_about_as_large() -> None:
    sizes = {name: size(make_field(name, 2, 3)) for name in ("snf", "wire", "wire2d", "mfn-fourier")}
    assert max(sizes.values()) / min(sizes.values()) < 1.02, sizes


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_a_field_that_its_configuration_describes(name: str) -> None:
    field = make_field(name, 2, 3, hidden_features=16, hidden_layers=1, generator=generator())
    again = make_field(name, 2, 3, hidden_features=16, hidden_layers=1, generator=generator())
    assert type(field) is FIELDS[PRESETS[name].cls]
    state = field.state_dict()
    assert all(torch.equal(state[key], value) for key, value in again.state_dict().items())
    field.eval()
    values = field(points(dtype=torch.float32))
    assert values.shape == (12, 3)
    assert values.isfinite().all()
    twin = from_config(field.name, field.config())
    twin.load_state_dict(state)
    assert torch.equal(twin.eval()(points(dtype=torch.float32)), values)
    wide = make_field(name, 2, 3, hidden_features=16, hidden_layers=1, dtype=torch.float64)
    assert wide.dtype == torch.float64


def original(field: LayeredField, x: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """The forward of the published modules: linear layers with the activation between, real part last."""
    linears = field.linears()
    h = x
    for linear in linears[:-1]:
        weight = linear.weight
        h = activation(h.to(weight.dtype) @ weight.T + linear.bias)
    out = h.to(linears[-1].weight.dtype) @ linears[-1].weight.T + linears[-1].bias
    return out.real if out.is_complex() else out


def encoded_by_pe(x: Tensor) -> Tensor:
    """SIREN's positional encoding with 3 frequencies."""
    waves = [f(2**i * math.pi * x[:, j]) for i in range(3) for j in range(2) for f in (torch.sin, torch.cos)]
    return torch.cat([x, torch.stack(waves, dim=1)], dim=1)


def finer(u: Tensor) -> Tensor:
    return torch.sin(30.0 * (u.abs() + 1.0) * u)


FORMULAS: dict[str, tuple[dict[str, Any], Callable[[Tensor], Tensor]]] = {
    "snf": ({}, lambda u: torch.sin(30.0 * u)),
    "gauss": ({}, lambda u: torch.exp(-((10.0 * u) ** 2))),
    "wire": ({}, lambda u: torch.exp(1j * 20.0 * u - (10.0 * u).abs() ** 2)),
    "sinc": ({}, lambda u: torch.sinc(8.0 * u)),
    "finer": ({}, finer),
    "relu-pe": ({"frequencies": 3}, torch.relu),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_fields_compute_the_published_formula(name: str) -> None:
    options, activation = FORMULAS[name]
    field = make_field(name, 2, 3, hidden_features=24, **options, generator=generator(), dtype=torch.float64)
    assert isinstance(field, LayeredField)
    x = points()
    expected = original(field, encoded_by_pe(x) if name == "relu-pe" else x, activation)
    torch.testing.assert_close(field(x), expected, rtol=1e-9, atol=1e-11)


def test_fourier_features_compute_the_published_formula() -> None:
    field = make_field(
        "ffn", 2, 3, hidden_features=24, frequencies=8, generator=generator(), dtype=torch.float64
    )
    assert isinstance(field, LayeredField)
    assert field.encoding is not None
    x = points()
    phase = ((x + 1.0) / 2.0) @ field.encoding.frequencies.T  # 2 pi B v
    gamma = torch.cat([phase.sin(), phase.cos()], dim=-1)
    torch.testing.assert_close(field(x), original(field, gamma, torch.relu), rtol=1e-10, atol=1e-12)
    first = field.linears()[0]
    assert float(first.weight.detach().std()) == pytest.approx(
        math.sqrt(2.0 / (16 + 24)), rel=0.15
    )  # glorot normal
    assert not first.bias.any()


def test_initial_weights_are_those_of_the_sources() -> None:
    def first(name: str, **given: Any) -> Tensor:
        field = make_field(name, 2, 3, hidden_features=64, generator=generator(), **given)
        assert isinstance(field, LayeredField)
        return field.linears()[1].weight.detach()

    default, siren = 1.0 / 8.0, math.sqrt(6.0 / 64.0) / 30.0  # 1/sqrt(fan_in); SIREN's bound
    for name, bound in [
        *(("relu-pe", default), ("gauss", default), ("sinc", default)),
        *(("finer", siren), ("snf", 2.37 * siren)),
    ]:
        assert float(first(name).abs().max()) == pytest.approx(bound, rel=0.01), name
    wire = first("wire")  # 45 complex features
    for part in (wire.real, wire.imag):
        assert float(part.abs().max()) == pytest.approx(1.0 / math.sqrt(45.0), rel=0.01)


def test_a_preset_is_the_field_of_its_arguments() -> None:
    by_name = make_field("wire", 2, 3, hidden_features=32, hidden_layers=1, generator=generator())
    by_hand = SNF(
        *(2, 3, 22, 1),
        activation="gabor",
        first_omega=20.0,
        hidden_omega=20.0,
        scale=10.0,
        init="default",
        generator=generator(),
    )
    assert by_name.config() == by_hand.config()
    assert all(torch.equal(a, b) for a, b in zip(by_name.parameters(), by_hand.parameters(), strict=True))


def test_overrides_reach_the_field() -> None:
    field = make_field(
        "snf", 2, 1, activation=Sine(5.0), init="siren", bias_init="zero", encoding="positional"
    )
    config = field.config()
    assert (config["activation"], config["init"]) == (Sine(5.0).to_dict(), "siren")
    assert config["encoding"] == Positional(10).to_dict()
    assert make_field("mfn-gabor", 2, 1, input_scale=64.0).config()["input_scale"] == 64.0
    assert make_field("fr", 2, 1, activation="relu").config()["factor"] == 0.05  # the authors' for ReLU
    assert make_field("bn", 2, 1, norm="cross").config()["norm"] == "cross"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("wires", {}, "did you mean 'wire'"),
        ("mfn-fourier", {"activation": "sine"}, "arguments of the field mfn-fourier: .*; got activation"),
        ("snf", {"filters": "gabor"}, "got filters"),
        ("wire2d", {"encoding": "positional"}, "got encoding"),
        ("snf", {"activation": "sin"}, "did you mean 'sine'"),
        ("snf", {"init": "sirn"}, "did you mean 'siren'"),
        ("gauss", {"alpha": math.nan}, "alpha to be a number above 0; got nan"),
        ("gauss", {"alpha": -1.0}, "alpha to be a number above 0"),
        ("snf", {"sigma_p": 0.0}, "sigma_p to be a number above 0"),
        ("relu-pe", {"frequencies": 0}, "from 1 to 32"),
        ("ffn", {"sigma": math.nan}, "a positive number"),
        ("ffn", {"sigma": 1e300}, "of at most 1e"),
        ("wire", {"hidden_features": 0}, "hidden_features to be a whole number of at least 1; got 0"),
        ("wire", {"hidden_features": 2.5}, "got 2.5"),
        ("wire", {"last_activation": "sigmoid"}, "complex field"),
    ],
)
def test_what_a_field_does_not_take_is_refused(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_field(name, 2, 3, **options)


def test_the_names_that_a_preset_takes() -> None:
    assert {"filters", "input_scale", "hidden_features"} <= parameters("mfn-gabor")
    assert not {"init", "activation", "generator", "dtype"} & parameters("mfn-gabor")
    assert {"init", "alpha", "sigma_p", "encoding", "first_bias"} <= parameters("gauss")


def test_the_first_biases_of_finer() -> None:
    plain = make_field("finer", 2, 1, generator=generator())
    wide = make_field("finer", 2, 1, first_bias=5.0, generator=generator())
    assert isinstance(plain, LayeredField)
    assert isinstance(wide, LayeredField)
    bias = wide.linears()[0].bias.detach()
    assert 4.5 < float(bias.abs().max()) <= 5.0
    assert float(bias.std()) == pytest.approx(5.0 / math.sqrt(3.0), rel=0.15)
    assert float(plain.linears()[0].bias.detach().abs().max()) <= 1.0 / math.sqrt(2.0)
    others = zip(plain.linears()[1:], wide.linears()[1:], strict=True)
    assert all(torch.equal(a.weight, b.weight) and torch.equal(a.bias, b.bias) for a, b in others)
    assert torch.equal(plain.linears()[0].weight, wide.linears()[0].weight)
    for value in (0.0, -1.0, math.inf, True):
        with pytest.raises(InputError, match="first_bias"):
            make_field("finer", 2, 1, first_bias=value)
    with pytest.raises(InputError, match="a field with biases"):
        make_field("finer", 2, 1, first_bias=1.0, bias=False)


def test_an_activation_after_the_last_layer() -> None:
    plain = make_field("ffn", 2, 3, hidden_features=16, frequencies=4, generator=generator())
    field = make_field(
        "ffn", 2, 3, hidden_features=16, frequencies=4, last_activation="sigmoid", generator=generator()
    )
    x = points(dtype=torch.float32)
    torch.testing.assert_close(field(x), torch.sigmoid(plain(x)), rtol=1e-5, atol=1e-6)
    twin = from_config("snf", field.config())
    twin.load_state_dict(field.state_dict())
    assert torch.equal(twin(x), field(x))
    assert "ReLU(), at the end Sigmoid(); 5 linear layers" in field.summary()


def test_configurations_of_earlier_versions_are_read() -> None:
    config = make_field("finer", 2, 1, hidden_features=8, generator=generator()).config()
    for name in ("last_activation", "first_bias"):  # what fields did not have at first
        assert config.pop(name) is None
    assert SNF.from_config(config).spec.activations[-1].name == "identity"
