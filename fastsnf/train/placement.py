"""Where a fit runs and in which arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.nn import Field


def resolve_device(name: str) -> torch.device:
    """Return the device called `name`; ``auto`` is cuda where there is one, and cpu elsewhere.

    Raises:
        InputError: for a name that torch does not know or a device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"expected a device of this machine, cpu or cuda; got {name!r}: {reason}") from error
    return device


def resolve_engine(field: Field, x: Tensor, precision: str) -> ops.Choice:
    """Return the engine that computes `field` at points like x [B, D], and in which precision.

    The engine is that of `fastsnf.use_engine`, the fastest that has the precision by default.

    Raises:
        EngineError: when none has it, or the one asked for cannot take the call, with every reason.
    """
    return field.choose_engine(x, precision)
