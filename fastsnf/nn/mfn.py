"""`MFN`: multiplicative filter networks, with Fourier or Gabor filters."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from fastsnf import ops
from fastsnf.errors import unknown
from fastsnf.nn.arguments import positive
from fastsnf.nn.field import Field
from fastsnf.nn.init.draw import draw_default_linear, uniform
from fastsnf.nn.layer import Layer
from fastsnf.nn.linear import Device, check_sizes, empty_linear, real_dtype
from fastsnf.spec import FieldSpec, Sine

FILTERS = ("fourier", "gabor")
"""What `MFN` takes as `filters`."""

_SINE = Sine(1.0)


class GaborFilter(Layer):
    """``sin(W x + b) exp(-gamma/2 |x - mu|^2)`` for x [..., D]: [..., F].

    Args:
        linear: W [F, D] and b [F]; shared, not copied.

    `mu` [F, D] and `gamma` [F] are trained, `gamma` without a constraint. The squared distance is summed from
    differences, so that rounding never makes it negative, as the expanded form of the original's code can.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear, _SINE)
        self.mu = nn.Parameter(torch.empty_like(linear.weight))
        self.gamma = nn.Parameter(torch.empty_like(linear.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Return the filter's values [..., F]."""
        distance = sum((x[..., d, None] - self.mu[:, d]).square() for d in range(x.shape[-1]))
        return super().forward(x) * torch.exp(-0.5 * self.gamma * distance)


class MFN(Field):
    """A multiplicative filter network: ``z = g_0(x)``, ``z = g_i(x) * (W_i z + b_i)``, a linear last layer.

    A filter g_i is ``sin(W x + b)`` (``fourier``), or that times ``exp(-gamma/2 |x - mu|^2)`` (``gabor``).
    The filters run as fused layers; products and hidden linear layers are plain operations.

    Args:
        in_features: coordinate dimensions D.
        out_features: output channels C.
        hidden_features: width F.
        hidden_layers: linear layers W_i between filters, of which there is one more.
        filters: ``fourier`` or ``gabor``.
        input_scale: the filters' weights are PyTorch's default times input_scale / sqrt(hidden_layers + 1),
            those of a Gabor filter times sqrt(gamma) of their row too: radians per unit of x.
        weight_scale: W_i is drawn from U(+-sqrt(weight_scale / F)).
        alpha, beta: of the Gabor filters: gamma is drawn from Gamma(alpha / (hidden_layers + 1), rate beta),
            mu from U[-1, 1].
        bias: whether the W_i have biases; filters and the last layer always have.
        generator: the source of the initial parameters; None for torch's global one, which gives the numbers
            of the original's code.
        device, dtype: of the parameters; float32 or float64.

    The filters' biases are drawn from U[-pi, pi], the others from PyTorch's default. Parameters have the
    names of the original's: ``filters.{i}.linear``, ``filters.{i}.mu``, ``filters.{i}.gamma``,
    ``linear.{i}``, ``output_linear``.

    Raises:
        InputError: for sizes, names or numbers that do not exist.

    Source: Fathony et al., "Multiplicative Filter Networks", ICLR 2021, Eq. 5, 8 and 12, and its code.
    """

    name = "mfn"

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_features: int = 256,
        hidden_layers: int = 3,
        *,
        filters: str = "fourier",
        input_scale: float = 256.0,
        weight_scale: float = 1.0,
        alpha: float = 6.0,
        beta: float = 1.0,
        bias: bool = True,
        generator: torch.Generator | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        sizes = {"in_features": in_features, "out_features": out_features, "hidden_features": hidden_features}
        check_sizes(**sizes, hidden_layers=hidden_layers)
        if filters not in FILTERS:
            raise unknown("filters", filters, FILTERS)
        scales = {"input_scale": input_scale, "weight_scale": weight_scale, "alpha": alpha, "beta": beta}
        scales = {name: positive(name, scale) for name, scale in scales.items()}
        super().__init__(**sizes)
        place: dict[str, Any] = {"device": device, "dtype": real_dtype(dtype)}
        F, L = hidden_features, hidden_layers
        self.linear = nn.ModuleList(empty_linear(F, F, bias=bias, **place) for _ in range(L))
        self.output_linear = empty_linear(F, out_features, **place)
        self.filters = nn.ModuleList(
            Layer(linear, _SINE) if filters == "fourier" else GaborFilter(linear)
            for linear in [empty_linear(in_features, F, **place) for _ in range(L + 1)]
        )
        self._config: dict[str, Any] = {
            **sizes,
            "hidden_layers": L,
            "filters": filters,
            **scales,
            "bias": bias,
        }
        self._draw(generator)

    def evaluate(self, x: Tensor) -> Tensor:
        """Return the values [..., C] at `x` [..., D]."""
        first, *rest = self.filters
        z: Tensor = first(x)
        for g, linear in zip(rest, self.linear, strict=True):
            z = g(x) * linear(z)
        out: Tensor = self.output_linear(z)
        return out

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return self.output_linear.weight.dtype

    def choose_engine(self, x: Tensor, precision: str = ops.AUTO) -> ops.Choice:
        """Return the engine of the filters and its precision; raises as `Field.choose_engine`."""
        weight = self.filters[0].linear.weight  # type: ignore[union-attr]  # torch types children as modules
        assert isinstance(weight, Tensor)
        return ops.choose(ops.AUTO, x, [weight], FieldSpec((_SINE,)), precision)

    def summary(self) -> str:
        """Return the kind of filters, how many there are and their width."""
        kind, count = self._config["filters"], len(self.filters)
        return f"multiplicative filters, {count} {kind}; width {self.hidden_features}"

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, JSON-able; `from_config` reads them back."""
        return {**self._config, "dtype": self._dtype_name()}

    @torch.no_grad()
    def _draw(self, generator: torch.Generator | None) -> None:
        """Write the initial parameters, in the order of the original's code."""
        hidden = [layer for layer in self.linear if isinstance(layer, nn.Linear)]
        for linear in (*hidden, self.output_linear):
            draw_default_linear(linear, generator)
        for linear in hidden:
            uniform(math.sqrt(self._config["weight_scale"] / self.hidden_features))(linear.weight, generator)
        count = len(self.filters)
        for g in self.filters:
            assert isinstance(g, Layer)
            draw_default_linear(g.linear, generator)
            if isinstance(g, GaborFilter):
                uniform(1.0)(g.mu, generator)
                _draw_gamma(g.gamma, self._config["alpha"] / count, self._config["beta"], generator)
                g.linear.weight.mul_(g.gamma.sqrt()[:, None])
            g.linear.weight.mul_(self._config["input_scale"] / math.sqrt(count))
            uniform(math.pi)(g.linear.bias, generator)


def _draw_gamma(tensor: Tensor, alpha: float, beta: float, generator: torch.Generator | None) -> None:
    """Write samples of Gamma(alpha, rate beta), at least the smallest normal number."""
    if tensor.is_meta:
        return
    home = tensor.device if generator is None else generator.device
    shape = torch.full(tensor.shape, alpha, dtype=tensor.dtype, device=home)
    sample = torch._standard_gamma(shape, generator=generator) / beta
    tensor.copy_(sample.clamp_min(torch.finfo(tensor.dtype).tiny))
