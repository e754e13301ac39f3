"""Timing of several sides of a comparison, alternating, with the machine's peak measured around each run.

Shared machines change speed by 2x within seconds. So no figure is taken alone: the sides run in turn, in an
order that rotates from round to round; the peak is measured before and after each run; and where it moved by
more than `MAX_PEAK_MOVE`, the run gives no share of the peak and the pair of runs no ratio.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_PEAK_MOVE = 0.10
"""Runs are kept while the largest peak measured around them is at most this much above the smallest."""

MAX_EXTRA = 3
"""How many times the wanted number of rounds an unsteady machine gets."""

Peak = Callable[[], float | None]
Run = Callable[[], object]


@dataclass(frozen=True)
class Sample:
    """One run: wall seconds, CPU seconds of all threads, the peaks before and after it in GFLOP/s."""

    wall: float
    cpu: float
    peaks: tuple[float, ...] = ()

    @property
    def peak(self) -> float | None:
        """The peak around the run; None where it cannot be measured."""
        return sum(self.peaks) / len(self.peaks) if self.peaks else None


Round = dict[str, Sample]
"""One run of every side, by its name."""


def steady(item: Round, names: Sequence[str]) -> bool:
    """Return whether the machine kept its speed around the runs of some sides in a round."""
    peaks = [peak for name in names for peak in item[name].peaks]
    return not peaks or max(peaks) <= (1 + MAX_PEAK_MOVE) * min(peaks)


@dataclass(frozen=True)
class Spread:
    """Median, quartiles and extremes of some measurements."""

    median: float
    q25: float
    q75: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of `values`, of which there is at least one."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0], values[0], values[0], 1)
        q25, median, q75 = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, q25, q75, min(values), max(values), len(values))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {name: getattr(self, name) for name in ("median", "q25", "q75", "least", "most", "count")}


def timed(run: Run) -> tuple[float, float]:
    """Return the wall and CPU seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def one_round(sides: Mapping[str, Run], order: Sequence[str], peak: Peak) -> Round:
    """Run every side once, in `order`, with the peak before, between and after."""
    samples = {}
    before = peak()
    for name in order:
        wall, cpu = timed(sides[name])
        after = peak()
        samples[name] = Sample(wall, cpu, tuple(value for value in (before, after) if value is not None))
        before = after
    return samples


def measure(sides: Mapping[str, Run], *, peak: Peak, rounds: int, warmup: int = 2) -> list[Round]:
    """Return rounds until `rounds` of them are steady for each pair of the first side with another.

    On a machine that does not keep its speed, there are at most `MAX_EXTRA` times as many.

    Args:
        sides: what to run, by name; the first is what the others are compared with.
        peak: the machine's FMA peak now, in GFLOP/s; None where it cannot be measured.
        rounds: steady rounds wanted.
        warmup: runs of every side that are not timed.
    """
    for _ in range(warmup):
        for run in sides.values():
            run()
    first, *others = names = list(sides)
    pairs = [[first, other] for other in others] or [[first]]
    done: list[Round] = []
    while len(done) < MAX_EXTRA * rounds:
        turn = len(done) % len(names)
        done.append(one_round(sides, names[turn:] + names[:turn], peak))
        if all(sum(steady(item, pair) for item in done) >= rounds for pair in pairs):
            break
    return done
