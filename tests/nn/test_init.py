"""Initializers: the distributions of the papers, layer by layer, over 20 seeds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from fastsnf.errors import InputError
from fastsnf.nn import SNF, Field, Siren, init
from fastsnf.spec import Finer, Sine
from tests.cases import generator

SEEDS = 20
D, F, L, C = 2, 48, 2, 3
FAN_IN = [D, F, F, F]
SINE = [math.inf, 25.0, 25.0, 25.0]  # the first layer's omega is in no bound


def make(**options: object) -> SNF:
    return SNF(D, C, F, L, **{"first_omega": 70.0, "hidden_omega": 25.0, "init": "default", **options})


def siren_bounds(alpha: float) -> list[float]:
    """SIREN, Sec. 3.2, and Eq. 3 of weight scaling with d0 = D: every layer but the last is scaled."""
    root = math.sqrt(6 / F) / 25.0
    return [alpha / D, alpha * root, alpha * root, root]


DEFAULT = [1 / math.sqrt(fan_in) for fan_in in FAN_IN]

CASES: dict[str, tuple[Callable[..., Field], dict[str, object], dict[str, object], list[float]]] = {
    "weight-scaling": (init.weight_scaling_, {"alpha": 2.37}, {}, siren_bounds(2.37)),
    "weight-scaling-1.5": (init.weight_scaling_, {"alpha": 1.5}, {}, siren_bounds(1.5)),
    "weight-scaling-finer": (init.weight_scaling_, {}, {"activation": "finer"}, siren_bounds(2.37)),
    "siren": (init.siren_, {}, {}, siren_bounds(1.0)),
    "default": (init.default_, {}, {}, DEFAULT),
    "default-gaussian": (init.default_, {}, {"activation": "gaussian"}, DEFAULT),
    "default-gabor": (init.default_, {}, {"activation": "gabor"}, DEFAULT),
}


def samples(name: str, **options: object) -> tuple[list[Tensor], list[Tensor], list[float]]:
    """Return per layer the weights and biases of 20 seeds, flat, and the weights' bounds by theory."""
    initialize, arguments, field_options, bounds = CASES[name]
    field = make(**field_options)
    weights: list[list[Tensor]] = [[] for _ in FAN_IN]
    biases: list[list[Tensor]] = [[] for _ in FAN_IN]
    for seed in range(SEEDS):
        assert initialize(field, **arguments, **options, generator=generator(seed)) is field
        for layer, linear in enumerate(field.linears()):
            weights[layer].append(_flat(linear.weight))
            biases[layer].append(_flat(linear.bias))
    return [torch.cat(w) for w in weights], [torch.cat(b) for b in biases], bounds


def _flat(tensor: Tensor) -> Tensor:
    """Return the real numbers of a tensor: real and imaginary parts are drawn alike."""
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor).detach().double().flatten()


def assert_uniform(values: Tensor, bound: float) -> None:
    """Assert that values look like U(-bound, bound): bounds, mean and variance within 3 sigma."""
    assert values.abs().max() <= bound * (1 + 1e-6)
    assert values.abs().max() >= bound * (1 - 20 / len(values))
    sigma_mean = bound / math.sqrt(3 * len(values))
    assert abs(values.mean()) <= 3 * sigma_mean
    sigma_variance = bound**2 * math.sqrt(4 / 45 / len(values))  # Var(x^2) = b^4 / 5 - b^4 / 9
    assert abs(values.square().mean() - bound**2 / 3) <= 3 * sigma_variance


@pytest.mark.parametrize("name", CASES)
def test_weights_and_biases_follow_the_distributions_of_the_papers(name: str) -> None:
    weights, biases, bounds = samples(name)
    for layer, fan_in in enumerate(FAN_IN):
        assert_uniform(weights[layer], bounds[layer])
        assert_uniform(biases[layer], 1 / math.sqrt(fan_in))  # never scaled by alpha


@pytest.mark.parametrize("name", ["weight-scaling", "siren", "default", "default-gabor"])
def test_like_weights_draws_biases_from_the_distribution_of_their_weights(name: str) -> None:
    _, biases, bounds = samples(name, bias_init="like-weights")
    for layer in range(len(FAN_IN)):
        assert_uniform(biases[layer], bounds[layer])


@pytest.mark.parametrize(
    ("scheme", "value"), [("zero", 0.0), (0.01, 0.01), ("0.01", 0.01), (-1, -1.0), ("like_weights", None)]
)
def test_bias_schemes(scheme: str | float, value: float | None) -> None:
    field = make(init="siren", bias_init=scheme)
    for bias in field.layer_tensors()[1]:
        assert bias is not None
        if value is None:
            assert bias.unique().numel() == bias.numel()
        else:
            assert torch.equal(bias, torch.full_like(bias, value))


