"""The other side: the same field with the same weights in eager PyTorch, as people write it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fastsnf.spec import (
    Activation,
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
)


def activate(act: Activation, u: Tensor) -> Tensor:
    """Return the activation of the pre-activation `u` (any shape), in the words of the published codes.

    Raises:
        NotImplementedError: for an activation that is none of `fastsnf.spec`.
    """
    match act:
        case Sine(omega):
            return torch.sin(omega * u)
        case Gaussian(scale):
            return torch.exp(-((scale * u) ** 2))
        case Sinc(omega, amplitude):
            h = torch.sinc(omega / math.pi * u)  # torch's sinc has pi inside
            return h if amplitude == 1.0 else amplitude * h
        case Gabor(omega, scale):
            return torch.exp(1j * omega * u - (scale * u).abs().square())
        case RealGabor(omega, scale):
            return torch.cos(omega * u) * torch.exp(-((scale * u) ** 2))
        case Finer(omega):
            with torch.no_grad():  # as FINER's code has it: the factor is a constant to autograd
                factor = torch.abs(u) + 1
            return torch.sin(omega * factor * u)
        case ReLU():
            return torch.relu(u)
        case Tanh():
            return torch.tanh(u)
        case Sigmoid():
            return torch.sigmoid(u)
        case Identity():
            return u
    raise NotImplementedError(f"expected an activation of fastsnf.spec; got {act}")


class EagerField(nn.Module):
    """A stack of `nn.Linear` and activations: x `[N, D]` to `[N, C]`, with copies of the weights given."""

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor | None], spec: FieldSpec) -> None:
        super().__init__()
        self.linears = nn.ModuleList(map(linear_of, weights, biases))
        self.spec = spec

    def forward(self, x: Tensor) -> Tensor:
        """Return the field's values at `x`."""
        h = x
        for linear, act in zip(self.linears, self.spec.activations, strict=True):
            h = activate(act, linear(h))
        return h.real if self.spec.is_complex else h


def linear_of(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """Return an `nn.Linear` with copies of `weight` `[fan_out, fan_in]` and `bias` `[fan_out]`."""
    fan_out, fan_in = weight.shape
    linear = nn.Linear(fan_in, fan_out, bias=bias is not None, dtype=weight.dtype)
    with torch.no_grad():
        linear.weight.copy_(weight)
        if bias is not None:
            linear.bias.copy_(bias)
    return linear
