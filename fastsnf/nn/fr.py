"""`FourierReparameterized`: hidden weights as learned combinations of fixed Fourier bases."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastsnf.encodings import Encoding
from fastsnf.nn.arguments import activations_of, check_positive, check_real
from fastsnf.nn.encoder import Encoder
from fastsnf.nn.init.draw import draw_default, uniform
from fastsnf.nn.layered import LayeredField
from fastsnf.nn.linear import Device, check_sizes, empty_linear, real_dtype
from fastsnf.spec import Activation, FieldSpec, Finer, ReLU, Sine


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
        check_positive(factor=factor)
        place: dict[str, Any] = {"device": device, "dtype": real_dtype(dtype)}
        encoder = None
        if encoding is not None:
            encoder = Encoder(encoding, in_features, generator=generator, **place)
        fan_in = in_features if encoder is None else encoder.out_features
        linears: list[nn.Module] = [empty_linear(fan_in, hidden_features, bias=bias, **place)]
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
            "factor": float(factor),
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
            for parameter in one.parameters():
                draw_default(parameter, fan_in, generator)
            if index == last:
                uniform(math.sqrt(6.0 / fan_in) / (omega or 1.0))(one.weight, generator)
            elif omega is not None:
                uniform(1.0 / fan_in)(one.weight, generator)
