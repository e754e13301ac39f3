"""Random operands of NTK blocks, and calls of the functional interface with a fault or an odd layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fastsnf import ops, reference
from tests import cases

GRAM_ENGINES = [row["engine"] for row in ops.engines_report() if row["available"]]
GRAM_ENGINES = [name for name in GRAM_ENGINES if name in ("native", "reference")]
"""Those that take CPU tensors here."""

EVERY_GRAM_ENGINE = pytest.mark.parametrize("engine", GRAM_ENGINES)

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "dense": lambda t: t,
    "strided": cases.strided,
    "transposed": cases.transposed,
    "offset": cases.offset,
    "conjugate": lambda t: t.conj().resolve_conj().conj() if t.is_complex() else t,
    "negative": lambda t: t if t.is_complex() else torch._neg_view(-t),
    "first and last swapped": lambda t: t.transpose(0, -1).contiguous().transpose(0, -1),
    "expanded": lambda t: t,
}
"""Ways to lay out the same numbers in memory."""


class Operands(NamedTuple):
    """What `ops.ntk_gram` takes."""

    inputs: list[Tensor]
    cotangents: list[Tensor]
    bias: list[bool]

    def exact(self) -> Tensor:
        """Return K in float64."""
        doubled = [cases.as_double(tensors) for tensors in (self.inputs, self.cotangents)]
        return reference.ntk.ntk_gram(*doubled, self.bias)  # type: ignore[arg-type]

    def eager(self) -> Tensor:
        """Return K by the formula in the operands' own precision."""
        return reference.ntk.ntk_gram(*self)


def operands(
    rows: Sequence[int],
    units: Sequence[tuple[int, int]],
    gen: torch.Generator,
    *,
    dtype: torch.dtype = torch.float32,
    complex_from: int | None = None,
) -> Operands:
    """Return normal operands [*rows, units], one (fan_in, fan_out) a layer, complex from some layer on."""

    def draw(layer: int, width: int) -> Tensor:
        is_complex = complex_from is not None and layer >= complex_from
        return torch.randn(*rows, width, generator=gen, dtype=dtype.to_complex() if is_complex else dtype)

    pairs = [(draw(i, fan_in), draw(i, fan_out)) for i, (fan_in, fan_out) in enumerate(units)]
    bias = [bool(flag) for flag in torch.randint(2, (len(units),), generator=gen)]
    return Operands([a for a, _ in pairs], [d for _, d in pairs], bias)


def integer(low: int, high: int, gen: torch.Generator) -> int:
    """Return an integer in [low, high]."""
    return int(torch.randint(low, high + 1, (), generator=gen))


def one_of(options: Sequence, gen: torch.Generator):
    """Return one of some options."""
    return options[integer(0, len(options) - 1, gen)]
