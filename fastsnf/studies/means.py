"""Means and deviations over the finished rows of a study."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from fastsnf.studies.study import Outcome, results


def values(outcomes: Sequence[Outcome], key: str, **facts: Any) -> list[float]:
    """Return a figure of all finished rows with the given facts that have it."""
    return [float(result[key]) for result in results(outcomes, **facts) if result[key] is not None]


def mean(numbers: Sequence[float | None]) -> float | None:
    """Return the mean, None for no numbers or where one is missing.

    >>> mean([1.0, 2.0]), mean([]), mean([1.0, None])
    (1.5, None, None)
    """
    there = [number for number in numbers if number is not None]
    return statistics.fmean(there) if there and len(there) == len(numbers) else None


def deviation(numbers: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample, None for fewer than two numbers.

    >>> deviation([1.0, 3.0]), deviation([1.0])
    (1.4142135623730951, None)
    """
    return statistics.stdev(numbers) if len(numbers) > 1 else None
