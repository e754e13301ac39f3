"""From rounds to figures: medians, spreads, the share of the peak and the ratio of medians."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.sides import FASTSNF
from benchmarks.timer import Round, Sample, Spread

LEAST_ROUNDS = 3
"""A figure of fewer steady rounds is not given."""


def share_of_peak(sample: Sample, flops: int) -> float | None:
    """Return the useful FLOPs a wall second over the peak around the run; None where the peak is unknown."""
    return None if sample.peak is None else flops / sample.wall / 1e9 / sample.peak


def side_summary(samples: Sequence[Sample], flops: int) -> dict[str, Any]:
    """Return one side's seconds (wall and CPU), rate in GFLOP/s and share of the peak."""
    walls = [sample.wall for sample in samples]
    shares = [share for sample in samples if (share := share_of_peak(sample, flops)) is not None]
    return {
        "seconds": Spread.of(walls).to_dict(),
        "cpu_seconds": Spread.of([sample.cpu for sample in samples]).to_dict(),
        "gflop_s": flops / Spread.of(walls).median / 1e9,
        "share": Spread.of(shares).to_dict() if shares else None,
    }


def of_rounds(rounds: Sequence[Round], sides: Sequence[str], flops: int) -> dict[str, Any]:
    """Return the figures of all steady rounds, or none where fewer than `LEAST_ROUNDS` were steady.

    `ratios` are medians over fastsnf's median: how many times longer the other side takes.
    """
    steady = [item for item in rounds if item.steady]
    record: dict[str, Any] = {"rounds": len(rounds), "rounds_steady": len(steady), "sides": {}, "ratios": {}}
    if len(steady) < min(LEAST_ROUNDS, len(rounds)):
        return record
    peaks = [sample.peak for item in steady for sample in item.samples.values() if sample.peak is not None]
    record["peak_gflop_s"] = Spread.of(peaks).to_dict() if peaks else None
    for side in sides:
        record["sides"][side] = side_summary([item.samples[side] for item in steady], flops)
    if FASTSNF in sides:
        own = record["sides"][FASTSNF]["seconds"]["median"]
        others = [side for side in sides if side != FASTSNF]
        record["ratios"] = {side: record["sides"][side]["seconds"]["median"] / own for side in others}
    return record
