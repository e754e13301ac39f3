"""Products in full float32 on a GPU, whatever torch is told: eigenvalue ratios span many decades."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor


@contextlib.contextmanager
def full_float32(like: Tensor) -> Iterator[None]:
    """Keep torch's products on `like`'s GPU from TF32 inside the block; nothing to do on other devices.

    The setting is the process's: another thread's products are exact meanwhile too. A compiled graph keeps
    the setting that it runs under.
    """
    if not like.is_cuda or torch.compiler.is_compiling() or not _tf32():
        yield
        return
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.fp32_precision = "tf32"


def _tf32() -> bool:
    return str(torch.backends.cuda.matmul.fp32_precision) == "tf32"
