"""`NormalizedField` against the published formulas, written out here; training and evaluation mode."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from fastsnf.encodings import Positional
from fastsnf.errors import InputError
from fastsnf.nn import NormalizedField
from fastsnf.nn.normalization import BatchNorm, CrossNorm
from fastsnf.ntk import empirical_ntk
from fastsnf.ntk.jacobian import Network, combinations_of, jacobian_gram
from fastsnf.spec import Finer, Gaussian, RealGabor, Sine
from tests import cases
from tests.tolerances import FLOAT64, assert_close

VARIANTS = {
    "relu-bn": {"activation": "relu", "norm": "batch", "order": "before"},
    "relu-bn-after": {"activation": "relu", "norm": "batch", "order": "after"},
    "pe-bn": {"activation": "relu", "norm": "batch", "order": "before", "encoding": Positional(3)},
    "siren-bn": {"activation": "sine", "first_omega": 20.0, "hidden_omega": 7.0, "norm": "batch"},
    "relu-cn": {"activation": "relu", "norm": "cross", "order": "before"},
    "siren-cn": {"activation": "sine", "first_omega": 20.0, "hidden_omega": 7.0, "norm": "cross"},
}


def made(variant: str, **options: object) -> NormalizedField:
    settings = {"generator": cases.generator(1), "dtype": torch.float64, **VARIANTS[variant], **options}
    field = NormalizedField(2, 3, 9, 2, **settings)
    with torch.no_grad():
        for parameter in field.parameters():  # norms off their 1 and 0 too
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=cases.generator(2)))
    return field


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    mean, var = x.mean(0), ((x - x.mean(0)) ** 2).mean(0)
    return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias


def cross_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Norm-INR's code, entry by entry sums."""
    n, c = x.shape
    u = (x.sum(1, keepdim=True) + x.sum(0, keepdim=True) - x) / (n + c)
    return (x - u) / torch.sqrt(x.var(0, keepdim=True) + x.var(1, keepdim=True) + 1e-5) * weight + bias


def original(field: NormalizedField, x: Tensor) -> Tensor:
    """The network in training mode, from the published formulas."""
    config = field.config()
    norm = {"batch": batch_norm, "cross": cross_norm}[config["norm"]]
    h = field.encode(x)
    *layers, head = list(field.net)
    for layer in layers:
        u = layer.linear(h)
        gains = layer.norm.weight, layer.norm.bias
        if config["activation"]["name"] == "sine":
            omega = 7.0 if layer is not layers[0] else 20.0
            h = torch.sin(norm(omega * u, *gains))
        elif config["order"] == "before":
            h = torch.relu(norm(u, *gains))
        else:
            h = norm(torch.relu(u), *gains)
    return head(h)


@pytest.mark.parametrize("variant", VARIANTS)
def test_values_and_gradients_are_the_originals(variant: str) -> None:
    field = made(variant)
    x = cases.random_points(40, 2, dtype=torch.float64)
    out, expected = field(x), original(field, x)
    assert_close(out, expected, FLOAT64)
    d_out = torch.randn(40, 3, dtype=torch.float64)
    parameters = dict(field.named_parameters())
    grads = torch.autograd.grad(out, list(parameters.values()), d_out)
    wanted = torch.autograd.grad(expected, list(parameters.values()), d_out)
    largest = max(float(exact.abs().max()) for exact in wanted)
    for (name, _), gradient, exact in zip(parameters.items(), grads, wanted, strict=True):
        # the mean takes a bias before the norm away: its gradient is rounding alone
        assert float((gradient - exact).abs().max()) < 1e-9 * largest, name


@pytest.mark.parametrize("cls", [BatchNorm, CrossNorm])
def test_torchs_own_batch_norm_and_gradcheck(cls: type[BatchNorm] | type[CrossNorm]) -> None:
    norm = cls(5, dtype=torch.float64)
    x = torch.randn(7, 5, dtype=torch.float64)
    if cls is BatchNorm:
        assert_close(norm(x), nn.BatchNorm1d(5).double()(x), FLOAT64)
    assert torch.autograd.gradcheck(norm, (x.requires_grad_(),))


@pytest.mark.parametrize("chunk", [1, 7, 40])
@pytest.mark.parametrize("variant", VARIANTS)
def test_evaluation_gives_the_batchs_values_at_any_chunk_size(variant: str, chunk: int) -> None:
    field = made(variant)
    x = cases.random_points(40, 2, dtype=torch.float64)
    together = field(x).detach()
    field.settle(lambda: x.split(11))  # in chunks of another size, the last of one that is no multiple
    assert field.training
    field.eval()
    alone = torch.cat([field(part) for part in x.split(chunk)])
    assert_close(alone, together, 10 * FLOAT64)


def test_a_call_in_training_mode_leaves_its_statistics() -> None:
    field = made("siren-cn")
    x = cases.random_points(40, 2, dtype=torch.float64)
    together = field(x).detach()
    assert_close(field.eval()(x), together, 10 * FLOAT64)


