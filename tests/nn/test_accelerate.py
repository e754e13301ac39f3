"""`accelerate`: the networks people paste, recognised by structure, and what must be refused."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from fastsnf.errors import InputError
from fastsnf.nn import SNF, accelerate
from fastsnf.spec import (
    Activation,
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
)
from tests.cases import random_points
from tests.nn.networks import (
    INR,
    ComplexGaborLayer,
    FinerLayer,
    Function,
    GaussLayer,
    NotebookSiren,
    OrthogonalGaborLayer,
    ReLULayer,
    SineLayer,
    SirenNet,
    chain,
)
from tests.nn.networks import (
    Sine as SineModule,
)
from tests.tolerances import FLOAT32, assert_as_good_as_eager, assert_close


class BatchLinear(nn.Linear):
    """A linear layer of another class, as the SIREN repository's."""

    def forward(self, x: Tensor, params: dict[str, Tensor] | None = None) -> Tensor:
        return super().forward(x)


def sinc(u: Tensor) -> Tensor:
    return torch.sinc(8 * u)


def narrow(u: Tensor) -> Tensor:
    return torch.exp(-(u**2) / (2 * 0.05**2))


MATCHES: dict[str, tuple[Callable[[], nn.Module], list[Activation]]] = {
    "notebook": (lambda: NotebookSiren(2, 9, 2, 3), [Sine(30.0)] * 4),
    "notebook-linear": (
        lambda: NotebookSiren(2, 9, 1, 3, True, 100.0, 25.0),
        [Sine(100.0), Sine(25.0), Identity()],
    ),
    "siren-pytorch": (lambda: SirenNet(2, 9, 3, 2), [Sine(30.0), Sine(1.0), Identity()]),
    "siren-pytorch-no-bias": (lambda: SirenNet(2, 9, 3, 2, bias=False), [Sine(30.0), Sine(1.0), Identity()]),
    "wire": (lambda: INR(ComplexGaborLayer), [*[Gabor(20.0, 10.0)] * 3, Identity()]),
    "wire-5-4": (
        lambda: INR(ComplexGaborLayer, omega0=5.0, sigma0=4.0),
        [*[Gabor(5.0, 4.0)] * 3, Identity()],
    ),
    "gauss": (lambda: INR(GaussLayer, scale=7.0), [*[Gaussian(7.0)] * 3, Identity()]),
    "relu": (lambda: INR(ReLULayer), [*[ReLU()] * 3, Identity()]),
    "finer": (lambda: INR(FinerLayer), [*[Finer(30.0)] * 3, Identity()]),
    "sequential": (
        lambda: chain(SineModule(30.0), nn.Tanh(), nn.ReLU(), nn.Identity(), nn.Dropout(0.0)),
        [Sine(30.0), Tanh(), ReLU(), Identity(), Identity(), Identity()],
    ),
    "nested": (
        lambda: nn.Sequential(
            nn.Sequential(BatchLinear(2, 5), SineModule(7.0)), nn.Sequential(BatchLinear(5, 1))
        ),
        [Sine(7.0), Identity()],
    ),
    "functions": (
        lambda: chain(
            Function(sinc, omega=8),
            Function(narrow, sigma=0.05),
            Function(lambda u: torch.cos(7 * u) * torch.exp(-((3 * u) ** 2)), w=7, s=3.0),
        ),
        [Sinc(8 * math.pi), Gaussian.from_sigma(0.05), RealGabor(7.0, 3.0), Identity()],
    ),
    "hard-coded": (
        lambda: chain(
            Function(lambda u: torch.sin(30 * u)),
            Function(lambda u: torch.exp(-((10 * u) ** 2))),
            Function(lambda u: torch.sin(12 * (u.abs().detach() + 1) * u)),
            Function(lambda u: torch.sinc(u * 30 / math.pi)),
        ),
        [Sine(30.0), Gaussian(10.0), Finer(12.0), Sinc(30.0), Identity()],
    ),
    "sincs": (
        lambda: chain(
            Function(lambda u: torch.sinc(2.5 * u), a=2.5),
            Function(lambda u: torch.sin(7 * u) / u, omega=7),
            Function(lambda u: torch.sin(12 * u) / u),
            Function(lambda u: 3 * torch.sin(5 * u) / (5 * u), omega=5, peak=3.0),
            nn.Sigmoid(),
        ),
        [
            Sinc.from_pi(2.5),
            Sinc.unnormalized(7.0),
            Sinc.unnormalized(12.0),
            Sinc(5.0, 3.0),
            Sigmoid(),
            Identity(),
        ],
    ),
    "one-layer": (lambda: SineLayer(2, 3), [Sine(30.0)]),
    "linear": (lambda: nn.Linear(2, 3), [Identity()]),
}


