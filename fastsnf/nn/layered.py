"""`LayeredField`: a chain of linear layers and activations, perhaps behind an encoding, as one fused op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.nn.encoder import Encoder
from fastsnf.nn.field import Field
from fastsnf.nn.layer import Layer, is_plain
from fastsnf.spec import Activation, FieldSpec, Identity


class LayeredField(Field):
    """A multilayer perceptron [..., D] -> [..., C] that runs as one fused op.

    Args:
        spec: what the layers compute.
        linears: one linear layer for each of `spec`, first to last; shared, not copied.
        encoding: what the coordinates become before the first layer, without parameters to train; None for
            nothing.

    Sub-modules are ``net.{i}.linear`` for activated layers and ``net.{n}`` for a linear last one, and
    ``encoding``. A hook or a parametrization on a sub-module (or another module in its place) is honoured:
    the field then runs layer by layer, calling every sub-module (`fused` says which).
    """

    linear_classes: ClassVar[tuple[type[nn.Module], ...]] = (nn.Linear,)
    """Classes of linear layers whose call is that of their `weight` and `bias` and nothing else."""

    net: nn.Sequential

    def __init__(
        self, spec: FieldSpec, linears: Sequence[nn.Linear], *, encoding: Encoder | None = None
    ) -> None:
        if len(linears) != spec.layers:
            raise InputError(f"expected {spec.layers} linear layers, as the spec; got {len(linears)}")
        encoded = linears[0].in_features
        if encoding is not None and encoding.out_features != encoded:
            raise InputError(
                f"expected a first layer of {encoding.out_features} inputs, as the encoding gives; "
                f"got {encoded}"
            )
        in_features = encoded if encoding is None else encoding.in_features
        super().__init__(in_features, linears[-1].out_features, linears[0].out_features)
        self.spec = spec
        self.encoding = encoding
        acts = spec.activations
        modules: list[nn.Module] = [
            Layer(linear, act) for linear, act in zip(linears[:-1], acts[:-1], strict=True)
        ]
        modules.append(linears[-1] if acts[-1] == Identity() else Layer(linears[-1], acts[-1]))
        self.net = nn.Sequential(*modules)

    @property
    def hidden_activation(self) -> Activation:
        """The activation of the hidden layers, whose omega scales the last layer's initial weights."""
        return self.spec.activations[max(0, self.spec.layers - 2)]

    @property
    def fused(self) -> bool:
        """Whether the field runs as one op: no sub-module has a hook, a parametrization or a substitute."""
        return (
            is_plain(self.net, nn.Sequential)
            and len(self.net) == self.spec.layers
            and all(map(self._matches, self.net, self.spec.activations))
        )

    @property
    def dtype(self) -> torch.dtype:
        """The real dtype of the parameters."""
        return self.linears()[0].weight.dtype  # torch.compile does not trace `Field.dtype`'s generator

    def linears(self) -> list[nn.Linear]:
        """Return the linear layers, first to last."""
        return [cast(nn.Linear, getattr(module, "linear", module)) for module in self.net]

    def layer_tensors(self) -> tuple[list[Tensor], list[Tensor | None]]:
        """Return the weights [fan_out, fan_in] and the biases [fan_out] or None, first layer to last.

        They are the parameters themselves, or what a parametrization makes of its own.
        """
        linears = self.linears()
        return [linear.weight for linear in linears], [linear.bias for linear in linears]

    def layer_parameters(self) -> tuple[list[Tensor], list[Tensor | None]]:
        """Return the parameters that the weights are made of, one a layer, and the biases or None.

        They are `layer_tensors` unless a subclass forms its weights from other parameters.
        """
        return self.layer_tensors()

    def parameter_gradients(self, d_weights: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients of the first of `layer_parameters` from those of the weights."""
        return list(d_weights)

    def parameter_inputs(self, layer: int, inputs: Tensor) -> Tensor:
        """Return a layer's inputs [..., fan_in] as its parameter sees them, up to their inner products."""
        return inputs

    def take_gradients(self, d_weights: Sequence[Tensor], d_biases: Sequence[Tensor | None]) -> None:
        """Put the gradients of weights and biases into ``parameter.grad`` of what is trained."""
        weights, biases = self.layer_parameters()
        pairs = [*zip(weights, self.parameter_gradients(d_weights), strict=True)]
        for parameter, gradient in [*pairs, *zip(biases, d_biases, strict=True)]:
            if parameter is not None and parameter.requires_grad:
                parameter.grad = gradient

    def encode(self, x: Tensor) -> Tensor:
        """Return what the first layer sees [..., fan_in] of coordinates `x` [..., D]."""
        return x if self.encoding is None else cast(Tensor, self.encoding(x))

    def evaluate(self, x: Tensor) -> Tensor:
        """Return the values [..., C] at `x` [..., D]."""
        h = self.encode(x)
        if self.fused:
            weights, biases = self.layer_tensors()
            return ops.field(h, weights, biases, spec=self.spec)
        out = self.net(h)
        return out.real if out.is_complex() else out

    def choose_engine(self, x: Tensor, precision: str = ops.AUTO) -> ops.Choice:
        """Return the engine and precision at points like `x` [B, D]; raises as `Field.choose_engine`.

        A complex field that runs layer by layer, as hooks want it, takes the reference.
        """
        weights, _biases = self.layer_tensors()
        engine = "reference" if self.spec.is_complex and not self.fused else ops.AUTO
        return ops.choose(engine, self.encode(x), weights, self.spec, precision)

    def _matches(self, module: nn.Module, activation: Activation) -> bool:
        """Return whether `module` is a plain layer with that activation."""
        if isinstance(module, Layer):
            return (
                is_plain(module, Layer) and self._is_linear(module.linear) and module.activation == activation
            )
        return self._is_linear(module) and activation == Identity()

    def _is_linear(self, module: nn.Module) -> bool:
        return any(is_plain(module, cls) for cls in self.linear_classes)

    def summary(self) -> str:
        """Return the activations, the number of linear layers and their width."""
        layers = self.spec.layers
        first = self.spec.activations[0]
        hidden = self.spec.activations[layers - 2] if layers > 1 else first
        activations = str(first) if first == hidden else f"{first}, then {hidden}"
        last = self.spec.activations[-1]
        if layers > 1 and last not in (hidden, Identity()):
            activations += f", at the end {last}"
        encoded = "" if self.encoding is None else f"{self.encoding.spec}, "
        return f"{encoded}{activations}; {layers} linear layers, width {self.hidden_features}"
