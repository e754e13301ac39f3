"""The question whether a field is its layers and nothing else, so that one op computes it."""

from __future__ import annotations

from typing import TypeGuard

from torch import nn

from fastsnf.nn.encoder import Encoder
from fastsnf.nn.field import FIELDS
from fastsnf.nn.layer import has_hooks
from fastsnf.nn.layer import is_plain as is_plain_module
from fastsnf.nn.layered import LayeredField


def only_layers(module: nn.Module) -> TypeGuard[LayeredField]:
    """Return whether `module` is its layers behind an encoding at most: one op computes it from the weights.

    Each weight is a parameter, or made of one as `LayeredField.layer_parameters` says. That excludes every
    other module, a subclass with a forward of its own, hooks and parametrizations, and a parameter that is
    shared by two layers or is in none. Hooks on a parameter's gradient are not looked at: see
    `has_gradient_hooks`.
    """
    if not isinstance(module, LayeredField) or FIELDS.get(module.name) is not type(module):
        return False
    if "forward" in module.__dict__ or has_hooks(module) or not module.fused:
        return False
    if module.encoding is not None and not is_plain_module(module.encoding, Encoder):
        return False
    weights, biases = module.layer_parameters()
    tensors = [tensor for tensor in (*weights, *biases) if tensor is not None]
    ids = {id(tensor) for tensor in tensors}
    return len(ids) == len(tensors) and ids == {id(parameter) for parameter in module.parameters()}


def has_gradient_hooks(module: nn.Module) -> bool:
    """Return whether something sees or changes the gradient of a parameter as autograd accumulates it."""
    return any(p._backward_hooks or p._post_accumulate_grad_hooks for p in module.parameters())


def is_plain(module: nn.Module) -> TypeGuard[LayeredField]:
    """Return whether one op may fill in the gradients: only layers, and nothing else sees those gradients."""
    return only_layers(module) and not has_gradient_hooks(module)
