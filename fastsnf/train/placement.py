"""Where a fit runs and in which arithmetic."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.nn import Field
from fastsnf.train.config import FitConfig
from fastsnf.train.memory import gpu_memory


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


@contextlib.contextmanager
def as_configured(config: FitConfig) -> Iterator[None]:
    """Compute with the engine and in the precision that a fit asks for; its memory errors say what to do."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(gpu_memory())
        if config.engine != "auto":
            stack.enter_context(ops.use_engine(config.engine))
        if config.precision != "auto":
            stack.enter_context(ops.use_precision(config.precision))
        yield


@contextlib.contextmanager
def as_placed(config: FitConfig, place: Mapping[str, str]) -> Iterator[None]:
    """Hold the precision that a fit's ``auto`` stands for, within `as_configured`, once its plan has a place.

    What torch's setting means now holds to the end: a graph that was recorded keeps it anyway.
    """
    if config.precision == "auto" and place["engine"] != "reference":
        with ops.use_precision(place["precision"]):
            yield
    else:
        yield
