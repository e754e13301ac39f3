"""The head that IGA's code gives its ReLU nets."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import nn

from fastsnf.nn import LayeredField, NormalizedField

F = TypeVar("F", bound=LayeredField | NormalizedField)


def widen_head_(field: F, seed: int) -> F:
    """Draw the weights of a field's last layer again from U(-sqrt(6 / F), sqrt(6 / F)); return the field.

    Args:
        field: changed in place; the other parameters stay.
        seed: of the draw.
    """
    weight = field.linears()[-1].weight
    bound = math.sqrt(6.0 / weight.shape[1])
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        nn.init.uniform_(weight, -bound, bound, generator=generator)
    return field
