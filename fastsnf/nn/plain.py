"""`is_plain`: whether a field's layers are all there is, so that one op may stand for the whole of it."""

from __future__ import annotations

from fastsnf.nn.field import FIELDS, Field
from fastsnf.nn.layer import has_hooks


def is_plain(field: Field) -> bool:
    """Return whether the layers are all there is: one op computes the field, and nothing else sees it or its
    gradients.

    That excludes a subclass with a forward of its own, hooks on the field or on a parameter, and a parameter
    that is shared by two layers or is in none.
    """
    if FIELDS.get(field.name) is not type(field) or has_hooks(field) or not field.fused:
        return False
    weights, biases = field.layer_tensors()
    tensors = [tensor for tensor in (*weights, *biases) if tensor is not None]
    watched = any(tensor._backward_hooks or tensor._post_accumulate_grad_hooks for tensor in tensors)
    ids = {id(tensor) for tensor in tensors}
    return (
        not watched
        and len(ids) == len(tensors)
        and ids == {id(parameter) for parameter in field.parameters()}
    )
