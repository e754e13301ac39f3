"""Batch and cross normalisation: by the statistics of a batch in training, by stored ones in evaluation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastsnf.errors import InputError
from fastsnf.nn.linear import Device

EPS = 1e-5
"""What is added to a variance, in both kinds."""


class Normalization(nn.Module):
    """Features [..., F] -> [..., F] of zero mean and unit variance, then ``weight * . + bias``.

    In training mode the statistics are those of the call, over all its points; in evaluation mode those in
    the buffers. A call in training mode leaves its statistics there, and `gather` brings those of any set of
    points, so that values in evaluation mode depend on their own point alone.

    Buffers: `mean` [F], `var` [F] (unbiased) and `inverse_count` (0-d, one over the number of points); at
    first 0, 1 and 0.

    Args:
        features: F.
        device, dtype: of parameters and buffers.
    """

    mean: Tensor
    var: Tensor
    inverse_count: Tensor

    def __init__(self, features: int, *, device: Device = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        place = torch.get_default_device() if device is None else device
        self.weight = nn.Parameter(torch.ones(features, device=place, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(features, device=place, dtype=dtype))
        self.register_buffer("mean", torch.zeros(features, device=place, dtype=dtype))
        self.register_buffer("var", torch.ones(features, device=place, dtype=dtype))
        self.register_buffer("inverse_count", torch.zeros((), device=place, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised features, shaped as x [..., F].

        Raises:
            InputError: in training mode for fewer than two points, which have no variance.
        """
        points = x.reshape(-1, x.shape[-1])
        if self.training and len(points) < 2:
            raise InputError(
                "expected 2 points or more to normalise by in training mode; "
                f"got {len(points)}: call eval() to take the stored statistics, or choose another batch size"
            )
        return self.normalised(points).reshape(x.shape)

    @abstractmethod
    def normalised(self, x: Tensor) -> Tensor:
        """Return the normalised features for x [N, F]."""

    @torch.no_grad()
    def gather(self, chunks: Callable[[], Iterable[Tensor]]) -> None:
        """Store the statistics of inputs [n, F] that come chunk by chunk; sums are in float64."""
        count, mean, squares = 0, torch.zeros_like(self.mean, dtype=torch.float64), None
        for chunk in chunks():
            var, here = torch.var_mean(chunk.double(), dim=0, correction=0)
            n, before = len(chunk), count
            count += n
            shift = here - mean
            mean = mean + shift * (n / count)
            part = var * n + shift.square() * (before * n / count)
            squares = part if squares is None else squares + part
        if squares is None or count < 2:
            raise InputError(f"expected 2 points or more to normalise by; got {count}")
        self.mean.copy_(mean)
        self.var.copy_(squares / (count - 1))
        self.inverse_count.fill_(1.0 / count)

    def extra_repr(self) -> str:
        """Return the number of features for ``print(field)``."""
        return f"{len(self.weight)}"


class BatchNorm(Normalization):
    """``(x - mean) / sqrt(var + 1e-5)``, with the biased variance of the points (Ioffe and Szegedy 2015)."""

    def normalised(self, x: Tensor) -> Tensor:
        """Return the normalised features for x [N, F]."""
        if self.training:
            self.inverse_count.fill_(1.0 / len(x))
            return functional.batch_norm(
                x, self.mean, self.var, self.weight, self.bias, training=True, momentum=1.0, eps=EPS
            )
        var = self.var * (1.0 - self.inverse_count)
        return functional.batch_norm(x, self.mean, var, self.weight, self.bias, training=False, eps=EPS)


class CrossNorm(Normalization):
    """Cross normalisation of x [N, F]: by the sums of an entry's row and column.

    ``mu_nf = (sum_f x_nf + sum_n x_nf - x_nf) / (N + F)`` and ``(x - mu) / sqrt(var_n + var_f + 1e-5)`` with
    the unbiased variances of the column and of the row. In evaluation mode column sums, column variances and
    N are the stored ones, and a point stands for one of those N.

    Source: Cai et al., "Batch Normalization Alleviates the Spectral Bias in Coordinate Networks", CVPR 2024,
    as its released code has it, which differs from the mean over N + F - 1 entries.
    """

    def __init__(self, features: int, *, device: Device = None, dtype: torch.dtype | None = None) -> None:
        if features < 2:
            raise InputError(f"expected 2 features or more for cross normalisation; got {features}")
        super().__init__(features, device=device, dtype=dtype)

    def normalised(self, x: Tensor) -> Tensor:
        """Return the normalised features for x [N, F]."""
        mean, var, inverse = self.mean, self.var, self.inverse_count
        if self.training:
            var, mean = torch.var_mean(x, dim=0, correction=1)
            with torch.no_grad():
                self.mean.copy_(mean)
                self.var.copy_(var)
                inverse = self.inverse_count.fill_(1.0 / len(x)).clone()
        features = x.shape[1]
        rows = x.sum(dim=1, keepdim=True)
        mu = (mean + inverse * (rows - x)) / (1.0 + inverse * features)  # both divided by N
        across = (x - rows / features).square().sum(dim=1, keepdim=True) / (features - 1)
        return (x - mu) * torch.rsqrt(var + across + EPS) * self.weight + self.bias


NORMS: dict[str, type[Normalization]] = {"batch": BatchNorm, "cross": CrossNorm}
"""Every normalisation by the name that options and files use."""
