"""Timing of several sides of a comparison, alternating, with the machine's peak measured around each run.

Shared machines change speed by 2x within seconds. So no figure is taken alone: the sides run in turn, in an
order that rotates from round to round; the peak is measured before and after each run; and a round in which
the peak moved by more than `MAX_PEAK_MOVE` is thrown out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_PEAK_MOVE = 0.10
"""A round is kept while its largest measured peak is at most this much above its smallest."""

Peak = Callable[[], float | None]
Run = Callable[[], object]


@dataclass(frozen=True)
class Sample:
    """One run: wall seconds, CPU seconds of all threads, the peak around it in GFLOP/s (None: unknown)."""

    wall: float
    cpu: float
    peak: float | None


@dataclass(frozen=True)
class Round:
    """One run of every side, and how far the peak moved meanwhile: largest / smallest - 1."""

    samples: dict[str, Sample]
    peak_move: float

    @property
    def steady(self) -> bool:
        """Whether the machine kept its speed during the round."""
        return self.peak_move <= MAX_PEAK_MOVE


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
    peaks = [peak()]
    samples = {}
    for name in order:
        wall, cpu = timed(sides[name])
        peaks.append(peak())
        before, after = peaks[-2:]
        around = None if before is None or after is None else (before + after) / 2
        samples[name] = Sample(wall, cpu, around)
    known = [value for value in peaks if value is not None]
    return Round(samples, max(known) / min(known) - 1 if known else 0.0)


def measure(
    sides: Mapping[str, Run], *, peak: Peak, rounds: int, warmup: int = 2, extra: int | None = None
) -> list[Round]:
    """Return `rounds` steady rounds, or all there were after `extra` more (as many again when None).

    Args:
        sides: what to run, by name.
        peak: the machine's FMA peak now, in GFLOP/s; None where it cannot be measured.
        rounds: steady rounds wanted.
        warmup: runs of every side that are not timed.
        extra: rounds allowed beyond `rounds` to replace unsteady ones.
    """
    for _ in range(warmup):
        for run in sides.values():
            run()
    names = list(sides)
    done: list[Round] = []
    for index in range(rounds + (rounds if extra is None else extra)):
        if sum(item.steady for item in done) >= rounds:
            break
        turn = index % len(names)
        done.append(one_round(sides, names[turn:] + names[:turn], peak))
    return done