def values(module: nn.Module, x: Tensor) -> Tensor:
    out = module(x)
    return out[0] if isinstance(out, tuple) else out


def in_double(module: nn.Module) -> nn.Module:
    """Return a copy in float64 and complex128."""
    return copy.deepcopy(module)._apply(lambda t: t.to(torch.complex128 if t.is_complex() else torch.float64))


@pytest.mark.parametrize("name", MATCHES)
def test_a_network_is_recognised_and_computes_the_same(name: str) -> None:
    make, activations = MATCHES[name]
    module = make()
    field = accelerate(module)
    assert list(field.spec.activations) == activations
    assert field.fused
    x = random_points(50, 2)
    exact = values(in_double(module), x.double())
    assert_as_good_as_eager(values(field, x), values(module, x), exact)
    assert isinstance(field(x), tuple) == isinstance(module(x), tuple)


@pytest.mark.parametrize("name", ["notebook", "siren-pytorch", "wire", "nested"])
def test_training_either_trains_both(name: str) -> None:
    module = MATCHES[name][0]()
    field = accelerate(module)
    x = random_points(20, 2)
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    assert {id(parameter) for parameter in field.parameters()} == {id(parameter) for parameter in trainable}
    before = values(module, x).detach()
    for trained in (field, module):
        optimizer = torch.optim.SGD(trainable, lr=1e-4)
        optimizer.zero_grad()
        values(trained, x).square().mean().backward()
        optimizer.step()
        assert not torch.equal(values(module, x), before)
        assert_close(values(field, x), values(module, x), 100 * FLOAT32)
        before = values(module, x).detach()
    with torch.no_grad():
        trainable[0].zero_()
    assert_close(values(field, x), values(module, x), 100 * FLOAT32)


def test_the_notebooks_pair_comes_back() -> None:
    module = NotebookSiren(2, 9, 1, 1)
    x = random_points(5, 2)
    out, coords = accelerate(module)(x)
    expected, _ = module(x)
    assert torch.equal(coords, x)
    (gradient,) = torch.autograd.grad(out.sum(), coords)
    assert gradient.abs().max() > 0
    assert_close(out, expected, FLOAT32)


def test_double_precision_and_training_mode_are_kept() -> None:
    module = NotebookSiren(2, 9, 1, 1).double().eval()
    field = accelerate(module)
    assert not field.training
    assert field(random_points(5, 2, dtype=torch.float64))[0].dtype == torch.float64


def test_nothing_of_the_original_or_of_the_random_state_changes() -> None:
    module = INR(ComplexGaborLayer)
    before, state = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    accelerate(module)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_a_field_is_its_own_acceleration() -> None:
    field = SNF(2, 3, 8, 1)
    assert accelerate(field) is field


def test_parametrized_and_hooked_linear_layers_stay_so() -> None:
    module = NotebookSiren(2, 9, 1, 1)
    parametrizations.weight_norm(module.net[1].linear)
    calls: list[int] = []
    module.net[0].linear.register_forward_hook(lambda *_: calls.append(1))
    field = accelerate(module)
    assert not field.fused
    x = random_points(5, 2)
    calls.clear()
    assert_close(field(x)[0], module(x)[0], FLOAT32)
    assert calls == [1, 1]


