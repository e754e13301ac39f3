"""`MFN` against the original's formulas, written out here, and its initial distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Gamma

from fastsnf.errors import InputError
from fastsnf.nn import MFN
from fastsnf.nn.mfn import GaborFilter
from tests import cases
from tests.tolerances import FLOAT64, assert_close

SEEDS = 20


class OriginalFilter(nn.Module):
    """A filter of Fathony et al.'s code, its squared distance expanded."""

    def __init__(self, D: int, F: int, scale: float, gabor: bool, alpha: float, beta: float) -> None:
        super().__init__()
        self.linear = nn.Linear(D, F)
        rows = torch.ones(F)
        if gabor:
            self.mu = nn.Parameter(2 * torch.rand(F, D) - 1)
            self.gamma = nn.Parameter(Gamma(alpha, beta).sample((F,)))
            rows = self.gamma.data.sqrt()
        self.linear.weight.data *= scale * rows[:, None]
        self.linear.bias.data.uniform_(-math.pi, math.pi)

    def forward(self, x: Tensor) -> Tensor:
        wave = torch.sin(self.linear(x))
        if not hasattr(self, "mu"):
            return wave
        square = (x**2).sum(-1)[..., None] + (self.mu**2).sum(-1)[None, :] - 2 * x @ self.mu.T
        return wave * torch.exp(-0.5 * square * self.gamma)


class Original(nn.Module):
    """The network of Fathony et al.'s code, with its order of random draws."""

    def __init__(
        self, D: int, C: int, F: int, n: int, gabor: bool, input_scale: float = 256.0,
        weight_scale: float = 1.0, alpha: float = 6.0, beta: float = 1.0, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.linear = nn.ModuleList([nn.Linear(F, F, bias) for _ in range(n)])
        self.output_linear = nn.Linear(F, C)
        for linear in self.linear:
            linear.weight.data.uniform_(-math.sqrt(weight_scale / F), math.sqrt(weight_scale / F))
        scale = input_scale / math.sqrt(n + 1)
        self.filters = nn.ModuleList(
            [OriginalFilter(D, F, scale, gabor, alpha / (n + 1), beta) for _ in range(n + 1)]
        )

    def forward(self, x: Tensor) -> Tensor:
        z = self.filters[0](x)
        for filter_, linear in zip(list(self.filters)[1:], self.linear, strict=True):
            z = filter_(x) * linear(z)
        return self.output_linear(z)


OPTIONS = {
    "fourier": {"filters": "fourier"},
    "gabor": {"filters": "gabor", "alpha": 5.0, "beta": 2.0, "input_scale": 20.0},
    "bare": {"filters": "gabor", "bias": False, "weight_scale": 3.0, "hidden_layers": 0},
}


def original_of(options: dict[str, object], F: int = 12, L: int = 2) -> Original:
    rest = {name: value for name, value in options.items() if name not in ("filters", "hidden_layers")}
    return Original(2, 3, F, options.get("hidden_layers", L), options["filters"] == "gabor", **rest)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_values_and_gradients_are_the_originals(options: dict[str, object]) -> None:
    field = MFN(2, 3, **{"hidden_features": 12, "hidden_layers": 2, "dtype": torch.float64, **options})
    original = original_of(options).double()
    original.load_state_dict(field.state_dict())
    x = cases.random_points(4, 7, 2, dtype=torch.float64)
    out, expected = field(x), original(x.reshape(-1, 2)).reshape(4, 7, 3)
    assert_close(out, expected, FLOAT64)
    d_out = torch.randn(4, 7, 3, dtype=torch.float64)
    grads = torch.autograd.grad(out, list(field.parameters()), d_out)
    named = dict(original.named_parameters())
    wanted = torch.autograd.grad(expected, [named[name] for name, _ in field.named_parameters()], d_out)
    for gradient, exact in zip(grads, wanted, strict=True):
        assert float(exact.abs().max()) > 0
        assert_close(gradient, exact, 10 * FLOAT64)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_global_seed_gives_the_numbers_of_the_original(options: dict[str, object]) -> None:
    torch.manual_seed(3)
    field = MFN(2, 3, **{"hidden_features": 12, "hidden_layers": 2, **options})
    torch.manual_seed(3)
    expected = original_of(options).state_dict()
    assert field.state_dict().keys() == expected.keys()
    for name, value in field.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=3e-7, atol=1e-7)


