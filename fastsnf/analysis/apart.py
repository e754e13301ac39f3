"""Looking at a field without touching it, and apart from the settings of the run around it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

import torch
from torch import nn

from fastsnf import ops


def in_dtype(field: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return the field itself where it has that real dtype, or a copy that has it."""
    if all(parameter.dtype.to_real() == dtype for parameter in field.parameters()):
        return field
    return copy.deepcopy(field).to(dtype)


@contextlib.contextmanager
def unchanged(field: nn.Module) -> Iterator[None]:
    """Give a field's buffers their values back in the end, such as running statistics that a call moves."""
    kept = {name: buffer.clone() for name, buffer in field.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in field.named_buffers():
                buffer.copy_(kept[name])


@contextlib.contextmanager
def any_engine() -> Iterator[None]:
    """Let every call take the engine and the precision that it can have, whatever a fit around it asked for.

    Derivatives of derivatives and float64 are what engines lack.
    """
    with ops.use_engine(ops.AUTO), ops.use_precision(ops.AUTO):
        yield
