"""What a user sees while a fit runs: on a terminal one live line, elsewhere a line now and then."""

import io
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

import fastsnf
from fastsnf.cli import counter, progress
from fastsnf.cli.counter import Counter, clock
from fastsnf.cli.progress import Header, Progress, progress_line, time_left
from fastsnf.cli.signal_lines import bytes_text


def state(**changes):
    """A fit in progress, as the trainer shows it to its callbacks."""
    values = {
        "step": 50,
        "max_steps": 200,
        "seconds": 10.0,
        "points_seen": 20_000_000,
        "loss": 1.25e-3,
        "psnr": 29.03,
        "config": fastsnf.FitConfig(),
        "run": Path("runs/photo"),
        "signal": SimpleNamespace(default_name="reconstruction.png"),
    }
    return SimpleNamespace(**{**values, **changes})


def test_the_line_names_step_loss_psnr_speed_and_time_left():
    line = progress_line(state())
    assert line == "step 50/200  loss 1.250e-03  PSNR 29.03 dB  2.00 M points/s  30.0 s left"


def test_the_line_leaves_out_what_is_not_known():
    line = progress_line(state(max_steps=None, loss=None, psnr=float("nan"), seconds=0.0))
    assert line == "step 50  0.0 s"


def test_the_speed_of_a_resumed_run_is_that_of_this_session():
    assert "4.00 M points/s" in progress_line(state(), start=(12_000_000, 8.0))


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 30.0),
        ({"step": 0}, None),
        ({"max_steps": None}, None),
        ({"config": fastsnf.FitConfig(time_limit=12.0)}, 2.0),
        ({"config": fastsnf.FitConfig(time_limit=5.0)}, 0.0),
        ({"config": fastsnf.FitConfig(time_limit=100.0)}, 30.0),
    ],
)
def test_time_left_is_that_of_the_nearest_end(changes, seconds):
    assert time_left(state(**changes)) == seconds


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1:00"), (3599, "59:59"), (86_400, "24:00:00")],
)
def test_durations_are_for_people(seconds, shown):
    assert clock(seconds) == shown