def test_initial_distributions_over_seeds() -> None:
    """Means and variances of the published distributions; 5 deviations of the sample moments allowed."""
    F, L, alpha, beta = 64, 3, 6.0, 2.0
    drawn: dict[str, list[Tensor]] = {}
    for seed in range(SEEDS):
        field = MFN(2, 3, F, L, filters="gabor", alpha=alpha, beta=beta, generator=cases.generator(seed))
        for name, value in field.state_dict().items():
            kind = name.split(".")[0] + "." + name.rpartition(".")[2]
            drawn.setdefault(kind, []).append(value.double().flatten())
            if name.endswith("linear.weight") and name.startswith("filters"):
                gamma = field.state_dict()[name.replace("linear.weight", "gamma")]
                unit = value / gamma.sqrt()[:, None] / (256.0 / math.sqrt(L + 1))
                drawn.setdefault("unit", []).append(unit.double().flatten())
    shape = alpha / (L + 1)
    uniform = {  # bound of U(-bound, bound)
        "linear.weight": math.sqrt(1.0 / F),
        "linear.bias": math.sqrt(1.0 / F),
        "output_linear.weight": math.sqrt(1.0 / F),
        "output_linear.bias": math.sqrt(1.0 / F),
        "filters.bias": math.pi,
        "filters.mu": 1.0,
        "unit": math.sqrt(1.0 / 2.0),
    }
    for kind, bound in uniform.items():
        values = torch.cat(drawn[kind])
        n = len(values)
        assert float(values.abs().max()) <= bound * (1 + 1e-5), kind
        assert abs(float(values.mean())) < 5 * bound / math.sqrt(3 * n), kind
        assert float(values.var()) == pytest.approx(bound**2 / 3, rel=5 * math.sqrt(0.8 / n)), kind
    gamma = torch.cat(drawn["filters.gamma"])
    n = len(gamma)
    assert float(gamma.min()) > 0
    assert float(gamma.mean()) == pytest.approx(shape / beta, rel=5 / math.sqrt(shape * n))
    assert float(gamma.var()) == pytest.approx(shape / beta**2, rel=5 * math.sqrt((2 + 6 / shape) / n))


def test_the_squared_distance_is_never_negative() -> None:
    """At mu, where the expanded form of the original loses all digits and may turn negative."""
    field = MFN(3, 1, 64, 0, filters="gabor")
    (filter_,) = field.filters
    assert isinstance(filter_, GaborFilter)
    with torch.no_grad():
        filter_.gamma.fill_(1e6)
        filter_.linear.weight.zero_()
        filter_.linear.bias.fill_(math.pi / 2)
        x = filter_.mu.clone()
        values = filter_(x)
        square = (x**2).sum(-1)[:, None] + (filter_.mu**2).sum(-1) - 2 * x @ filter_.mu.T
    assert float(square.min()) < 0  # so its Gaussian exceeds 1
    assert float(values.max()) <= 1.0 + 1e-6
    assert float(values.diagonal().min()) > 1.0 - 1e-6


def test_gamma_is_unconstrained_and_trained() -> None:
    field = MFN(2, 1, 8, 1, filters="gabor")
    assert {"filters.0.mu", "filters.1.gamma"} <= {name for name, _ in field.named_parameters()}
    with torch.no_grad():
        field.filters[0].gamma.fill_(-2.0)
    x = cases.random_points(9, 2)
    field(x).square().sum().backward()
    assert field(x).isfinite().all()
    assert float(field.filters[0].gamma.grad.abs().max()) > 0


def test_the_filters_take_an_engine() -> None:
    field = MFN(2, 1, 8, 1)
    x = torch.zeros(3, 2)
    assert field.choose_engine(x) == MFN(2, 1, 8, 1, filters="gabor").choose_engine(x)
    assert field.choose_engine(x).precision == "fp32"
    assert field.choose_engine(x.double()).precision == "fp64"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": "gabour"}, "did you mean 'gabor'"),
        ({"input_scale": 0.0}, "input_scale to be a number above 0"),
        ({"weight_scale": float("nan")}, "weight_scale"),
        ({"alpha": -1.0}, "alpha"),
        ({"beta": "1"}, "beta"),
        ({"hidden_layers": -1}, "hidden_layers"),
        ({"hidden_features": 0}, "hidden_features"),
        ({"dtype": torch.float16}, "float32 or torch.float64"),
    ],
)
def test_impossible_requests_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MFN(2, 3, **{"hidden_features": 8, **options})
