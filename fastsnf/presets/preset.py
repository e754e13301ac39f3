"""`Preset`: a published field as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Arguments = Mapping[str, Any]

WIDTHS = {"real": 1.0, "complex": math.sqrt(2.0)}
"""What the width F is divided by: complex features count double, so that fields of one F are as large."""


@dataclass(frozen=True)
class Preset:
    """A published field.

    Attributes:
        name: on the command line. title: for people.
        cls: the class, by its name in `fastsnf.nn.FIELDS`.
        arguments: of its constructor; ``encoding`` is a name of `ENCODINGS`, with ``frequencies`` and
            ``sigma`` beside it.
        kinds: what replaces them for a kind of signal (``"image"``, ``"audio"``, ``"occupancy"``,
            ``"volume"``, ``"sphere"``).
        width: the key of `WIDTHS` by which F becomes the number of features of a layer.
        training: how it was trained, where a source says so; information, which `fit` does not read.
        source: where the settings come from.
    """

    name: str
    title: str
    cls: str
    arguments: Arguments
    kinds: Mapping[str, Arguments] = field(default_factory=dict)
    width: str = "real"
    training: Arguments = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("arguments", "kinds", "training"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def features(self, hidden_features: int) -> int:
        """Return the `hidden_features` of the class for the width F: ``int(F / sqrt 2)`` in WIRE.

        Complex features have two numbers: by this rule, WIRE's own, fields of one F have about as many
        parameters (133,403 and 133,123 for F = 256 from 2 coordinates to 3 channels with 2 hidden layers).
        `fastsnf.nn.Wire2d` halves F itself, as the original.
        """
        return max(1, int(hidden_features / WIDTHS[self.width]))
