"""Decoding a grid, beside the bare inference on coordinates that lie in memory."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks import child, machine, timer
from benchmarks.gate import GateError
from benchmarks.occupancy.figures import record, spread_of
from benchmarks.occupancy.fits import WIDTH, field_of
from benchmarks.occupancy.shapes import bumpy
from fastsnf.signals import Occupancy
from fastsnf.train.decode import decode

LEAST = 85.0
POINTS = 1 << 20
"""Points of a bare inference, as in the case ``infer``."""


def measure(side: int, width: int, rounds: int) -> dict[str, Any]:
    """Measure the decode of a grid to bits, and the bare inference in turn with it."""
    field = field_of(width).eval()
    signal = Occupancy.from_function(bumpy, (8, 8, 8))
    x = torch.rand(min(POINTS, side**3), 3) * 2 - 1
    check(field, signal)

    def bare() -> None:
        with torch.no_grad():
            field(x)

    runs = {"decode": lambda: decode(field, signal, (side,) * 3), "bare": bare}
    done = timer.measure(runs, peak=machine.fma_peak, rounds=rounds, warmup=1)
    steady = [item for item in done if timer.steady(item, ["decode", "bare"])] or done
    points = side**3
    shares = [100 * (points / item["decode"].wall) / (len(x) / item["bare"].wall) for item in steady]
    rates = [points / item["decode"].wall / 1e6 for item in done]
    figures = [
        spread_of(rates, "decoded", "M points/s"),
        spread_of(shares, "decode / bare inference, rate", "%", least=LEAST if width == WIDTH else None),
    ]
    return record(f"decode-{side}", f"decode to the bits of {side}^3, width {width}", figures)


def check(field: torch.nn.Module, signal: Occupancy) -> None:
    """Raise `GateError` unless decoded bits are those of the field's values, but next to the threshold."""
    rendering = decode(field, signal, (17, 9, 8))  # type: ignore[arg-type]
    with torch.no_grad():
        values = field(signal.grid((17, 9, 8)))[:, 0]
    inside = rendering.bits.at(slice(0, len(values)))[:, 0] > 0  # type: ignore[union-attr]
    wrong = inside != (values >= 0.5)
    if bool((wrong & ((values - 0.5).abs() > 1e-4)).any()):
        raise GateError("decoded bits are not those of the field's values; no time is taken")


if __name__ == "__main__":
    child.serve(measure)
