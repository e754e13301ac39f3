from __future__ import annotations

import pytest

from fastsnf.train.pacing import Clock, LogPace, LookPace, PreviewPace


@pytest.fixture
def now(monkeypatch):
    """A clock that the test moves: ``now[0]`` seconds."""
    moment = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: moment[0])
    return moment


def test_clock_counts_asides_apart(now):
    clock = Clock()
    now[0] += 3
    with clock.aside():
        now[0] += 2
    now[0] += 1
    assert clock.seconds == 6
    assert clock.steps_of(clock.seconds) == 4


def test_clock_goes_on_from_a_checkpoint(now):
    clock = Clock(50.0, 40.0)
    now[0] += 3
    with clock.aside():
        now[0] += 2
    assert clock.seconds == 55
    assert clock.steps_of(clock.seconds) == 43


def test_rows_are_bounded_in_a_long_run():
    pace = LogPace(None)
    assert pace.due(1, 0.001)
    assert not pace.due(2, 0.04)
    assert pace.due(3, 0.06)
    rows = sum(pace.due(step, 0.1 * step) for step in range(1, 1_000_000))  # 28 hours of 10 steps a second
    assert 5_000 < rows < 30_000


def test_looks_are_rare_but_where_something_is_due():
    assert all(LookPace(1).due(step) for step in range(5))
    pace = LookPace(16)
    assert [step for step in range(1, 50) if pace.due(step)] == [1, 16, 32, 48]
    resumed = LookPace(16)
    assert [step for step in range(20, 50) if resumed.due(step)] == [20, 32, 48]
    exact = LookPace(16, [10, 12])
    assert [step for step in range(1, 40) if exact.due(step)] == [1, 10, 12, 16, 20, 24, 30, 32, 36]


def test_rows_every_so_many_steps():
    pace = LogPace(4)
    assert [step for step in range(1, 13) if pace.due(step, 0.0)] == [4, 8, 12]


def test_previews_start_early_and_cost_little():
    pace, seconds, spent = PreviewPace(None, 0.0), 0.0, 0.0
    first = None
    while seconds < 1000:
        if pace.due(seconds, estimate=1.0):
            first = seconds if first is None else first
            seconds += 1.5
            spent += 1.5
            pace.done(seconds, 1.5)
        seconds += 0.1
    assert first == pytest.approx(2.0, abs=0.11)
    assert spent / seconds < 0.035


def test_a_costly_first_preview_waits():
    pace = PreviewPace(None, 10.0)
    assert not pace.due(40.0, estimate=60.0)
    assert pace.due(71.0, estimate=60.0)


def test_previews_by_the_users_interval():
    pace = PreviewPace(0.5, 0.0)
    assert not pace.due(0.4, estimate=9.0)
    assert pace.due(0.5, estimate=9.0)
    pace.done(0.6, 0.1)
    assert not pace.due(1.0, 9.0)
    assert pace.due(1.1, 9.0)
    assert not PreviewPace(0, 0.0).due(1e9, 0.0)