def test_settling_ignores_what_was_stored_and_keeps_the_modes() -> None:
    field, twin = made("pe-bn"), made("pe-bn")
    x = cases.random_points(40, 2, dtype=torch.float64)
    twin(cases.random_points(9, 2, dtype=torch.float64) * 0.1)  # other statistics
    twin.net[1].eval()
    for one in (field, twin):
        one.settle(lambda: [x])
    assert twin.training
    assert not twin.net[1].training
    for name, value in field.state_dict().items():
        assert torch.equal(value, twin.state_dict()[name]), name


def test_many_points_far_from_zero_keep_their_variance() -> None:
    """Sums of squares would lose it in float32."""
    norm = BatchNorm(1)
    x = 1000.0 + torch.randn(4000, 1, generator=cases.generator(0))
    norm.gather(lambda: x.split(64))
    assert float(norm.mean) == pytest.approx(float(x.double().mean()), rel=1e-6)
    assert float(norm.var) == pytest.approx(float(x.double().var()), rel=1e-5)
    assert float(norm.inverse_count) == pytest.approx(1 / 4000)


def test_statistics_are_in_the_state_and_come_back() -> None:
    field = made("relu-cn")
    x = cases.random_points(40, 2, dtype=torch.float64)
    field.settle(lambda: [x])
    twin = NormalizedField.from_config(field.config())
    twin.load_state_dict(field.state_dict())
    assert torch.equal(twin.eval()(x[:3]), field.eval()(x[:3]))


def test_training_mode_has_no_ntk_and_evaluation_mode_has_one() -> None:
    field = made("siren-bn")
    x = cases.random_points(8, 2, dtype=torch.float64)
    with pytest.raises(InputError, match="normalises by the batch and so couples its points"):
        empirical_ntk(field, x)
    field.settle(lambda: [x])
    field.eval()
    explicit = jacobian_gram(Network(field), x, combinations_of("sum", 3, x), pairs=False)[0]
    assert_close(empirical_ntk(field, x), explicit, FLOAT64)


def test_a_single_point_has_no_variance() -> None:
    field = made("relu-bn")
    x = cases.random_points(1, 2, dtype=torch.float64)
    with pytest.raises(InputError, match="2 points or more to normalise by in training mode; got 1"):
        field(x)
    with pytest.raises(InputError, match="2 points or more to normalise by; got 1"):
        field.settle(lambda: [x])
    with pytest.raises(InputError, match="got 0"):
        field.settle(list)
    assert field.eval()(x).isfinite().all()


def test_a_norm_before_the_activation_takes_its_omega_first() -> None:
    """The scale of what is normalised does not matter but for the 1e-5."""
    for act, unit in (
        (Sine(30.0), Sine(1.0)),
        (Finer(9.0), Finer(1.0)),
        (Gaussian(5.0), Gaussian(1.0)),
        (RealGabor(20.0, 10.0), RealGabor(1.0, 0.5)),
    ):
        layer = NormalizedField(2, 3, 4, 0, activation=act, dtype=torch.float64).net[0]
        assert layer._unit == unit
        x = cases.random_points(5, 2, dtype=torch.float64)
        steep = getattr(act, "omega", None) or act.scale
        assert_close(layer.unnormalised(x), steep * layer.linear(x), FLOAT64)
        after = NormalizedField(2, 3, 4, 0, activation=act, order="after", dtype=torch.float64).net[0]
        assert not torch.allclose(after.unnormalised(x), after.linear(x))


def test_initial_distributions() -> None:
    for activation, bounds in (
        ("relu", (1 / math.sqrt(2), 0.125, 0.125)),
        ("sine", (0.5, *[0.3062 / 30] * 2)),
    ):
        weights: list[list[Tensor]] = [[], [], []]
        for seed in range(20):
            field = NormalizedField(2, 3, 64, 1, activation=activation, generator=cases.generator(seed))
            for kept, linear in zip(weights, field.linears(), strict=True):
                kept.append(linear.weight.detach().flatten())
            assert torch.equal(field.net[0].norm.weight, torch.ones(64))
            assert torch.equal(field.net[1].norm.bias, torch.zeros(64))
        for kept, bound in zip(weights, bounds, strict=True):
            values = torch.cat(kept).double()
            assert float(values.var()) == pytest.approx(bound**2 / 3, rel=5 * math.sqrt(0.8 / len(values)))


def test_copies_keep_their_own_statistics() -> None:
    field = made("relu-bn")
    twin = copy.deepcopy(field)
    field(cases.random_points(40, 2, dtype=torch.float64))
    assert not torch.equal(field.net[0].norm.mean, twin.net[0].norm.mean)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "batsh"}, "did you mean 'batch'"),
        ({"order": "befor"}, "did you mean 'before'"),
        ({"activation": "gabor"}, "real activation"),
        ({"first_activation": "gabor"}, "real activation"),
        ({"hidden_features": 1, "norm": "cross"}, "2 features or more"),
        ({"hidden_layers": -1}, "hidden_layers"),
        ({"dtype": torch.float16}, "float32 or torch.float64"),
    ],
)
def test_impossible_requests_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        NormalizedField(2, 3, **{"hidden_features": 8, "hidden_layers": 1, **options})
