"""The static description of a field: the activation of every linear layer, and its key."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from fastsnf.errors import InputError
from fastsnf.spec.activations import Activation, Identity, activation_from_dict, as_json


@dataclass(frozen=True)
class FieldSpec:
    """What a field computes, apart from its parameters: one activation per linear layer.

    Layer l maps ``h_{l-1} -> activations[l](W_l h_{l-1} + b_l)``; the last activation is usually `Identity`.
    Widths are those of the weights. In a complex field (`Gabor`) every layer but the last is a Gabor
    layer, every weight but the first is complex, and the output is the real part.
    """

    activations: tuple[Activation, ...]
    key: str = field(init=False, repr=False, compare=False)
    """The spec as a string, which custom operators take; `from_key` reads it back."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"[{', '.join([as_json(act) for act in self.activations])}]")
        if not self.activations:
            raise InputError("expected at least one layer; got none")
        hidden = self.activations[:-1]
        if any(act.is_complex for act in self.activations) and not (
            hidden and all(act.is_complex for act in hidden) and self.activations[-1] == Identity()
        ):
            names = ", ".join(act.name for act in self.activations)
            raise InputError(f"expected a complex field to be gabor layers and one identity; got {names}")

    @classmethod
    def mlp(
        cls,
        hidden: Activation,
        hidden_layers: int,
        *,
        first: Activation | None = None,
        last: Activation | None = None,
    ) -> FieldSpec:
        """Return the spec of a first layer, `hidden_layers` hidden layers after it and an output layer."""
        if hidden_layers < 0:
            raise InputError(f"expected hidden_layers to be 0 or more; got {hidden_layers}")
        return cls((first or hidden, *[hidden] * hidden_layers, last or Identity()))

    @property
    def layers(self) -> int:
        """The number of linear layers."""
        return len(self.activations)

    @property
    def is_complex(self) -> bool:
        """Whether the layers after the first are complex."""
        return self.activations[0].is_complex

    def complex_weights(self, layer: int) -> bool:
        """Whether the weights and bias of linear layer `layer` (from 0) are complex."""
        return self.is_complex and layer > 0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description that `from_dict` reads back."""
        return {"activations": [act.to_dict() for act in self.activations]}

    @classmethod
    def from_key(cls, key: str) -> FieldSpec:
        """Return the spec whose `key` this is."""
        return cls.from_dict({"activations": json.loads(key)})

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FieldSpec:
        """Return the spec that `to_dict` described.

        Raises:
            InputError: for anything else.
        """
        acts = data.get("activations") if isinstance(data, dict) else None
        if not isinstance(acts, list):
            raise InputError(f"expected a spec with a list of activations; got {data!r}")
        return cls(tuple(activation_from_dict(act) for act in acts))
