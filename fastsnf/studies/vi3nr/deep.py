"""Errors of variance through a deep net of square layers, forward and backward.

The controlled experiment of the paper's Sec. 3.7 as its released code runs it: the input is a pre-activation
z_0 ~ N(0, sigma_p^2), layer l is z_l = W_l f(z_(l-1)) without a bias, and a gradient of unit variance at the
last z goes back to z_0. For each input, the variance over the units is compared with what it should be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsnf.studies.study import Progress, silent
from fastsnf.studies.vi3nr.activations import with_derivative

VECTORS = 1024
"""Vectors in flight: their derivatives are kept for the way back, 400 MB in 100 layers of 1,000."""
NOTHING = 1e-30
"""Gradients below it count as 0: arithmetic on denormal numbers takes a hundred times longer."""


@dataclass(frozen=True)
class Net:
    """One kind of net: its activation by name, the deviation of z_0, and fan-in times sigma^2(W)."""

    activation: str
    sigma_p: float
    variance: float


def smape(values: Tensor, expected: float) -> Tensor:
    """Return |v - e| / (v + |e|), elementwise: SMAPE without the factor 2, in [0, 1].

    NaN, such as of infinite gradients, counts as 1, as in the released code.
    """
    errors = (values - expected).abs() / (values.abs() + abs(expected))
    return errors.nan_to_num(nan=1.0)


@torch.no_grad()
def variance_errors(
    nets: Sequence[Net],
    *,
    seed: int,
    width: int = 1000,
    layers: int = 100,
    batch: int = 64,
    distribution: str = "uniform",
    progress: Progress = silent,
) -> tuple[list[float], list[float]]:
    """Return E_f and E_b of each net in %, means over `batch` inputs.

    The nets share the draw of inputs, weights (up to their scale) and gradients, so that one pass serves all.

    Args:
        nets: kinds of nets. seed: of the draw.
        width, layers: M and L; L weights M x M are in memory.
        batch: inputs. distribution: ``uniform`` or ``normal`` weights.
        progress: told layers done, layers in all, and 0.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(batch, width, generator=generator)
    gradients = torch.randn(batch, width, generator=generator)
    weights = torch.empty(layers, width, width)
    if distribution == "uniform":
        weights.uniform_(-math.sqrt(3.0 / width), math.sqrt(3.0 / width), generator=generator)
    else:
        weights.normal_(std=1.0 / math.sqrt(width), generator=generator)
    rows = max(1, VECTORS // len(nets))
    chunks = list(zip(inputs.split(rows), gradients.split(rows), strict=True))
    forward, backward = [], []
    for number, (start, end) in enumerate(chunks):
        z, slopes = _forward(nets, start, weights)
        progress(2 * number + 1, 2 * len(chunks), 0.0)
        forward.append(_errors(z, [net.sigma_p**2 for net in nets]))
        d_z = _backward(nets, end, weights, slopes)
        progress(2 * number + 2, 2 * len(chunks), 0.0)
        backward.append(_errors(d_z, [1.0] * len(nets)))
    return _percent(forward), _percent(backward)


def _forward(nets: Sequence[Net], inputs: Tensor, weights: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return z_L [nets, batch, M], and f'(z_l) of every layer shaped alike."""
    z = torch.stack([net.sigma_p * inputs for net in nets])
    gains = _gains(nets)
    slopes = []
    for weight in weights:
        found = [with_derivative(net.activation, part) for net, part in zip(nets, z, strict=True)]
        slopes.append(torch.stack([slope for _, slope in found]))
        z = gains * (torch.stack([value for value, _ in found]) @ weight.T)
    return z, slopes


def _backward(nets: Sequence[Net], gradients: Tensor, weights: Tensor, slopes: list[Tensor]) -> Tensor:
    """Return the gradient at z_0 [nets, batch, M]; the slopes are used up."""
    d_z = gradients.expand(len(nets), *gradients.shape)
    gains = _gains(nets)
    for weight in reversed(weights.unbind()):
        d_z = gains * (d_z @ weight) * slopes.pop()
        d_z = torch.where(d_z.abs() < NOTHING, 0.0, d_z)
    return d_z


def _percent(errors: list[Tensor]) -> list[float]:
    """Return the means over inputs of chunks [nets, inputs], in %."""
    means: list[float] = (100.0 * torch.cat(errors, dim=1).mean(dim=1)).tolist()
    return means


def _gains(nets: Sequence[Net]) -> Tensor:
    return torch.tensor([math.sqrt(net.variance) for net in nets])[:, None, None]


def _errors(z: Tensor, expected: Sequence[float]) -> Tensor:
    """Return the error of each net and input [nets, batch]."""
    variances = z.var(dim=-1)
    return torch.stack([smape(row, value) for row, value in zip(variances, expected, strict=True)])
