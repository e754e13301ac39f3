"""`Wire2d`: WIRE with a Gaussian window in two directions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.nn.arguments import positive
from fastsnf.nn.field import Field
from fastsnf.nn.init.draw import draw_default_linear
from fastsnf.nn.layer import Layer, is_plain
from fastsnf.nn.linear import COMPLEX, Device, check_sizes, empty_linear, real_dtype
from fastsnf.spec import FieldSpec, Gabor, Gaussian


class WindowedLayer(Layer):
    """``exp(i omega u - scale^2 (|u|^2 + |v|^2))`` for ``u = W x + b`` and ``v = V x + c``: [..., fan_out].

    Args:
        linear: W and b; shared, not copied.
        scale_orth: V and c, of the same shapes and dtype.
        activation: omega and scale.

    The window of v is a fused Gaussian layer: a complex one of the real view of x and V. The wave of u is a
    `Gabor` layer.
    """

    scale_orth: nn.Linear

    def __init__(self, linear: nn.Linear, scale_orth: nn.Linear, activation: Gabor) -> None:
        super().__init__(linear, activation)
        self.scale_orth = scale_orth
        self._window = Gaussian(activation.scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return the complex activations [..., fan_out]."""
        return super().forward(x) * self._windows(x)

    def _windows(self, x: Tensor) -> Tensor:
        """Return ``exp(-scale^2 |v|^2)``, real."""
        linear = self.scale_orth
        if not is_plain(linear, nn.Linear):
            v = linear(x)
            parts = torch.view_as_real(v) if v.is_complex() else v.unsqueeze(-1)
            return ops.activate(parts, activation=self._window).prod(dim=-1)
        if not linear.weight.is_complex():
            return ops.linear_act(x, linear.weight, linear.bias, activation=self._window)
        weight, bias = _real_view(linear.weight, linear.bias)
        parts = ops.linear_act(
            torch.view_as_real(x).flatten(start_dim=-2), weight, bias, activation=self._window
        )
        real, imag = parts.unflatten(-1, (-1, 2)).unbind(dim=-1)
        return real * imag


class Wire2d(Field):
    """WIRE's two-dimensional form: every layer ``exp(i omega u) exp(-scale^2 (|u|^2 + |v|^2))``.

    u and v are two linear functions of the layer's input. The first layer's weights are real, those after it
    complex, and the field returns the real part of its last, linear layer.

    Args:
        in_features: coordinate dimensions D.
        out_features: output channels C.
        hidden_features: F as the original counts it: the layers have F // 2 complex features, and with them
            about the parameters of a real field of width F.
        hidden_layers: hidden layers L after the first.
        first_omega, hidden_omega: omega of the first layer and of those after it.
        scale: of the Gaussian window, in all layers.
        bias: whether the layers have biases.
        generator: the source of the initial parameters; None for torch's global one, which gives the numbers
            of the original's code.
        device, dtype: of the real parameters; float32 or float64.

    Weights and biases start in PyTorch's default, real and imaginary parts each. Parameters are named as the
    original's: ``net.{i}.linear``, ``net.{i}.scale_orth``, ``net.{n}``.

    Raises:
        InputError: for sizes or numbers that do not exist.

    Source: Saragadam et al., "WIRE: Wavelet Implicit Neural Representations", CVPR 2023, supplement, and its
    code (modules/wire2d.py).
    """

    name = "wire2d"

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_features: int = 256,
        hidden_layers: int = 3,
        *,
        first_omega: float = 20.0,
        hidden_omega: float = 20.0,
        scale: float = 10.0,
        bias: bool = True,
        generator: torch.Generator | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        sizes = {"in_features": in_features, "out_features": out_features, "hidden_features": hidden_features}
        check_sizes(**sizes, hidden_layers=hidden_layers)
        if hidden_features < 2:
            raise InputError(
                f"expected hidden_features of 2 or more, as the layers have half as many complex features; "
                f"got {hidden_features}"
            )
        numbers = {"first_omega": first_omega, "hidden_omega": hidden_omega, "scale": scale}
        numbers = {name: positive(name, number) for name, number in numbers.items()}
        super().__init__(**sizes)
        real, width = real_dtype(dtype), hidden_features // 2
        place: dict[str, Any] = {"bias": bias, "device": device}
        acts = [Gabor(first_omega, scale), *[Gabor(hidden_omega, scale)] * hidden_layers]
        modules: list[nn.Module] = []
        for index, act in enumerate(acts):
            fan_in, dtype = (width, COMPLEX[real]) if index else (in_features, real)
            pair = [empty_linear(fan_in, width, dtype=dtype, **place) for _ in range(2)]
            modules.append(WindowedLayer(pair[0], pair[1], act))
        modules.append(empty_linear(width, out_features, dtype=COMPLEX[real], **place))
        self.net = nn.Sequential(*modules)
        self._config: dict[str, Any] = {
            **sizes,
            "hidden_layers": hidden_layers,
            **numbers,
            "bias": bias,
        }
        self._draw(generator)

    def evaluate(self, x: Tensor) -> Tensor:
        """Return the values [..., C] at `x` [..., D]."""
        if x.dtype != self.dtype:
            raise InputError(
                f"expected x of the weights' dtype {self.dtype}; got {x.dtype}: convert it with "
                f"x.to({self.dtype})"
            )
        out: Tensor = self.net(x)
        return out.real

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the real parameters."""
        return self._first.linear.weight.dtype

    @property
    def _first(self) -> WindowedLayer:
        layer = self.net[0]
        assert isinstance(layer, WindowedLayer)
        return layer

    def choose_engine(self, x: Tensor, precision: str = ops.AUTO) -> ops.Choice:
        """Return the engine of the windows and its precision; raises as `Field.choose_engine`."""
        spec = FieldSpec((Gaussian(self._config["scale"]),))
        return ops.choose(ops.AUTO, x, [self._first.scale_orth.weight], spec, precision)

    def summary(self) -> str:
        """Return omegas and scale, the number of layers and their width."""
        first, hidden, scale = (self._config[name] for name in ("first_omega", "hidden_omega", "scale"))
        omegas = f"{first:g}" if first == hidden else f"{first:g}, then {hidden:g}"
        return (
            f"two-dimensional Gabor wavelets, omega {omegas}, scale {scale:g}; {len(self.net)} layers of "
            f"{self.hidden_features // 2} complex features"
        )

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, JSON-able; `from_config` reads them back."""
        return {**self._config, "dtype": self._dtype_name()}

    @torch.no_grad()
    def _draw(self, generator: torch.Generator | None) -> None:
        """Write PyTorch's default, in the order of the original's code."""
        for linear in (module for module in self.modules() if isinstance(module, nn.Linear)):
            draw_default_linear(linear, generator)


def _real_view(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return the real layer [2 fan_out, 2 fan_in] that does to (Re, Im) pairs what a complex one does."""
    re, im = torch.view_as_real(weight).unbind(dim=-1)
    rows = torch.stack([torch.stack([re, -im], dim=-1), torch.stack([im, re], dim=-1)], dim=1)
    real = rows.reshape(2 * weight.shape[0], 2 * weight.shape[1])
    return real, None if bias is None else torch.view_as_real(bias).flatten()
