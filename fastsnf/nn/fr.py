"""`FourierReparameterized`: hidden weights as learned combinations of fixed Fourier bases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from fastsnf.encodings import Encoding
from fastsnf.nn.arguments import activations_of, check_real, positive
from fastsnf.nn.encoder import encoder_of
from fastsnf.nn.fourier_linear import FourierBasis, FourierLinear
from fastsnf.nn.init.draw import draw_default_linear, uniform
from fastsnf.nn.layered import LayeredField
from fastsnf.nn.linear import Device, check_sizes, empty_linear, real_dtype
from fastsnf.spec import Activation, FieldSpec, Finer, ReLU, Sine


class FourierReparameterized(LayeredField):
    """A multilayer perceptron whose hidden weights are ``W = Lambda B``: Lambda is trained, B fixed.

    B's rows are waves over the layer's inputs (`FourierBasis`). The first and the last layer are plain. The
    weights are formed once a call, or a training step, and then run as one fused op like those of any layered
    field; gradients reach Lambda as ``d_Lambda = d_W B^T``.

    Args:
        in_features: coordinate dimensions D.
        out_features: output channels C.
        hidden_features: width F.
        hidden_layers: hidden layers L after the first, the ones that are reparameterized.
        activation: a name or a spec, real.
        first_activation: another for the first layer, a name or a spec.
        first_omega, hidden_omega, scale: parameters of a name's activation, as in `SNF`.
        low, high, phases: the bases: frequencies 1/low ... 1 and 1 ... high, each with so many phases.
        factor: their height (the paper's alpha); None for the authors' 0.05 with ReLU and 0.01 otherwise.
        encoding: what the coordinates become before the first layer.
        bias: whether the layers have biases.
        generator: the source of the initial parameters; None for torch's global one.
        device, dtype: of the parameters; float32 or float64.

    Initial parameters: column i of Lambda from U(+-sqrt(6 / M) / |B_i|), divided by omega too for sine and
    FINER, so that the bound does not depend on `factor`, whose part in the weights is the learning rate;
    biases of these layers 0. The last layer's weights from U(+-sqrt(6 / F)), over omega likewise; the first's
    from U(+-1 / fan_in) for sine and FINER; all else PyTorch's default.

    Checkpoints hold Lambda and the numbers that B is made of.

    Raises:
        InputError: for sizes, names or combinations that do not exist.

    Source: Shi et al., "Improved Implicit Neural Representation with Fourier Reparameterized Training", CVPR
    2024, Eq. 5 to 8, and its code (modules.py).
    """

    name = "fr"
    linear_classes: ClassVar[tuple[type[nn.Module], ...]] = (nn.Linear, FourierLinear)

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
        low: int = 128,
        high: int = 128,
        phases: int = 32,
        factor: float | None = None,
        encoding: Encoding | None = None,
        bias: bool = True,
        generator: torch.Generator | None = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        sizes = {"in_features": in_features, "out_features": out_features, "hidden_features": hidden_features}
        bases = {"low": low, "high": high, "phases": phases}
        check_sizes(**sizes, phases=phases, high=high, low=low, hidden_layers=hidden_layers)
        hidden, first = activations_of(
            activation, first_activation, first_omega=first_omega, hidden_omega=hidden_omega, scale=scale
        )
        check_real("a Fourier reparameterized field", hidden, first)
        if factor is None:
            factor = 0.05 if isinstance(hidden, ReLU) else 0.01
        factor = positive("factor", factor)
        place: dict[str, Any] = {"device": device, "dtype": real_dtype(dtype)}
        encoder, encoded = encoder_of(encoding, in_features, generator=generator, **place)
        linears: list[nn.Module] = [empty_linear(encoded, hidden_features, bias=bias, **place)]
        if hidden_layers:
            basis = FourierBasis(hidden_features, low, high, phases, factor, **place)
            for _ in range(hidden_layers):
                linears.append(FourierLinear(basis, hidden_features, bias=bias, **place))
        linears.append(empty_linear(hidden_features, out_features, bias=bias, **place))
        spec = FieldSpec.mlp(hidden, hidden_layers, first=first)
        super().__init__(spec, cast(Sequence[nn.Linear], linears), encoding=encoder)
        self._hidden = hidden
        self._config: dict[str, Any] = {
            **sizes,
            "hidden_layers": hidden_layers,
            "activation": hidden.to_dict(),
            "first_activation": first.to_dict(),
            **bases,
            "factor": factor,
            "encoding": None if encoding is None else encoding.to_dict(),
            "bias": bias,
        }
        self._draw(generator)

    @property
    def hidden_activation(self) -> Activation:
        """The activation of the hidden layers, whether there are any or not."""
        return self._hidden

    def layer_parameters(self) -> tuple[list[Tensor], list[Tensor | None]]:
        """Return the parameters that weights are made of, Lambda for a hidden layer's, and the biases."""
        linears = self.linears()
        weights = [one.coefficients if isinstance(one, FourierLinear) else one.weight for one in linears]
        return weights, [linear.bias for linear in linears]

    def parameter_gradients(self, d_weights: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients of `layer_parameters` from those of the weights: ``d_Lambda = d_W B^T``."""
        return [
            d_weight @ one.basis.rows.mT if isinstance(one, FourierLinear) else d_weight
            for one, d_weight in zip(self.linears(), d_weights, strict=True)
        ]

    def parameter_inputs(self, layer: int, inputs: Tensor) -> Tensor:
        """Return a layer's inputs [..., fan_in] as its parameter sees them, up to their inner products.

        Lambda multiplies ``B a``. In its place stands ``R a`` with ``R R = B^T B``, which has the same inner
        products and F numbers instead of M: all that an NTK takes.
        """
        one = self.linears()[layer]
        return inputs @ one.basis.root() if isinstance(one, FourierLinear) else inputs

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, JSON-able; `from_config` reads them back."""
        return {**self._config, "dtype": self._dtype_name()}

    def summary(self) -> str:
        """Return the activations, the number of linear layers, their width and the bases."""
        rows = (self._config["low"] + self._config["high"]) * self._config["phases"]
        return f"{super().summary()}; hidden weights of {rows:,} Fourier bases"

    @torch.no_grad()
    def _draw(self, generator: torch.Generator | None) -> None:
        """Write the initial parameters."""
        acts = [*self.spec.activations[:-1], self._hidden]
        last = len(acts) - 1
        for index, (one, act) in enumerate(zip(self.linears(), acts, strict=True)):
            omega = act.omega if isinstance(act, Sine | Finer) else None
            if isinstance(one, FourierLinear):
                one.draw_(omega or 1.0, generator)
                continue
            fan_in = one.in_features
            draw_default_linear(one, generator)
            if index == last:
                uniform(math.sqrt(6.0 / fan_in) / (omega or 1.0))(one.weight, generator)
            elif omega is not None:
                uniform(1.0 / fan_in)(one.weight, generator)
