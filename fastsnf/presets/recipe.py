"""`Recipe`: a published training as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as entry
from types import MappingProxyType
from typing import Any

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How a paper prepared a signal, what it fitted to it, and how; explicit options override any of it.

    Attributes:
        name: on the command line. kind: of the signal.
        line: what it is, for people.
        open: options of the ``open`` of that kind's class.
        field: ``field``, the name of a preset, and arguments over those of the preset.
        fit: fields of `fastsnf.FitConfig`.
        iga: fields of `fastsnf.ntk.IGA`; None for a fit without.
        source: where the settings come from, and what in them is a reading or ours.
    """

    name: str
    kind: str
    line: str
    open: Options = entry(default_factory=dict)
    field: Options = entry(default_factory=dict)
    fit: Options = entry(default_factory=dict)
    iga: Options | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("open", "field", "fit", "iga"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, MappingProxyType(dict(given)))
