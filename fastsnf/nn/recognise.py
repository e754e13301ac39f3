"""Reading a network's structure: its linear layers in order, and the activation that follows each.

Nothing goes by import or class name. A *layer* is a module with one linear layer and its activation inside
(SineLayer, ComplexGaborLayer), or with a weight and bias of its own (siren-pytorch's Siren); a linear layer
may also be followed by a module that is the activation. What a layer computes is found by probing it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastsnf.errors import InputError
from fastsnf.nn.identify import Function, identify, numbers
from fastsnf.nn.layer import has_hooks
from fastsnf.spec import ACTIVATIONS, Activation, Identity


@dataclass
class Part:
    """One linear layer of a network: where its weight and bias are, and what follows it."""

    path: str
    activation: Activation


def recognise(module: nn.Module) -> list[Part]:
    """Return the linear layers of `module`, first to last.

    Args:
        module: in float64 and complex128; not changed.

    Raises:
        InputError: naming the first part that could not be matched.
    """
    _refuse(module)
    parts: list[Part] = []
    complex_weight = False
    for path, node in _walk(module, ""):
        weight = _weight(node)
        if weight is not None:
            complex_weight = weight.is_complex()
            parts.append(Part(_linear_path(path, node), _layer_activation(path, node, weight)))
            continue
        activation = _module_activation(path, node, complex_input=complex_weight)
        if activation == Identity():
            continue
        if not parts or parts[-1].activation != Identity():
            raise InputError(
                f"expected every activation right after a linear layer; got {_describe(path, node)} elsewhere"
            )
        parts[-1].activation = activation
    if not parts:
        raise InputError(f"expected linear layers in {type(module).__name__}; found none")
    return parts


def _describe(path: str, node: nn.Module) -> str:
    """Return the class and place of a part, for messages."""
    return f"{type(node).__name__} at {path!r}" if path else f"{type(node).__name__} (the module itself)"


def _refuse(module: nn.Module) -> None:
    """Raise for parts that change what the network computes from call to call, or that would go unseen."""
    for path, node in module.named_modules():
        if isinstance(node, nn.modules.dropout._DropoutNd) and node.p > 0:
            raise InputError(f"expected no dropout; got p={node.p} in {_describe(path, node)}: set it to 0")
        if has_hooks(node) and not isinstance(node, nn.Linear):
            raise InputError(
                f"expected hooks on linear layers only; got some on {_describe(path, node)}, "
                "which the fused module does not call: remove them, or add them to what accelerate returns"
            )


def _walk(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield layers and activations in the order of registration, through every container."""
    if _weight(module) is not None or not module._modules:
        yield path, module
        return
    for name, child in module._modules.items():
        if child is not None:
            yield from _walk(child, f"{path}.{name}".removeprefix("."))


def _weight(node: nn.Module) -> Tensor | None:
    """Return the weight [fan_out, fan_in] of a layer, None when `node` is no layer.

    A layer has a matrix of its own or exactly one linear layer inside, as a direct child.
    """
    own = getattr(node, "weight", None)
    if isinstance(own, Tensor):
        return own if own.dim() == 2 and hasattr(node, "bias") else None
    linears = [m for m in node.modules() if isinstance(m, nn.Linear)]
    direct = [m for m in node._modules.values() if isinstance(m, nn.Linear)]
    if len(linears) == 1 and len(direct) == 1 and not isinstance(node, nn.Sequential | nn.ModuleList):
        return direct[0].weight
    return None


def _linear_path(path: str, node: nn.Module) -> str:
    """Return the path of the module that holds a layer's weight and bias."""
    if isinstance(getattr(node, "weight", None), Tensor):
        return path
    name = next(name for name, child in node._modules.items() if isinstance(child, nn.Linear))
    return f"{path}.{name}".removeprefix(".")


def _layer_activation(path: str, node: nn.Module, weight: Tensor) -> Activation:
    """Return the activation of a layer, found by replacing its weights in a copy with ``u = x_0``."""
    if isinstance(node, nn.Linear):
        return Identity()
    probe = copy.deepcopy(node)
    fan_out, fan_in = weight.shape
    known = torch.zeros(fan_out, fan_in, dtype=weight.dtype)
    known[:, 0] = 1.0
    if isinstance(getattr(node, "weight", None), Tensor):
        _write(probe, known)
    else:
        linear = nn.Linear(fan_in, fan_out, device="meta")  # no draw from the random generator
        _write(linear, known)
        setattr(probe, _linear_path("", node), linear)

    def function(u: Tensor) -> Tensor:
        return probe(torch.cat([u[:, None], u.new_zeros(len(u), fan_in - 1)], dim=1))[:, 0]

    return _identify(path, node, function, complex_input=weight.is_complex())


def _write(linear: nn.Module, weight: Tensor) -> None:
    """Replace the parameters of a layer by `weight` and a bias of 0."""
    linear.weight = nn.Parameter(weight)
    if linear.bias is not None:
        linear.bias = nn.Parameter(weight.new_zeros(len(weight)))


def _module_activation(path: str, node: nn.Module, *, complex_input: bool) -> Activation:
    """Return the activation that a module without linear layers is."""
    return _identify(path, node, lambda u: node(u[:, None])[:, 0], complex_input=complex_input)


def _identify(path: str, node: nn.Module, function: Function, *, complex_input: bool) -> Activation:
    """Return the activation that `function`, the probed `node`, is, or raise naming the part."""
    values = numbers(node)
    try:
        with torch.no_grad():
            activation = identify(function, values, complex_input=complex_input)
    except Exception as error:  # the user's code: whatever it raises is why it cannot be matched
        raise InputError(f"cannot probe {_describe(path, node)}: {type(error).__name__}: {error}") from error
    if activation is None:
        names = ", ".join(ACTIVATIONS)
        held = ", ".join(f"{value:g}" for value in values) or "none"
        raise InputError(
            f"expected one of the activations {names}; {_describe(path, node)} is none of them "
            f"with any of the numbers it holds ({held})"
        )
    return activation
