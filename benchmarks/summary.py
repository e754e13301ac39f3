"""From rounds to figures: medians, spreads, the share of the peak and the ratio of medians."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.timer import Round, Sample, Spread, steady

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


def enough(rounds: Sequence[Round], names: Sequence[str]) -> list[Round]:
    """Return the rounds that are steady for some sides, or none where they are too few for a figure."""
    kept = [item for item in rounds if steady(item, names)]
    return kept if len(kept) >= min(LEAST_ROUNDS, len(rounds)) else []


def of_rounds(rounds: Sequence[Round], sides: Sequence[str], flops: int) -> dict[str, Any]:
    """Return the figures of the steady runs; a side with fewer than `LEAST_ROUNDS` of them has none.

    `ratios` are how many times longer the other side takes than the first one: its median over the first
    one's, both of the rounds in which the pair was steady.
    """
    peaks = [peak for item in rounds for sample in item.values() for peak in sample.peaks]
    record: dict[str, Any] = {"rounds": len(rounds), "rounds_steady": {}, "sides": {}, "ratios": {}}
    record["peak_gflop_s"] = Spread.of(peaks).to_dict() if peaks else None
    for side in sides:
        pair = [sides[0]] if side == sides[0] else [sides[0], side]
        kept = enough(rounds, pair)
        record["rounds_steady"][side] = len(kept)
        if not kept:
            continue
        record["sides"][side] = side_summary([item[side] for item in kept], flops)
        if side != sides[0]:
            own = Spread.of([item[sides[0]].wall for item in kept]).median
            record["ratios"][side] = record["sides"][side]["seconds"]["median"] / own
    return record
