"""Networks as people paste them: minimal re-creations with the public attribute names of the originals."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SineLayer(nn.Module):
    """The SIREN notebook's layer."""

    def __init__(self, fan_in: int, fan_out: int, is_first: bool = False, omega_0: float = 30.0) -> None:
        super().__init__()
        self.in_features = fan_in
        self.is_first = is_first
        self.omega_0 = omega_0
        self.linear = nn.Linear(fan_in, fan_out)
        bound = 1 / fan_in if is_first else math.sqrt(6 / fan_in) / omega_0
        with torch.no_grad():
            self.linear.weight.uniform_(-bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.omega_0 * self.linear(x))


class NotebookSiren(nn.Module):
    """The SIREN notebook's network: answers with the pair (values, coordinates)."""

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        hidden_layers: int,
        out_features: int,
        outermost_linear: bool = False,
        first_omega_0: float = 30.0,
        hidden_omega_0: float = 30.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [SineLayer(in_features, hidden_features, True, first_omega_0)]
        layers += [
            SineLayer(hidden_features, hidden_features, False, hidden_omega_0) for _ in range(hidden_layers)
        ]
        if outermost_linear:
            last = nn.Linear(hidden_features, out_features)
            bound = math.sqrt(6 / hidden_features) / hidden_omega_0
            with torch.no_grad():
                last.weight.uniform_(-bound, bound)
            layers.append(last)
        else:
            layers.append(SineLayer(hidden_features, out_features, False, hidden_omega_0))
        self.net = nn.Sequential(*layers)

    def forward(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        coords = coords.clone().detach().requires_grad_(True)
        return self.net(coords), coords


class Sine(nn.Module):
    """siren-pytorch's activation."""

    def __init__(self, w0: float = 1.0) -> None:
        super().__init__()
        self.w0 = w0

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.w0 * x)


class SirenLayer(nn.Module):
    """siren-pytorch's layer, with a weight and a bias of its own."""

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        w0: float,
        *,
        bias: bool = True,
        activation: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dim_in = fan_in
        self.weight = nn.Parameter(torch.empty(fan_out, fan_in).uniform_(-1 / fan_in, 1 / fan_in))
        self.bias = nn.Parameter(torch.empty(fan_out).uniform_(-0.1, 0.1)) if bias else None
        self.activation = Sine(w0) if activation is None else activation
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.activation(nn.functional.linear(x, self.weight, self.bias)))


class SirenNet(nn.Module):
    """siren-pytorch's network."""

    def __init__(
        self,
        dim_in: int,
        dim_hidden: int,
        dim_out: int,
        num_layers: int,
        *,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_layers = num_layers
        self.layers = nn.ModuleList(
            SirenLayer(
                dim_hidden if i else dim_in, dim_hidden, 1.0 if i else 30.0, bias=bias, dropout=dropout
            )
            for i in range(num_layers)
        )
        self.last_layer = SirenLayer(dim_hidden, dim_out, 1.0, bias=bias, activation=nn.Identity())

    def forward(self, x: Tensor, mods: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            x = layer(x)
            if mods is not None:
                x = x * mods
        return self.last_layer(x)


class ComplexGaborLayer(nn.Module):
    """WIRE's layer: the first real, those after it complex."""

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        is_first: bool = False,
        omega0: float = 20.0,
        sigma0: float = 10.0,
        trainable: bool = False,
    ) -> None:
        super().__init__()
        self.is_first = is_first
        self.omega_0 = nn.Parameter(omega0 * torch.ones(1), trainable)
        self.scale_0 = nn.Parameter(sigma0 * torch.ones(1), trainable)
        self.linear = nn.Linear(fan_in, fan_out, dtype=torch.float if is_first else torch.cfloat)

    def forward(self, x: Tensor) -> Tensor:
        u = self.linear(x)
        return torch.exp(1j * self.omega_0 * u - (self.scale_0 * u).abs().square())


class OrthogonalGaborLayer(ComplexGaborLayer):
    """WIRE's two-dimensional layer, with a second linear layer inside the Gaussian."""

    def __init__(self, fan_in: int, fan_out: int, **options: bool) -> None:
        super().__init__(fan_in, fan_out, **options)
        self.scale_orth = nn.Linear(fan_in, fan_out, dtype=self.linear.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        u, v = self.linear(x), self.scale_orth(x)
        return torch.exp(1j * self.omega_0 * u - self.scale_0**2 * (u.abs().square() + v.abs().square()))


class GaussLayer(nn.Module):
    """The Gaussian layer of WIRE's and FINER's baselines."""

    def __init__(
        self, fan_in: int, fan_out: int, is_first: bool = False, omega0: float = 30.0, scale: float = 10.0
    ) -> None:
        super().__init__()
        self.omega_0 = omega0
        self.scale = scale
        self.linear = nn.Linear(fan_in, fan_out)

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-((self.scale * self.linear(x)) ** 2))


class ReLULayer(nn.Module):
    """WIRE's baseline: it holds an omega that it does not use."""

    def __init__(self, fan_in: int, fan_out: int, is_first: bool = False, omega0: float = 30.0) -> None:
        super().__init__()
        self.omega_0 = omega0
        self.linear = nn.Linear(fan_in, fan_out)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.linear(x))


class FinerLayer(nn.Module):
    """FINER's layer, its frequency held constant in the derivative or not."""

    def __init__(self, fan_in: int, fan_out: int, omega_0: float = 30.0, *, detached: bool = True) -> None:
        super().__init__()
        self.omega_0 = omega_0
        self.scale_req_grad = not detached
        self.linear = nn.Linear(fan_in, fan_out)

    def forward(self, x: Tensor) -> Tensor:
        u = self.linear(x)
        frequency = u.abs() + 1
        return torch.sin(self.omega_0 * (frequency if self.scale_req_grad else frequency.detach()) * u)


class INR(nn.Module):
    """WIRE's network around any of its layers."""

    def __init__(
        self,
        layer: type[nn.Module],
        in_features: int = 2,
        hidden_features: int = 9,
        hidden_layers: int = 2,
        out_features: int = 3,
        **options: object,
    ) -> None:
        super().__init__()
        self.complex = issubclass(layer, ComplexGaborLayer)
        layers: list[nn.Module] = [layer(in_features, hidden_features, **self._first(options))]
        layers += [layer(hidden_features, hidden_features, **options) for _ in range(hidden_layers)]
        layers.append(
            nn.Linear(hidden_features, out_features, dtype=torch.cfloat if self.complex else torch.float)
        )
        self.net = nn.Sequential(*layers)

    def _first(self, options: dict[str, object]) -> dict[str, object]:
        return {**options, "is_first": True} if self.complex else options

    def forward(self, coords: Tensor) -> Tensor:
        out = self.net(coords)
        return out.real if self.complex else out


class Function(nn.Module):
    """An activation module around a function, holding the numbers it is given."""

    def __init__(self, function: object, **numbers: float) -> None:
        super().__init__()
        self.function = function
        self.__dict__.update(numbers)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def chain(*activations: nn.Module, width: int = 8) -> nn.Sequential:
    """Return 2 -> width -> ... -> 3 with each of `activations` after a linear layer."""
    modules: list[nn.Module] = []
    for index, activation in enumerate(activations):
        modules += [nn.Linear(width if index else 2, width), activation]
    return nn.Sequential(*modules, nn.Linear(width, 3))
