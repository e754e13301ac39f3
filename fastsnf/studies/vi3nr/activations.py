"""The activations of the paper's Sec. 3.7: as specs for initializers, and in torch for deep nets."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsnf.spec import Activation, Gaussian, RealGabor, ReLU, Sigmoid, Sinc, Sine, Tanh

OMEGA, SIGMA_A = 30.0, 0.05

SPECS: dict[str, Activation] = {
    "tanh": Tanh(),
    "sigmoid": Sigmoid(),
    "relu": ReLU(),
    "sine": Sine(OMEGA),
    "gaussian": Gaussian.from_sigma(SIGMA_A),
    "sinc": Sinc(1.0),
    "wavelet": RealGabor(1.0, 1.0),
}
"""sin(30 u), exp(-u^2 / (2 0.05^2)), sin(u) / u and cos(u) exp(-u^2), besides the common three."""

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "sine": lambda u: torch.sin(OMEGA * u),
    "gaussian": lambda u: torch.exp(-(u**2) / (2.0 * SIGMA_A**2)),
    "sinc": lambda u: torch.sinc(u / torch.pi),
    "wavelet": lambda u: torch.cos(u) * torch.exp(-(u**2)),
}
"""The same, elementwise, as the released code writes them."""


def with_derivative(name: str, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return f(u) and f'(u), both shaped as `u`."""
    with torch.enable_grad():
        u = u.detach().requires_grad_()
        value = FUNCTIONS[name](u)
        (slope,) = torch.autograd.grad(value.sum(), u)
    return value.detach(), slope
