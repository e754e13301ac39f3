"""Where a fit runs and in which arithmetic."""

from __future__ import annotations

import torch

from fastsnf.errors import InputError

_PRECISIONS: dict[str, dict[torch.dtype, str]] = {
    "native": {torch.float32: "fp32"},
    "reference": {torch.float32: "fp32", torch.float64: "fp64"},
}
"""What each engine computes in, by the field's dtype."""


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


def resolve_precision(precision: str, engine: str, dtype: torch.dtype) -> str:
    """Return the precision in which `engine` computes a field of `dtype`, as the summary names it.

    Raises:
        InputError: for one that the engine lacks.
    """
    own = _PRECISIONS[engine][dtype]
    if precision in ("auto", own):
        return own
    raise InputError(
        f"expected precision auto or {own}; got {precision!r}: the {engine} engine computes a {dtype} field "
        f"in {own} only; other precisions need a GPU engine, which this version does not have"
    )
