"""`FourierLinear`: a linear layer whose weight is a learned combination of fixed waves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastsnf.nn.init.draw import uniform
from fastsnf.nn.linear import Device


class FourierBasis(nn.Module):
    """The fixed matrix B [M, F]: rows ``factor cos(f t + phi)`` over F points t, for M = (low + high) phases.

    Frequencies f are 1/low, 2/low, ..., 1 and 1, 2, ..., high; phases phi are 2 pi p / phases for p from 0;
    t runs from -pi low to pi low, both ends included: a period of the lowest frequency.

    Args:
        features: F.
        low, high, phases: how many of each, 1 or more.
        factor: the height of the waves.
        device, dtype: of `rows`.

    `rows` is no part of the state: it is computed in float64 from these numbers and rounded, again whenever
    the module changes its dtype or device.
    """

    rows: Tensor

    def __init__(
        self,
        features: int,
        low: int,
        high: int,
        phases: int,
        factor: float,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.numbers = (features, low, high, phases, factor)
        place = torch.device(torch.get_default_device() if device is None else device)
        size = ((low + high) * phases, features)
        self.register_buffer("rows", torch.empty(size, device=place, dtype=dtype), persistent=False)
        self._root: Tensor | None = None
        self._fill()

    def exact(self) -> Tensor:
        """Return B [M, F] in float64, on the CPU."""
        features, low, high, phases, factor = self.numbers
        whole: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}
        t = torch.linspace(-math.pi * low, math.pi * low, features, **whole)
        f = torch.cat([torch.arange(1, low + 1, **whole) / low, torch.arange(1, high + 1, **whole)])
        phi = torch.arange(phases, **whole) * (2.0 * math.pi / phases)
        return factor * (f[:, None, None] * t + phi[:, None]).cos_().flatten(0, 1)

    def root(self) -> Tensor:
        """Return the symmetric R [F, F] with ``R R = B^T B``: products of ``B a`` are those of ``R a``."""
        if self._root is None:
            rows = self.rows.double()
            values, vectors = torch.linalg.eigh(rows.mT @ rows)
            root = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.mT
            self._root = root.to(self.rows)
        return self._root

    def extra_repr(self) -> str:
        """Return the sizes for ``print(field)``."""
        features, low, high, phases, factor = self.numbers
        return f"{features}, low={low}, high={high}, phases={phases}, factor={factor:g}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        before = self.rows
        super()._apply(fn, recurse)
        if (self.rows.dtype, self.rows.device) != (before.dtype, before.device):
            self._root = None
            self._fill()
        return self

    def _fill(self) -> None:
        if not self.rows.is_meta:
            self.rows.copy_(self.exact())


class FourierLinear(nn.Module):
    """A linear layer [..., F] -> [..., fan_out] of weight ``W = Lambda B``.

    Args:
        basis: B [M, F]; shared, not copied.
        fan_out: outputs.
        bias: whether it has a bias, which starts at 0.
        device, dtype: of the parameters.

    Attributes:
        coefficients: Lambda [fan_out, M], trained.
        bias: [fan_out], or None.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        basis: FourierBasis,
        fan_out: int,
        *,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        place: dict[str, Any] = {
            "device": torch.get_default_device() if device is None else device,
            "dtype": dtype,
        }
        self.basis = basis
        rows, self.in_features = basis.rows.shape
        self.out_features = fan_out
        self.coefficients = nn.Parameter(torch.empty(fan_out, rows, **place))
        self.register_parameter("bias", nn.Parameter(torch.zeros(fan_out, **place)) if bias else None)

    @property
    def weight(self) -> Tensor:
        """W [fan_out, F], computed at each use."""
        return self.coefficients @ self.basis.rows

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x W^T + b`` [..., fan_out] for x [..., F]."""
        return functional.linear(x, self.weight, self.bias)

    @torch.no_grad()
    def draw_(self, omega: float, generator: torch.Generator | None) -> None:
        """Draw each column i of Lambda from U(+-sqrt(6 / M) / (|B_i| omega)), and set the bias to 0.

        A basis that vanishes at all points (a few widths have such) gets coefficients of 0.
        """
        if self.coefficients.is_meta:
            return
        uniform(1.0)(self.coefficients, generator)
        norms = self.basis.exact().norm(dim=1)
        bounds = math.sqrt(6.0 / len(norms)) / (norms * omega)
        bounds[norms <= 1e-9 * norms.max()] = 0.0
        self.coefficients.mul_(bounds.to(self.coefficients))
        if self.bias is not None:
            self.bias.zero_()

    def extra_repr(self) -> str:
        """Return the sizes for ``print(field)``."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
