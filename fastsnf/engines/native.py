"""The CPU engine: C++ SIMD kernels of ``csrc/cpu`` behind ``fastsnf._native``, on float32 tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def unavailable() -> list[str]:
    """Return why the engine cannot run on this machine, nothing when it can."""
    return ["the C++ extension is not built"]


def detail() -> str:
    """Return the instruction set and thread count in use."""
    return ""


def reasons(device: str, dtype: torch.dtype, shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """Return why the engine cannot take a call on `device` with weights of `shapes`."""
    return unavailable()
