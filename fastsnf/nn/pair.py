"""A field that can answer as the SIREN notebook's module does, with its coordinates beside the values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from fastsnf.nn.layered import LayeredField
from fastsnf.spec import FieldSpec


class PairField(LayeredField):
    """A `LayeredField` that returns the values, or with `return_coords` the pair (values, coordinates).

    The notebook's losses differentiate the values with respect to the coordinates that come back: a copy of
    the input, detached, that requires grad.
    """

    def __init__(self, spec: FieldSpec, linears: Sequence[nn.Linear], *, return_coords: bool) -> None:
        super().__init__(spec, linears)
        self.return_coords = return_coords

    def forward(self, x: Tensor) -> Any:
        """Return the values [..., C] at `x` [..., D], or the pair of them and the coordinates [..., D]."""
        if not self.return_coords:
            return super().forward(x)
        coords = x.detach().clone().requires_grad_(True)
        return super().forward(coords), coords