def test_a_network_may_use_one_layer_twice() -> None:
    shared = nn.Linear(6, 6)
    module = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), shared, nn.Tanh(), shared, nn.Tanh(), nn.Linear(6, 1))
    field = accelerate(module)
    x = random_points(5, 2)
    assert_close(field(x), module(x), FLOAT32)


class Skip(nn.Module):
    """A chain with something beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = chain(nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + x[..., :1]


class Backwards(nn.Module):
    """Layers registered in another order than they run in."""

    def __init__(self) -> None:
        super().__init__()
        self.second, self.first = (
            nn.Sequential(nn.Linear(2, 2), nn.ReLU()),
            nn.Sequential(nn.Linear(2, 2), nn.Tanh()),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Keyword(nn.Module):
    """A network that takes a dictionary, as the SIREN repository's."""

    def __init__(self) -> None:
        super().__init__()
        self.net = chain(nn.ReLU())

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"model_out": self.net(batch["coords"])}


class ComplexOut(nn.Module):
    """WIRE without the real part at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.net = INR(ComplexGaborLayer).net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def hooked() -> nn.Module:
    module = NotebookSiren(2, 9, 1, 1)
    module.net[1].register_forward_hook(lambda *_: None)
    return module


def diverged() -> nn.Module:
    module = nn.Linear(2, 3)
    nn.init.constant_(module.weight, math.nan)
    return module


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "gelu": (lambda: chain(SineModule(30.0), nn.GELU()), r"GELU at '3' is none of them"),
    "relu6": (lambda: chain(nn.ReLU6()), r"ReLU6 at '1' is none of them"),
    "batch-norm": (lambda: chain(nn.BatchNorm1d(8)), r"BatchNorm1d at '1'"),
    "layer-norm": (lambda: chain(nn.LayerNorm(8)), r"LayerNorm at '1'"),
    "two-activations": (lambda: chain(nn.Sequential(nn.ReLU(), nn.Tanh())), r"Tanh at '1\.1' elsewhere"),
    "activation-first": (lambda: nn.Sequential(nn.Tanh(), nn.Linear(2, 3)), r"Tanh at '0' elsewhere"),
    "dropout": (lambda: SirenNet(2, 9, 3, 2, dropout=0.1), r"p=0\.1 in Dropout at 'layers\.0\.dropout'"),
    "two-linears-in-a-layer": (lambda: INR(OrthogonalGaborLayer), r"'net\.0\.scale_orth'"),
    "trainable-omega": (lambda: INR(ComplexGaborLayer, trainable=True), r"'net\.0\.omega_0' of shape \[1\]"),
    "finer-undetached": (
        lambda: INR(FinerLayer, detached=False),
        r"gradients of net\.0\.linear\.weight differ",
    ),
    "hook": (hooked, r"SineLayer at 'net\.1'"),
    "skip": (Skip, r"Skip .* the values differ"),
    "backwards": (Backwards, r"Backwards .* the values differ"),
    "dictionary": (Keyword, r"Keyword to take coordinates \[32, 2\]; it raised IndexError"),
    "complex-out": (ComplexOut, r"real values.*; got a torch\.complex128 tensor"),
    "nan": (diverged, r"finite values of Linear"),
    "widths": (lambda: nn.Sequential(nn.Linear(2, 4), nn.Linear(5, 3)), r"'1' takes 5 features .* gives 4"),
    "half": (lambda: chain(nn.ReLU()).half(), r"'0\.weight' in float32 or float64; got torch\.float16"),
    "empty": (nn.Sequential, r"linear layers in Sequential; found none"),
    "convolution": (lambda: nn.Conv2d(2, 3, 1), r"Conv2d \(the module itself\)"),
    "negative-omega": (lambda: chain(SineModule(-3.0)), r"Sine at '1' is none of them"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_match_is_refused_by_name(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        accelerate(make())


def test_only_modules_are_taken() -> None:
    with pytest.raises(InputError, match="got builtin_function"):
        accelerate(torch.sin)  # type: ignore[arg-type]
