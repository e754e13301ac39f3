"""`FourierReparameterized` against the original's formulas, written out here; one pass, NTK and basis."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from fastsnf.encodings import Positional
from fastsnf.errors import InputError
from fastsnf.nn import FourierReparameterized
from fastsnf.nn.fourier_linear import FourierBasis, FourierLinear
from fastsnf.nn.plain import is_plain
from fastsnf.ntk import NtkOperator, empirical_ntk
from fastsnf.ntk.jacobian import Network, combinations_of, jacobian_gram
from fastsnf.spec import Finer, Gaussian, ReLU, Sine
from fastsnf.train import FitConfig
from fastsnf.train.step import make_step
from tests import cases
from tests.tolerances import FLOAT64, assert_close

BASES = {"low": 3, "high": 4, "phases": 5}
VARIANTS = {
    "relu": {"activation": "relu"},
    "pe": {"activation": "relu", "encoding": Positional(3)},
    "siren": {"activation": "sine", "first_omega": 20.0, "hidden_omega": 7.0},
    "gaussian": {"activation": Gaussian(2.0), "bias": False},
}


def made(variant: str, layers: int = 2, **options: object) -> FourierReparameterized:
    settings = {**BASES, "generator": cases.generator(1), "dtype": torch.float64, **VARIANTS[variant]}
    return FourierReparameterized(2, 3, 9, layers, **{**settings, **options})


def original_basis(features: int, low: int, high: int, phases: int, alpha: float) -> Tensor:
    """The bases of Shi et al.'s code, one number after another."""
    slow = [(i + 1) / low for i in range(low)]
    period = 2 * math.pi / slow[0]
    points = [-period / 2 + period * k / (features - 1) for k in range(features)]
    rows = []
    for frequency in slow + [i + 1 for i in range(high)]:
        for p in range(phases):
            phase = 2 * math.pi * p / phases
            rows.append([alpha * math.cos(frequency * t + phase) for t in points])
    return torch.tensor(rows, dtype=torch.float64)


def original(field: FourierReparameterized, x: Tensor, omegas: tuple[float, float] | None) -> Tensor:
    """The network of Shi et al.'s code with the field's parameters."""
    h = field.encode(x)
    *layers, head = list(field.net)
    config = field.config()
    for index, layer in enumerate(layers):
        linear = layer.linear
        if index:
            basis = original_basis(9, config["low"], config["high"], config["phases"], config["factor"])
            h = torch.matmul(h, torch.matmul(linear.coefficients, basis).transpose(0, 1))
        else:
            h = torch.matmul(h, linear.weight.T)
        h = h if linear.bias is None else h + linear.bias
        if omegas is None:
            h = torch.relu(h)
        else:
            h = torch.sin(omegas[min(index, 1)] * h)
    return head(h)


@pytest.mark.parametrize("variant", ["relu", "pe", "siren"])
def test_values_and_gradients_are_the_originals(variant: str) -> None:
    field = made(variant)
    omegas = (20.0, 7.0) if variant == "siren" else None
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))  # biases too
    x = cases.random_points(4, 7, 2, dtype=torch.float64)
    out, expected = field(x), original(field, x, omegas)
    assert_close(out, expected, FLOAT64)
    d_out = torch.randn(4, 7, 3, dtype=torch.float64)
    grads = torch.autograd.grad(out, list(field.parameters()), d_out)
    wanted = torch.autograd.grad(expected, list(field.parameters()), d_out)
    for gradient, exact in zip(grads, wanted, strict=True):
        assert float(exact.abs().max()) > 0
        assert_close(gradient, exact, 10 * FLOAT64)


