"""Products in full float32, whatever torch is told: eigenvalue ratios span many decades."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

EXACT = ("ieee", "none")


@contextlib.contextmanager
def full_float32(like: Tensor) -> Iterator[None]:
    """Keep torch's products on `like`'s device from TF32 and bfloat16 inside the block.

    The setting is the process's: another thread's products are exact meanwhile too. A compiled graph keeps
    the setting that it runs under.
    """
    setting = _setting(like.device.type)
    if setting is None or torch.compiler.is_compiling() or (before := setting.fp32_precision) in EXACT:
        yield
        return
    setting.fp32_precision = "ieee"
    try:
        yield
    finally:
        setting.fp32_precision = before


def _setting(device_type: str) -> Any:
    """Return where torch keeps how matrix products of a type of device treat float32, None if nowhere."""
    backends: dict[str, Any] = {"cuda": torch.backends.cuda, "cpu": torch.backends.mkldnn}
    return getattr(backends.get(device_type), "matmul", None)
