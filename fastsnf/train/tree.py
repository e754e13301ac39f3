"""A nest of dicts, lists and tuples as JSON plus named tensors, and back: for an optimizer's state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from fastsnf.errors import InputError


def flatten(tree: Any, prefix: str) -> tuple[Any, dict[str, Tensor]]:
    """Return a JSON-able stand-in for `tree` and its tensors, named ``{prefix}.{n}``.

    Raises:
        InputError: for a value that is neither a container, a tensor nor a plain scalar.
    """
    tensors: dict[str, Tensor] = {}

    def walk(node: Any) -> Any:
        if isinstance(node, Tensor):
            name = f"{prefix}.{len(tensors)}"
            tensors[name] = node
            return {"tensor": name}
        if isinstance(node, Mapping):  # pairs, for the keys may be numbers
            return {"dict": [[key, walk(value)] for key, value in node.items()]}
        if isinstance(node, tuple):
            return {"tuple": [walk(value) for value in node]}
        if isinstance(node, list):
            return {"list": [walk(value) for value in node]}
        if node is None or isinstance(node, bool | int | float | str):
            return node
        raise InputError(
            f"expected an optimizer state of tensors, numbers and strings; got {type(node).__name__}, which "
            "a checkpoint cannot hold: fit without a run folder, or use another optimizer"
        )

    return walk(tree), tensors


def unflatten(plan: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the tree of which `flatten` returned `plan` and `tensors`."""
    if not isinstance(plan, dict):
        return plan
    [(kind, value)] = plan.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {key: unflatten(item, tensors) for key, item in value}
    items = [unflatten(item, tensors) for item in value]
    return tuple(items) if kind == "tuple" else items