@pytest.mark.parametrize("layers", [0, 2])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_single_pass_gives_the_gradients_of_autograd(variant: str, layers: int) -> None:
    field = made(variant, layers)
    twin = copy.deepcopy(field)
    x, y = cases.random_points(30, 2, dtype=torch.float64), torch.rand(30, 3, dtype=torch.float64)
    w = torch.rand(30, dtype=torch.float64)
    step = make_step(field, FitConfig())
    assert step.single_pass
    loss = step.gradients(x, y, w)
    expected = ((twin(x) - y).square().mean(dim=1) * w).sum() / w.sum()
    expected.backward()
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-12)
    for parameter, exact in zip(field.parameters(), twin.parameters(), strict=True):
        assert_close(parameter.grad, exact.grad, 10 * FLOAT64)


def test_frozen_parameters_get_no_gradient_and_hooks_take_autograd() -> None:
    field = made("relu")
    hidden = field.linears()[1]
    hidden.coefficients.requires_grad_(False)
    field.linears()[0].bias.requires_grad_(False)
    x, y = cases.random_points(30, 2, dtype=torch.float64), torch.rand(30, 3, dtype=torch.float64)
    step = make_step(field)
    assert step.single_pass
    step.gradients(x, y)
    assert hidden.coefficients.grad is None
    assert field.linears()[0].bias.grad is None
    assert field.linears()[2].coefficients.grad is not None
    seen = []
    field.linears()[2].coefficients.register_hook(seen.append)
    assert not is_plain(field)
    make_step(field).gradients(x, y)
    assert len(seen) == 1


