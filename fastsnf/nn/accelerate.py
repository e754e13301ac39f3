"""`accelerate`: an existing network's parameters on the fused engine."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fastsnf.errors import InputError
from fastsnf.nn.compare import compare
from fastsnf.nn.field import Field, decode
from fastsnf.nn.init import default_
from fastsnf.nn.layer import has_hooks
from fastsnf.nn.layered import LayeredField
from fastsnf.nn.linear import COMPLEX, Device, check_sizes, linear_chain
from fastsnf.nn.pair import PairField
from fastsnf.nn.recognise import Part, recognise
from fastsnf.spec import FieldSpec


class Accelerated(PairField):
    """What `accelerate` returns: a `Field` made of linear layers that exist already.

    Args:
        spec: what the layers compute.
        linears: the linear layers, shared.
        return_coords: answer with the SIREN notebook's pair (values, coordinates).
    """

    name = "accelerated"

    def __init__(self, spec: FieldSpec, linears: Sequence[nn.Linear], *, return_coords: bool = False) -> None:
        super().__init__(spec, linears, return_coords=return_coords)

    def config(self) -> dict[str, Any]:
        """Return what `from_config` rebuilds the field from, JSON-able."""
        linears = self.linears()
        return {
            "spec": self.spec.to_dict(),
            "widths": [self.in_features, *(linear.out_features for linear in linears)],
            "bias": [linear.bias is not None for linear in linears],
            "return_coords": self.return_coords,
            "dtype": self._dtype_name(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], *, device: Device = None) -> Self:
        """Return a field as `config` describes it, with linear layers of its own in PyTorch's default."""
        try:
            spec = FieldSpec.from_dict(config["spec"])
            widths, bias = list(config["widths"]), [bool(flag) for flag in config["bias"]]
            dtype, pair = decode("dtype", config["dtype"]), bool(config["return_coords"])
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"expected the description of an accelerated field; {error!r}") from error
        if (len(widths), len(bias)) != (spec.layers + 1, spec.layers):
            raise InputError(
                f"expected {spec.layers + 1} widths and {spec.layers} bias flags; "
                f"got {len(widths)} and {len(bias)}"
            )
        check_sizes(hidden_layers=0, **{f"width {index}": width for index, width in enumerate(widths)})
        field = cls(
            spec, linear_chain(spec, widths, bias=bias, device=device, dtype=dtype), return_coords=pair
        )
        default_(field, generator=torch.Generator())
        return field


def accelerate(module: nn.Module) -> Field:
    """Return a module that computes what `module` does on the fused engine, and shares its parameters.

    Recognised by structure: chains of linear layers and activations, each as modules of their own in the
    order of registration or together in one module (the SIREN notebook's SineLayer, siren-pytorch's Siren,
    WIRE's layers), with real or complex weights. Training either module trains both. Omegas and scales are
    read once. The outputs and the gradients of all parameters are compared with the original's once, in
    float64, on random coordinates in [-1, 1]. Where the original returns the notebook's pair (values,
    coordinates), so does the new module.

    Args:
        module: any `torch.nn.Module` from coordinates [..., D] to values [..., C]; a `Field` is returned as
            is.

    Raises:
        InputError: naming the part that could not be matched, or saying that the results differ.
    """
    if isinstance(module, Field):
        return module
    if not isinstance(module, nn.Module):
        raise InputError(f"expected a torch.nn.Module; got {type(module).__name__}")
    double = _double(module)
    parts = recognise(double)
    try:
        spec = FieldSpec(tuple(part.activation for part in parts))
    except InputError as error:
        raise InputError(f"cannot accelerate {type(module).__name__}: {error}") from error
    _check_chain(double, parts)
    pair = compare(double, Accelerated(spec, _shared(double, parts)))
    field = Accelerated(spec, _shared(module, parts), return_coords=pair)
    _check_parameters(module, field)
    return field.train(module.training)


def _double(module: nn.Module) -> nn.Module:
    """Return a copy of `module` on the CPU in double precision, real or complex."""
    try:
        double = copy.deepcopy(module)
    except Exception as error:  # the user's code: whatever it raises is why it cannot be copied
        name, cause = type(module).__name__, f"{type(error).__name__}: {error}"
        raise InputError(f"expected a module that copy.deepcopy takes; {name} raised {cause}") from error

    def convert(tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            return tensor.to("cpu", torch.complex128)
        return tensor.to("cpu", torch.float64) if tensor.is_floating_point() else tensor.to("cpu")

    return double._apply(convert)


def _shared(module: nn.Module, parts: Sequence[Part]) -> list[nn.Linear]:
    """Return linear layers that hold the very parameters of `module`."""
    return [_shared_linear(module.get_submodule(part.path)) for part in parts]


def _shared_linear(holder: Any) -> nn.Linear:
    """Return `holder` where it is a linear layer to be called, or a linear layer of its parameters."""
    if type(holder) is nn.Linear or (parametrize.is_parametrized(holder) and isinstance(holder, nn.Linear)):
        return holder
    if has_hooks(holder):
        raise InputError(
            f"expected hooks on nn.Linear itself; got some on a {type(holder).__name__}: remove them"
        )
    fan_out, fan_in = holder.weight.shape
    linear = nn.Linear(
        fan_in, fan_out, bias=holder.bias is not None, device="meta", dtype=holder.weight.dtype
    )
    linear.weight, linear.bias = holder.weight, holder.bias
    return linear


def _check_chain(module: nn.Module, parts: Sequence[Part]) -> None:
    """Raise unless each linear layer takes what the one before it gives."""
    shapes = [linear.weight.shape for linear in _shared(module, parts)]
    for (given, _), (_, taken), part in zip(shapes, shapes[1:], parts[1:], strict=False):
        if given != taken:
            raise InputError(
                f"expected a chain of linear layers; {part.path!r} takes {taken} features "
                f"and the one before it gives {given}"
            )


def _check_parameters(module: nn.Module, field: LayeredField) -> None:
    """Raise when training `module` trains what the field does not have or cannot hold."""
    shared = {id(parameter) for parameter in field.parameters()}
    for name, parameter in module.named_parameters():
        if id(parameter) in shared and parameter.dtype not in (*COMPLEX, *COMPLEX.values()):
            raise InputError(f"expected {name!r} in float32 or float64; got {parameter.dtype}")
        if parameter.requires_grad and id(parameter) not in shared:
            raise InputError(
                f"expected only weights and biases to be trainable; got {name!r} "
                f"of shape {list(parameter.shape)}: freeze it with requires_grad_(False)"
            )
