"""Products in full float32, whatever torch is told: eigenvalue ratios span many decades."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

EXACT = ("ieee", "none")
"""What the setting says where products are float32's own."""


def full_float32(like: Tensor) -> AbstractContextManager[None]:
    """Return a context that keeps torch's products on `like`'s device from TF32 and bfloat16.

    The setting is the process's: another thread's products are exact meanwhile too. A compiled graph keeps
    the setting that it runs under.
    """
    if torch.compiler.is_compiling():
        return nullcontext()
    setting = _setting(like.device.type)
    return nullcontext() if setting is None or setting.fp32_precision in EXACT else _exact(setting)


@contextmanager
def _exact(setting: Any) -> Iterator[None]:
    before, setting.fp32_precision = setting.fp32_precision, "ieee"
    try:
        yield
    finally:
        setting.fp32_precision = before


def _setting(device_type: str) -> Any:
    """Return where torch keeps how matrix products of a type of device treat float32, None if nowhere."""
    backends: dict[str, Any] = {"cuda": torch.backends.cuda, "cpu": torch.backends.mkldnn}
    return getattr(backends.get(device_type), "matmul", None)
