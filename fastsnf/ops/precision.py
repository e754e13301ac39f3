"""In which arithmetic a call computes: named by the caller, never lowered silently.

``fp32`` is as exact as eager float32, ``tf32`` rounds the operands of matrix products to 10 bits of mantissa,
``fast`` takes 16-bit operands and saves 16-bit activations; sums are float32 in all. A float64 field computes
in ``fp64``, on the reference engine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from fastsnf.errors import unknown

AUTO = "auto"
PRECISIONS = ("fp32", "tf32", "fast")
"""What `precision=` takes besides ``auto``, the most exact first."""

FOLLOWED = {"highest": "fp32", "high": "tf32", "medium": "fast"}
"""What ``auto`` means on an engine that has several, by `torch.get_float32_matmul_precision`."""

_selected = AUTO  # a plain global, as `fastsnf.ops.dispatch` explains


@contextlib.contextmanager
def use_precision(name: str) -> Iterator[None]:
    """Make `name` the precision of the calls inside the block that say ``precision="auto"``, in every thread.

    Raises:
        InputError: for a name that is not a precision's.
    """
    global _selected
    _check_name(name)
    before, _selected = _selected, name
    try:
        yield
    finally:
        _selected = before


def requested(precision: str) -> str:
    """Return what a call asks for: `use_precision`'s where it says ``auto``, which may be ``auto`` again.

    Raises:
        InputError: for a name that is not a precision's.
    """
    _check_name(precision)
    return _selected if precision == AUTO else precision


def offered(engine: str, device: torch.device, dtype: torch.dtype) -> tuple[str, ...]:
    """Return the precisions that `engine` computes in, given tensors of `dtype` on `device`."""
    if engine == "triton":
        return PRECISIONS
    if engine == "reference" and dtype == torch.float64:
        return ("fp64",)
    if engine == "reference" and device.type == "cuda":  # torch's own products, which do as torch is told
        return ("fp32" if _followed() == "fp32" else "tf32",)
    return ("fp32",)


def resolve(precision: str, engine: str, device: torch.device, dtype: torch.dtype) -> str:
    """Return the precision that `engine` computes a call in, given one that it offers or ``auto``."""
    wanted, offers = requested(precision), offered(engine, device, dtype)
    if wanted != AUTO:
        return wanted
    return _followed() if len(offers) > 1 else offers[0]


def reasons(precision: str, engine: str, device: torch.device, dtype: torch.dtype) -> list[str]:
    """Return why `engine` cannot compute in `precision`, nothing when it can."""
    wanted, offers = requested(precision), offered(engine, device, dtype)
    if wanted == AUTO or wanted in offers:
        return []
    return [f"it computes in {offers[0]} only"]


@torch.compiler.assume_constant_result
def _followed() -> str:
    """Return what ``auto`` means now.

    A compiled function keeps what held when it was compiled. Torch compiles it again when the setting changes
    from or to ``highest``, not between ``high`` and ``medium``.
    """
    try:
        return FOLLOWED[torch.get_float32_matmul_precision()]
    except RuntimeError:  # set through torch.backends.*.fp32_precision, after which torch refuses to say
        return "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "fp32"


def _check_name(name: str) -> None:
    if name not in (AUTO, *PRECISIONS):
        raise unknown("the precision", name, (AUTO, *PRECISIONS))