def follow(console, steps, monkeypatch, seconds_a_step=1.0):
    """Drive the callback through `steps` rows of metrics, so many seconds apart on its clock."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    watcher = Progress(console)
    watcher.on_start(state(step=0, points_seen=0, seconds=0.0))
    for step in range(1, steps + 1):
        now[0] = step * seconds_a_step
        watcher.on_log({}, state(step=step, max_steps=steps))
    watcher.on_preview(state(preview=None))
    watcher.on_preview(state(preview=None))
    watcher.on_end(SimpleNamespace())
    watcher.close()


def test_a_preview_of_a_sample_says_what_it_measured(capsys):
    stream = io.StringIO()
    preview = SimpleNamespace(sampled=262_144, metrics={"psnr": 20.0, "iou": 0.9})
    Progress(Console(file=stream, width=200)).on_preview(state(preview=preview))
    assert stream.getvalue() == "preview at 262,144 points: PSNR 20.00 dB, IoU 0.9000\n"


def test_a_reconstruction_that_is_not_there_is_not_announced(tmp_path):
    stream = io.StringIO()
    watcher = Progress(Console(file=stream, width=200))
    watcher.on_preview(state(preview=None, run=tmp_path / "nowhere"))
    assert not stream.getvalue()


def test_without_a_terminal_lines_are_plain_and_few(monkeypatch, tmp_path):
    stream = io.StringIO()
    monkeypatch.chdir(tmp_path)
    Path("runs/photo").mkdir(parents=True)
    Path("runs/photo/reconstruction.png").touch()
    follow(Console(file=stream, width=20), 21, monkeypatch)
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines[:-1]] == ["1/21", "6/21", "11/21", "16/21", "21/21"]
    where = "runs/photo/reconstruction.png"
    assert lines[-1] == f"a first reconstruction is in {where}, renewed as the fit goes on"
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_on_a_terminal_there_is_one_live_line_that_leaves_nothing_behind(monkeypatch, width):
    stream = io.StringIO()
    follow(Console(file=stream, force_terminal=True, width=width, legacy_windows=False), 9, monkeypatch)
    shown = stream.getvalue()
    assert ("━" in shown) == (width == 120)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert all(f"step {step}/9" in text for step in range(1, 10))
    assert "left" in text
    assert shown.count("\n") <= 2
    assert shown.rstrip().endswith("\x1b[2K")
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1


def test_the_live_line_is_drawn_at_most_ten_times_a_second(monkeypatch):
    stream = io.StringIO()
    follow(Console(file=stream, force_terminal=True, width=120), 100, monkeypatch, seconds_a_step=0.01)
    # One more each for the print above it and for its end.
    assert 8 <= stream.getvalue().count("points/s") <= 10 + 2


def test_the_header_names_the_engine_and_why_a_faster_one_cannot():
    stream = io.StringIO()
    image = fastsnf.signals.Image.from_array(np.zeros((4, 4), dtype=np.uint8))
    field = fastsnf.SNF(2, 1, hidden_features=4).double()
    fastsnf.fit(field, image, steps=1, callbacks=[Header(Console(file=stream, width=400), "photo.png")])
    shown = stream.getvalue()
    assert "photo.png: image, 4 x 4, 1 channel; 16 points" in shown
    assert "engine  reference on cpu, " in shown
    assert ", fp64 (native: " in shown
    assert "run " not in shown


def count(console, monkeypatch, seconds):
    """Tell a counter of parts of a piece of work that takes so long."""
    now = [0.0]
    monkeypatch.setattr(counter.time, "monotonic", lambda: now[0])
    told = Counter(console, "voxels")
    for done in range(1, 101):
        now[0] = done * seconds / 100
        told(done, 100)
    told.close()
    told.close()


def test_nothing_is_said_of_work_that_is_done_at_once(monkeypatch):
    stream = io.StringIO()
    count(Console(file=stream), monkeypatch, 0.9)
    assert stream.getvalue() == ""


def test_long_work_is_counted_with_the_time_left(monkeypatch):
    stream = io.StringIO()
    count(Console(file=stream, width=20), monkeypatch, 20.0)
    lines = stream.getvalue().splitlines()
    assert lines == [
        *("voxels  5 %  19.0 s left", "voxels  30 %  14.0 s left"),
        *("voxels  55 %  9.0 s left", "voxels  80 %  4.0 s left"),
    ]


def test_on_a_terminal_a_count_is_one_line_that_leaves_nothing_behind(monkeypatch):
    stream = io.StringIO()
    count(Console(file=stream, force_terminal=True, width=80, legacy_windows=False), monkeypatch, 5.0)
    shown = stream.getvalue()
    assert "voxels  25 %" in shown
    assert shown.rstrip().endswith("\x1b[2K")
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1


def test_a_long_last_evaluation_is_counted(monkeypatch):
    now = [0.0]
    stream = io.StringIO()
    monkeypatch.setattr(counter.time, "monotonic", lambda: now[0])
    watcher = Progress(Console(file=stream, width=20))
    watcher.on_start(state(step=0, points_seen=0, seconds=0.0))
    for done in (0, 10, 50, 100):
        now[0] = done / 5
        watcher.on_evaluate(done, 100, state())
    watcher.on_end(SimpleNamespace())
    assert stream.getvalue().splitlines()[0] == "final evaluation  10 %  18.0 s left"
    assert "final evaluation  100 %" in stream.getvalue()


def test_the_header_has_the_memory_and_what_else_it_is_given():
    stream = io.StringIO()
    image = fastsnf.signals.Image.from_array(np.zeros((4, 4), dtype=np.uint8))
    shown = Header(Console(file=stream, width=400), "photo.png", [("recipe", "ws-image: of a paper")])
    fastsnf.fit(fastsnf.SNF(2, 1, hidden_features=4), image, steps=1, callbacks=[shown])
    lines = stream.getvalue().splitlines()
    assert any(line.startswith("memory  ") and "planned" in line for line in lines)
    assert lines[-1] == "recipe  ws-image: of a paper"


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (999, "999 B"), (1.5e3, "1.5 kB"), (3e15, "3000.0 TB")]
)
def test_bytes_are_for_people(size, shown):
    assert bytes_text(size) == shown