def test_the_bias_scheme_leaves_the_weights_as_they_were() -> None:
    plain, zero = (make(bias_init=scheme, generator=generator(3)) for scheme in ("default", "zero"))
    for a, b in zip(plain.layer_tensors()[0], zero.layer_tensors()[0], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", init.INITIALIZERS)
def test_one_generator_state_is_one_field_and_the_global_one_stays_out(name: str) -> None:
    state = torch.get_rng_state()
    first, second, other = (make(init=name, generator=generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    for a, b, c in zip(first.parameters(), second.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_the_global_generator_serves_when_none_is_given() -> None:
    torch.manual_seed(11)
    first = make(init="weight-scaling")
    torch.manual_seed(11)
    second = make(init="weight-scaling")
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


@pytest.mark.parametrize("spelling", ["weight_scaling", "weight-scaling"])
def test_names_take_dashes_and_underscores(spelling: str) -> None:
    assert make(init=spelling).config()["init"] == "weight-scaling"


@pytest.mark.parametrize(
    ("activation", "chosen"),
    [("sine", "weight-scaling"), ("finer", "weight-scaling"), ("gaussian", "default"), ("gabor", "default"),
     ("gabor-real", "default"), ("sinc", "default"), ("relu", "default"), ("tanh", "default")],
)  # fmt: skip
def test_every_activation_has_an_initializer_of_its_own(activation: str, chosen: str) -> None:
    assert SNF(2, 3, 8, 1, activation=activation).config()["init"] == chosen


def test_mixed_sine_and_finer_layers_take_their_own_omegas() -> None:
    field = SNF(D, C, 4000, 1, activation=Finer(8.0), first_activation=Sine(50.0), init="siren")
    first, hidden, last = (weight.abs().max().item() for weight in field.layer_tensors()[0])
    assert first == pytest.approx(1 / D, rel=1e-2)
    assert hidden == pytest.approx(math.sqrt(6 / 4000) / 8, rel=1e-2)
    assert last == pytest.approx(math.sqrt(6 / 4000) / 8, rel=1e-2)


def test_without_hidden_layers_the_last_layer_still_takes_the_hidden_omega() -> None:
    field = Siren(1, 4000, 0, 1, first_omega_0=3000.0, hidden_omega_0=15.0)
    assert field.layer_tensors()[0][-1].abs().max().item() == pytest.approx(
        math.sqrt(6 / 4000) / 15, rel=1e-2
    )


def test_initializers_work_without_biases_and_keep_requires_grad() -> None:
    field = make(bias=False)
    init.weight_scaling_(field, bias_init="zero")
    assert field.layer_tensors()[1] == [None] * 4
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in field.parameters())


@pytest.mark.parametrize("activation", ["gaussian", "gabor", "sinc", "gabor-real", "relu", "tanh"])
@pytest.mark.parametrize("initialize", [init.weight_scaling_, init.siren_])
def test_siren_bounds_are_refused_where_they_mean_nothing(
    activation: str, initialize: Callable[[Field], Field]
) -> None:
    with pytest.raises(InputError, match="init='default'"):
        initialize(SNF(2, 3, 4, 1, activation=activation))


def test_alpha_may_be_any_real_number() -> None:
    first, second = (
        make(init="weight-scaling", alpha=a, generator=generator(1)) for a in (2, numpy.float32(2))
    )
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan, math.inf, "2", True])
def test_a_bad_alpha_is_refused(alpha: object) -> None:
    with pytest.raises(InputError, match="alpha"):
        make(init="weight-scaling", alpha=alpha)


@pytest.mark.parametrize("scheme", ["zeros", "", math.nan, math.inf, None, True, "nan"])
def test_a_bad_bias_scheme_is_refused_before_anything_changes(scheme: object) -> None:
    field = make()
    before = [parameter.clone() for parameter in field.parameters()]
    with pytest.raises(InputError, match="bias_init"):
        init.siren_(field, bias_init=scheme)  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(before, field.parameters(), strict=True))


def test_an_unknown_initializer_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'weight-scaling'"):
        make(init="weight-scalling")


def test_a_parametrized_field_is_not_initialized() -> None:
    field = make()
    parametrizations.weight_norm(field.net[1].linear)
    with pytest.raises(InputError, match=r"layer 1.*parametrized"):
        init.siren_(field)
