"""`Field`: what every field is to the trainer, the files and the user, and the registry that files read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from fastsnf import ops
from fastsnf.errors import InputError, unknown
from fastsnf.nn.layer import Layer, is_plain
from fastsnf.nn.linear import COMPLEX, Device
from fastsnf.spec import Activation, FieldSpec, Identity, activation_from_dict

FIELDS: dict[str, type[Field]] = {}
"""Every field class by the name that files use; a subclass of `Field` with a `name` enters itself."""


class Field(nn.Module):
    """A multilayer perceptron [..., D] -> [..., C] that runs as one fused op.

    Args:
        spec: what the layers compute.
        linears: one linear layer for each of `spec`, first to last; shared, not copied.

    Sub-modules are ``net.{i}.linear`` for activated layers and ``net.{n}`` for a linear last one. A hook or a
    parametrization on a sub-module (or another module in its place) is honoured: the field then runs layer by
    layer, calling every sub-module (`fused` says which). Inside ``torch.autocast`` a field computes and
    returns its own dtype, converting its input, since phases of tens of radians do not survive 8 or 11 bits.
    """

    name: ClassVar[str] = ""
    net: nn.Sequential

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__dict__.get("name"):
            FIELDS[cls.name] = cls

    def __init__(self, spec: FieldSpec, linears: Sequence[nn.Linear]) -> None:
        super().__init__()
        if len(linears) != spec.layers:
            raise InputError(f"expected {spec.layers} linear layers, as the spec; got {len(linears)}")
        self.spec = spec
        self.in_features = linears[0].in_features
        self.out_features = linears[-1].out_features
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
            and all(map(_matches, self.net, self.spec.activations))
        )

    def linears(self) -> list[nn.Linear]:
        """Return the linear layers, first to last."""
        return [cast(nn.Linear, getattr(module, "linear", module)) for module in self.net]

    def layer_tensors(self) -> tuple[list[Tensor], list[Tensor | None]]:
        """Return the weights [fan_out, fan_in] and the biases [fan_out] or None, first layer to last.

        They are the parameters themselves, or what a parametrization makes of its own.
        """
        linears = self.linears()
        return [linear.weight for linear in linears], [linear.bias for linear in linears]

    def forward(self, x: Tensor) -> Tensor:
        """Return the values [..., C] at the coordinates `x` [..., D].

        Raises:
            InputError: for another last dimension, dtype or device than the field's.
        """
        if not isinstance(x, Tensor):
            raise InputError(f"expected x as a torch.Tensor; got {type(x).__name__}: use torch.as_tensor(x)")
        if x.dim() == 0 or x.shape[-1] != self.in_features:
            raise InputError(f"expected x of shape [..., {self.in_features}]; got {list(x.shape)}")
        kind = x.device.type
        if ops.has_autocast(kind) and torch.is_autocast_enabled(kind):
            with torch.autocast(kind, enabled=False):
                return self._evaluate(x.to(self.linears()[0].weight.dtype))
        return self._evaluate(x)

    def _evaluate(self, x: Tensor) -> Tensor:
        if self.fused:
            weights, biases = self.layer_tensors()
            return ops.field(x, weights, biases, spec=self.spec)
        out = self.net(x)
        return out.real if out.is_complex() else out

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments, JSON-able; `from_config` reads them back."""
        raise NotImplementedError(f"{type(self).__name__} cannot be described: define config()")

    @classmethod
    def from_config(cls, config: dict[str, Any], *, device: Device = None) -> Self:
        """Return a field as `config` describes it, with initial parameters of its own."""
        try:
            arguments: dict[str, Any] = {key: decode(key, value) for key, value in config.items()}
            return cls(**arguments | {"device": device, "generator": torch.Generator()})
        except (TypeError, AttributeError) as error:
            raise InputError(f"expected the constructor arguments of {cls.__name__}; {error}") from error

    def _dtype_name(self) -> str:
        """Return the name of the field's dtype, as configs hold it."""
        return str(self.linears()[0].weight.dtype).removeprefix("torch.")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Every conversion of nn.Module comes through here. Their functions take a complex parameter to a real
        # dtype by dropping its imaginary part, or leave it behind; on its real view they do what is meant.
        return super()._apply(fn if not self.spec.is_complex else _on_real_view(fn), recurse)


def from_config(name: str, config: dict[str, Any], *, device: Device = None) -> Field:
    """Return the field called `name` as `Field.config` described it, with initial parameters of its own.

    No global random state is read or changed.

    Raises:
        InputError: for a name that is no field's or arguments that the field does not take.
    """
    if name not in FIELDS:
        raise unknown("the field", name, FIELDS)
    return FIELDS[name].from_config(config, device=device)


def _matches(module: nn.Module, activation: Activation) -> bool:
    """Return whether `module` is a plain layer with that activation."""
    if isinstance(module, Layer):
        plain = is_plain(module, Layer) and is_plain(module.linear, nn.Linear)
        return plain and module.activation == activation
    return is_plain(module, nn.Linear) and activation == Identity()


def decode(key: str, value: Any) -> Any:
    """Return the constructor argument called `key` from its JSON form in `Field.config`."""
    if key == "dtype":
        names = {str(dtype).removeprefix("torch."): dtype for dtype in COMPLEX}
        if value not in names:
            raise unknown("dtype", value, names)
        return names[value]
    return activation_from_dict(value) if isinstance(value, dict) else value


def _on_real_view(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return `fn` for tensors that may be complex: it sees their real and imaginary parts."""

    def apply(tensor: Tensor) -> Tensor:
        if not tensor.is_complex():
            return fn(tensor)
        return torch.view_as_complex(fn(torch.view_as_real(tensor)))

    return apply
