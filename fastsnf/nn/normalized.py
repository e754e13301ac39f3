"""`NormalizedField`: a normalisation over the points in every hidden layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from fastsnf import ops
from fastsnf.encodings import Encoding
from fastsnf.errors import unknown
from fastsnf.nn.arguments import activations_of, check_real
from fastsnf.nn.encoder import encoder_of
from fastsnf.nn.field import Field
from fastsnf.nn.init.draw import draw_default_linear, uniform
from fastsnf.nn.init.weight_scaling import siren_bound
from fastsnf.nn.linear import Device, check_sizes, empty_linear, real_dtype
from fastsnf.nn.normalization import NORMS, Normalization
from fastsnf.spec import Activation, Finer, Sine

ORDERS = ("before", "after")
"""Whether the normalisation comes before or after the activation."""


class NormalizedLayer(nn.Module):
    """``f(norm(omega (W x + b)))``, or with `order` ``after`` ``norm(activation(W x + b))``: [..., fan_out].

    Before the activation the pre-activation is multiplied by its omega (a Gaussian's scale) first, and f is
    the activation with an omega of 1: SIREN's ``sin(norm(omega (W x + b)))``.

    Args:
        linear: W and b; shared, not copied.
        norm: the normalisation.
        activation: the activation as it would be without.
        order: one of `ORDERS`.
    """

    def __init__(self, linear: nn.Linear, norm: Normalization, activation: Activation, order: str) -> None:
        super().__init__()
        self.linear = linear
        self.norm = norm
        self.activation = activation
        self.order = order
        self._factor, self._unit = _unit(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations [..., fan_out] for x [..., fan_in]."""
        if self.order == "after":
            return cast(Tensor, self.norm(self.unnormalised(x)))
        return ops.activate(self.norm(self.unnormalised(x)), activation=self._unit)

    def unnormalised(self, x: Tensor) -> Tensor:
        """Return what is normalised, [..., fan_out]."""
        u: Tensor = self.linear(x)
        if self.order == "after":
            return ops.activate(u, activation=self.activation)
        return u if self._factor == 1.0 else self._factor * u

    def extra_repr(self) -> str:
        """Return the activation and the order for ``print(field)``."""
        return f"activation={self.activation}, order={self.order!r}"


class NormalizedField(Field):
    """A multilayer perceptron whose hidden layers are normalised over the points, by batch or cross norms.

    In training mode the statistics are those of the points of the call; in evaluation mode (``eval()``) those
    that are stored, and a value depends on its own point alone: any chunks of points give the same values.
    `fastsnf.fit` trains in training mode; before every evaluation and checkpoint it stores the statistics of
    all training points at the current weights (`settle`), and it leaves the field in evaluation mode. With
    full batches, as the paper trains, these are the statistics of the training batch.

    Args:
        in_features: coordinate dimensions D.
        out_features: output channels C.
        hidden_features: width F.
        hidden_layers: hidden layers L after the first: L + 1 normalised layers and a linear last one.
        activation: a name or a spec, real.
        first_activation: another for the first layer, a name or a spec.
        first_omega, hidden_omega, scale: parameters of a name's activation, as in `SNF`.
        norm: ``batch`` or ``cross``.
        order: ``before`` or ``after``: where the normalisation is, seen from the activation. The paper's is
            before; the IGA paper's ReLU net has it after.
        encoding: what the coordinates become before the first layer.
        bias: whether the linear layers have biases.
        generator: the source of the initial parameters; None for torch's global one.
        device, dtype: of the parameters; float32 or float64.

    Linear layers start as SIREN's for sine and FINER, as PyTorch's default for the others; the norms with
    weight 1 and bias 0.

    Raises:
        InputError: for sizes, names or combinations that do not exist; in training mode for a single point.

    Source: Cai et al., "Batch Normalization Alleviates the Spectral Bias in Coordinate Networks", CVPR 2024.
    """

    name = "normalized"
    least_batch = 2

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_features: int = 256,
        hidden_layers: int = 3,
        *,
        activation: Activation | str = "relu",
        first_activation: Activation | str | None = None,
        first_omega: float | None = None,
        hidden_omega: float | None = None,
        scale: float | None = None,
        norm: str = "batch",
        order: str = "before",
        encoding: Encoding | None = None,
        bias: bool = True,
        generator: torch.Generator | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        sizes = {"in_features": in_features, "out_features": out_features, "hidden_features": hidden_features}
        check_sizes(**sizes, hidden_layers=hidden_layers)
        hidden, first = activations_of(
            activation, first_activation, first_omega=first_omega, hidden_omega=hidden_omega, scale=scale
        )
        check_real("a normalised field", hidden, first)
        if norm not in NORMS:
            raise unknown("norm", norm, NORMS)
        if order not in ORDERS:
            raise unknown("order", order, ORDERS)
        super().__init__(**sizes)
        place: dict[str, Any] = {"device": device, "dtype": real_dtype(dtype)}
        self.encoding, encoded = encoder_of(encoding, in_features, generator=generator, **place)
        modules: list[nn.Module] = []
        for index in range(hidden_layers + 1):
            linear = empty_linear(hidden_features if index else encoded, hidden_features, bias=bias, **place)
            normalization = NORMS[norm](hidden_features, **place)
            modules.append(NormalizedLayer(linear, normalization, hidden if index else first, order))
        modules.append(empty_linear(hidden_features, out_features, bias=bias, **place))
        self.net = nn.Sequential(*modules)
        self._config: dict[str, Any] = {
            **sizes,
            "hidden_layers": hidden_layers,
            "activation": hidden.to_dict(),
            "first_activation": first.to_dict(),
            "norm": norm,
            "order": order,
            "encoding": None if encoding is None else encoding.to_dict(),
            "bias": bias,
        }
        self.activation = hidden
        self._draw(generator)

    def evaluate(self, x: Tensor) -> Tensor:
        """Return the values [..., C] at `x` [..., D]."""
        return cast(Tensor, self.net(self.encode(x)))

    def encode(self, x: Tensor) -> Tensor:
        """Return what the first layer sees [..., fan_in] of coordinates `x` [..., D]."""
        return x if self.encoding is None else cast(Tensor, self.encoding(x))

    @torch.no_grad()
    def settle(self, points: Callable[[], Iterable[Tensor]]) -> None:
        """Store the statistics of `points` at the current weights, which evaluation mode normalises by.

        Args:
            points: called for an iterable of coordinates [n, D], the same at each call; once for each
                normalised layer, as each needs the statistics of those before it.

        Raises:
            InputError: for fewer than two points.
        """
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            layers = self._layers()
            for index, layer in enumerate(layers):

                def inputs(before: int = index, layer: NormalizedLayer = layer) -> Iterator[Tensor]:
                    for x in points():
                        h = self.encode(x)
                        for earlier in layers[:before]:
                            h = earlier(h)
                        yield layer.unnormalised(h)

                layer.norm.gather(inputs)
        finally:
            for module, mode in modes:
                module.training = mode

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return self._layers()[0].linear.weight.dtype

    def summary(self) -> str:
        """Return the normalisation and its place, the activations, the number of layers and their width."""
        first, hidden = self._layers()[0].activation, self.activation
        activations = str(first) if first == hidden else f"{first}, then {hidden}"
        encoded = "" if self.encoding is None else f"{self.encoding.spec}, "
        return (
            f"{encoded}{self._config['norm']} normalisation {self._config['order']} {activations}; "
            f"{len(self.net)} linear layers, width {self.hidden_features}"
        )

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, JSON-able; `from_config` reads them back."""
        return {**self._config, "dtype": self._dtype_name()}

    def linears(self) -> list[nn.Linear]:
        """Return the linear layers, first to last."""
        return [*(layer.linear for layer in self._layers()), cast(nn.Linear, self.net[-1])]

    def _layers(self) -> list[NormalizedLayer]:
        return [layer for layer in self.net if isinstance(layer, NormalizedLayer)]

    @torch.no_grad()
    def _draw(self, generator: torch.Generator | None) -> None:
        """Write the initial weights and biases of the linear layers."""
        acts = [*(layer.activation for layer in self._layers()), self.activation]
        for index, (linear, act) in enumerate(zip(self.linears(), acts, strict=True)):
            draw_default_linear(linear, generator)
            if isinstance(act, Sine | Finer):
                uniform(siren_bound(index, linear.in_features, act.omega))(linear.weight, generator)


def _unit(activation: Activation) -> tuple[float, Activation]:
    """Return what a pre-activation is multiplied by before it is normalised, and what follows then.

    The factor is omega, without one the scale; what follows has both divided by it.
    """
    numbers = {name: getattr(activation, name) for name in ("omega", "scale") if hasattr(activation, name)}
    factor: float = next(iter(numbers.values()), 1.0)
    divided = {name: number / factor for name, number in numbers.items()}
    return factor, replace(activation, **divided) if divided else activation
