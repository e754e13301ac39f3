"""What this GPU does in this run: copy bandwidth and matrix products by type, and the ceilings they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.roofline import Ceilings
from benchmarks.timer import Run, Spread

COPY_BYTES = 1 << 30
SIZE = 8192
REPEATS = 20
SPECIAL_A_CLOCK = 16


def seconds(run: Run, repeats: int = REPEATS) -> float:
    """Return the median seconds of a call, by events."""
    for _ in range(3):
        run()
    pairs = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        end.record()
        pairs.append((start, end))
    torch.cuda.synchronize()
    return Spread.of([start.elapsed_time(end) / 1e3 for start, end in pairs]).median


def product(dtype: torch.dtype, setting: str) -> float:
    """Return the FLOP/s of a large square product."""
    a = torch.randn(SIZE, SIZE, device="cuda").to(dtype)
    b = torch.randn(SIZE, SIZE, device="cuda").to(dtype)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        return 2.0 * SIZE**3 / seconds(lambda: torch.mm(a, b), 5 if setting == "highest" else REPEATS)
    finally:
        torch.set_float32_matmul_precision(before)


def copy() -> float:
    """Return the bytes/s of a large copy, read plus written."""
    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2.0 * COPY_BYTES / seconds(lambda: target.copy_(source))


def special() -> float:
    """Return the evaluations/s of the special-function units by their number and the clock, as specified."""
    properties = torch.cuda.get_device_properties(0)
    kilohertz = getattr(properties, "clock_rate", None) or 1.83e6
    return float(properties.multi_processor_count * SPECIAL_A_CLOCK * kilohertz * 1e3)


def measure() -> dict[str, Any]:
    """Return the rates, a second."""
    parts: dict[str, Callable[[], float]] = {
        "bandwidth": copy,
        "half": lambda: product(torch.bfloat16, "highest"),
        "fp16": lambda: product(torch.float16, "highest"),
        "tf32": lambda: product(torch.float32, "high"),
        "fma": lambda: product(torch.float32, "highest"),
        "special": special,
    }
    return {name: part() for name, part in parts.items()}


def ceilings(rates: dict[str, Any]) -> Ceilings:
    """Return the ceilings of measured rates."""
    names = ("bandwidth", "half", "tf32", "fma", "special")
    return Ceilings("measured", **{name: float(rates[name]) for name in names})
