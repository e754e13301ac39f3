from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from benchmarks import summary, timer
from benchmarks.timer import Round, Sample, Spread


def peaks(*values: float) -> Callable[[], float]:
    """Return a peak meter that gives `values`, then the last of them for ever."""

    def read() -> Iterator[float]:
        yield from values
        while True:
            yield values[-1]

    source = read()
    return lambda: next(source)


def test_sides_take_turns_in_rotating_order() -> None:
    calls: list[str] = []
    sides = {name: lambda name=name: calls.append(name) for name in "abc"}
    timer.measure(sides, peak=lambda: 100.0, rounds=3, warmup=1)
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab"


def test_a_round_in_which_the_peak_moved_is_replaced() -> None:
    rounds = timer.measure({"a": lambda: None}, peak=peaks(100, 80, 100), rounds=2, warmup=0)
    assert [timer.steady(item, ["a"]) for item in rounds] == [False, True, True]
    assert rounds[0]["a"].peak == 90


def test_a_machine_that_never_is_steady_ends_and_gives_no_figure() -> None:
    jumping = peaks(*[100, 50] * 50)
    rounds = timer.measure({"fastsnf": lambda: None}, peak=jumping, rounds=3, warmup=0)
    assert len(rounds) == 3 * timer.MAX_EXTRA
    assert not any(timer.steady(item, ["fastsnf"]) for item in rounds)
    record = summary.of_rounds(rounds, ["fastsnf"], flops=1)
    assert record["sides"] == record["ratios"] == {}


def test_a_peak_that_moved_around_one_side_spares_the_other_pair() -> None:
    def one(fast: float) -> Round:
        steady, moved = (100.0, 100.0), (100.0, 50.0)
        eager, compiled = Sample(3 * fast, 1.0, steady), Sample(2 * fast, 1.0, moved)
        return {"fastsnf": Sample(fast, 1.0, steady), "eager": eager, "compile": compiled}

    record = summary.of_rounds([one(1.0), one(2.0), one(3.0)], ["fastsnf", "eager", "compile"], flops=1)
    assert record["ratios"] == {"eager": 3.0}
    assert record["rounds_steady"] == {"fastsnf": 3, "eager": 3, "compile": 0}


def test_without_a_peak_every_round_counts() -> None:
    rounds = timer.measure({"fastsnf": lambda: None}, peak=lambda: None, rounds=3, warmup=0)
    assert len(rounds) == 3
    assert summary.of_rounds(rounds, ["fastsnf"], flops=1)["sides"]["fastsnf"]["share"] is None


def test_spread_is_median_and_quartiles() -> None:
    assert Spread.of([5, 1, 3, 2, 4]) == Spread(3, 2, 4, 1, 5, 5)
    assert Spread.of([7.0]) == Spread(7, 7, 7, 7, 7, 1)


def test_ratio_is_of_medians_and_share_is_of_each_runs_own_peak() -> None:
    def one(fast: float, eager: float, peak: float) -> Round:
        around = (peak, peak)
        return {"fastsnf": Sample(fast, 2 * fast, around), "eager": Sample(eager, eager, around)}

    rounds = [one(1.0, 4.0, 10.0), one(2.0, 6.0, 5.0), one(4.0, 8.0, 2.5)]
    record = summary.of_rounds(rounds, ["fastsnf", "eager"], flops=8_000_000_000)
    assert record["ratios"] == {"eager": 3.0}
    share = record["sides"]["fastsnf"]["share"]
    assert (share["least"], share["most"]) == (pytest.approx(0.8), pytest.approx(0.8))
    assert record["sides"]["fastsnf"]["cpu_seconds"]["median"] == 4.0
    assert record["sides"]["fastsnf"]["gflop_s"] == 4.0
