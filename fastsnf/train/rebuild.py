"""A field as JSON-able metadata and named tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.nn import FIELDS, Field, LayeredField, from_config
from fastsnf.train.losses import LOGITS, VALUES


@dataclass(frozen=True)
class Checkpoint:
    """A field and what its file says about it.

    Attributes:
        field: on the CPU, in evaluation mode.
        signal: `Signal.metadata` of the signal it was fitted to, or None.
        outputs: ``values`` of the signal, or their ``logits`` (`fastsnf.train.losses.to_values`).
    """

    field: Field
    signal: dict[str, Any] | None
    outputs: str


def describe_field(field: Field) -> dict[str, Any]:
    """Return the metadata from which `restore` builds a field: class, constructor arguments, spec.

    Raises:
        InputError: for a class that is not in `fastsnf.nn.FIELDS`.
    """
    if FIELDS.get(field.name) is not type(field):
        known = ", ".join(cls.__name__ for cls in FIELDS.values())
        raise InputError(
            f"expected a field of class {known}; got {type(field).__name__}, which load could not rebuild: "
            "save its state_dict yourself"
        )
    return {"field": {"class": field.name, "config": field.config(), "spec": _spec(field)}}


def state_of(field: Field) -> dict[str, Tensor]:
    """Return the tensors of a field by name."""
    return dict(field.state_dict())


def restore(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], *, source: str) -> Checkpoint:
    """Return the field that `describe_field` described, with `tensors` as its state.

    Raises:
        InputError: when names, shapes or dtypes are not those of the described field.
    """
    try:
        described = metadata["field"]
        name, config, spec = described["class"], described["config"], described["spec"]
        # First without memory: a hostile file may describe a field of any width and depth.
        if config.get("hidden_layers", 0) > len(tensors):
            raise InputError(
                f"expected a tensor for each of {config['hidden_layers']} layers; got {len(tensors)}"
            )
        _match(tensors, from_config(name, config, device="meta").state_dict())
        field = from_config(name, config, device="cpu")
        if _spec(field) != spec:
            raise InputError(f"expected the spec {spec}; got {_spec(field)} from the same configuration")
        signal, outputs = metadata.get("signal"), metadata["outputs"]
        if not isinstance(signal, dict | None):
            raise InputError(f"expected the metadata of a signal; got {signal!r}")
        if outputs not in (VALUES, LOGITS):
            raise InputError(f"expected outputs to be {VALUES} or {LOGITS}; got {outputs!r}")
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"cannot load {source}: {error}") from error
    field.load_state_dict(dict(tensors))
    return Checkpoint(field.eval(), signal, outputs)


def _spec(field: Field) -> dict[str, Any] | None:
    """Return what the layers of a field compute, where it is a chain of them."""
    return field.spec.to_dict() if isinstance(field, LayeredField) else None


def _match(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise `InputError` unless both have the same names, shapes and dtypes."""
    if tensors.keys() != expected.keys():
        missing, foreign = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
        raise InputError(
            f"expected the tensors of its configuration; missing: {', '.join(sorted(missing)) or 'none'}; "
            f"foreign: {', '.join(sorted(foreign)) or 'none'}"
        )
    for name, tensor in tensors.items():
        want = expected[name]
        if tensor.shape != want.shape or tensor.dtype != want.dtype:
            raise InputError(
                f"expected {name} as {want.dtype} {list(want.shape)}; got {tensor.dtype} {list(tensor.shape)}"
            )