@pytest.mark.parametrize("outputs", ["sum", "each", "full"])
@pytest.mark.parametrize("variant", ["siren", "pe"])
def test_the_ntk_is_that_of_explicit_jacobians_in_lambda(variant: str, outputs: str) -> None:
    field = made(variant)
    field.linears()[2].bias.requires_grad_(False)
    x = cases.random_points(11, 2, dtype=torch.float64)
    explicit = jacobian_gram(Network(field), x, combinations_of(outputs, 3, x), pairs=outputs == "full")
    found = empirical_ntk(field, x, outputs=outputs)
    assert_close(found, explicit.reshape(found.shape), 10 * FLOAT64)
    if outputs != "each":
        operator = NtkOperator(field, x, outputs=outputs, chunk=4)
        v = torch.randn(operator.shape[: len(operator.shape) // 2], dtype=torch.float64)
        product = found.reshape(v.numel(), v.numel()) @ v.flatten()
        assert_close(operator @ v, product.reshape(v.shape), 10 * FLOAT64)


def test_the_ntk_knows_which_layers_train() -> None:
    field = made("relu")
    field.linears()[1].coefficients.requires_grad_(False)
    x = cases.random_points(11, 2, dtype=torch.float64)
    explicit = jacobian_gram(Network(field), x, combinations_of("sum", 3, x), pairs=False)[0]
    assert_close(empirical_ntk(field, x), explicit, 10 * FLOAT64)


def test_the_basis_is_the_originals_in_every_dtype() -> None:
    basis = FourierBasis(9, **BASES, factor=0.3, dtype=torch.float32)
    exact = original_basis(9, 3, 4, 5, 0.3)
    assert basis.rows.shape == (35, 9)
    assert_close(basis.exact(), exact, 1e-12)
    assert torch.equal(basis.rows, basis.exact().float())
    assert torch.equal(basis.double().rows, basis.exact())  # not the rounded numbers, widened
    assert_close(basis.root() @ basis.root(), exact.mT @ exact, 1e-12)
    assert_close(basis.float().root(), basis.double().root().float(), 1e-5)
    assert torch.equal(basis.to("meta").to_empty(device="cpu").rows, basis.exact())


def test_bases_are_no_part_of_the_state_and_come_back() -> None:
    field = made("siren").float()
    assert not any("basis" in name for name in field.state_dict())
    assert not any("basis" in name for name, _ in field.named_parameters())
    linears = [one for one in field.linears() if isinstance(one, FourierLinear)]
    assert linears[0].basis is linears[1].basis  # once, however many layers
    twin = FourierReparameterized.from_config(field.config())
    twin.load_state_dict(field.state_dict())
    x = cases.random_points(5, 2)
    assert torch.equal(twin(x), field(x))
    copied = copy.deepcopy(field)
    assert copied.linears()[1].basis is copied.linears()[2].basis
    assert copied.linears()[1].basis is not linears[0].basis


def test_initial_distributions_over_seeds() -> None:
    """Lambda_i uniform in +-sqrt(6/M)/|B_i| [/omega], biases 0, first and last layer as published."""
    F, M = 24, 8 * 4
    for variant, omega in (("relu", 1.0), ("sine", 30.0)):
        units, first, last = [], [], []
        for seed in range(20):
            field = FourierReparameterized(
                2, 3, F, 1, activation=variant, low=4, high=4, phases=4, factor=0.02,
                generator=cases.generator(seed),
            )  # fmt: skip
            hidden = field.linears()[1]
            norms = original_basis(F, 4, 4, 4, 0.02).norm(dim=1)
            units.append(hidden.coefficients.detach().double() * norms * omega / math.sqrt(6 / M))
            assert torch.equal(hidden.bias, torch.zeros(F))
            first.append(field.linears()[0].weight.detach() * (2 if variant == "sine" else math.sqrt(2)))
            last.append(field.linears()[2].weight.detach() * omega / math.sqrt(6 / F))
        for drawn in (units, first, last):
            values = torch.cat([part.flatten() for part in drawn]).double()
            assert 0.97 < float(values.abs().max()) < 1 + 1e-6
            assert float(values.var()) == pytest.approx(1 / 3, rel=5 * math.sqrt(0.8 / len(values)))


def test_the_initial_weights_do_not_depend_on_the_factor() -> None:
    one, other = (made("relu", factor=factor).layer_tensors()[0] for factor in (0.05, 0.7))
    for a, b in zip(one, other, strict=True):
        assert_close(a, b, FLOAT64)


def test_factors_of_the_authors() -> None:
    for activation, factor in ((ReLU(), 0.05), (Sine(30.0), 0.01), (Finer(), 0.01)):
        assert FourierReparameterized(2, 3, 8, 1, activation=activation).config()["factor"] == factor


def test_a_basis_that_vanishes_gets_no_coefficients() -> None:
    """With 7 features and 3 low frequencies t is a multiple of pi: sin(t) is 0 at all points."""
    field = FourierReparameterized(2, 1, 7, 1, low=3, high=1, phases=4, dtype=torch.float64)
    basis, coefficients = field.linears()[1].basis.rows, field.linears()[1].coefficients
    gone = basis.abs().amax(dim=1) < 1e-12
    assert int(gone.sum()) == 4  # f = 1, low and high, each at two phases
    assert torch.equal(coefficients[:, gone], torch.zeros_like(coefficients[:, gone]))
    assert float(coefficients.detach().abs().max()) < 1e3


def test_a_hook_takes_the_layers_one_by_one() -> None:
    field = made("siren")
    x = cases.random_points(9, 2, dtype=torch.float64)
    out = field(x)
    assert field.fused
    handle = field.linears()[1].register_forward_hook(lambda *call: None)
    assert not field.fused
    assert_close(field(x), out, FLOAT64)
    handle.remove()
    nn.utils.parametrizations.weight_norm(field.linears()[0])
    assert not field.fused
    assert_close(field(x), out, FLOAT64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0}, "low to be a whole number of at least 1"),
        ({"phases": 2.0}, "phases"),
        ({"factor": 0.0}, "factor to be a number above 0"),
        ({"activation": "gabor"}, "real activation"),
        ({"activation": "sin"}, "did you mean 'sine'"),
        ({"activation": Sine(3.0), "hidden_omega": 2.0}, "hidden_omega inside the spec"),
        ({"encoding": "positional"}, "encoding"),
        ({"hidden_features": 0}, "hidden_features"),
    ],
)
def test_impossible_requests_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FourierReparameterized(2, 3, **{"hidden_features": 8, "hidden_layers": 1, **options})
