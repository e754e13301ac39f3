"""The GPU benchmarks' own logic, without a GPU: rows, floors, resuming, failures, tables."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.cases import Case
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import cases, runner, sides, tables, timing, worker
from benchmarks.gpu.record import RECORDS, GpuRecords
from benchmarks.gpu.sides import PRECISION, Sides, settings
from benchmarks.gpu.timing import PoisonError
from fastsnf import ops
from fastsnf.train.optimizers import make_optimizer
from fastsnf.train.updates import WARM_UP
from tests.train.tape import TapeGraphs

MACHINE = {
    "gpu": "A",
    "torch": "2",
    "triton": "3",
    "fastsnf": "0",
    "commit": "c",
    "cuda": "13",
    "python": "3",
}
SPREAD = {"median": 2e-3, "q25": 1e-3, "q75": 3e-3, "least": 1e-3, "most": 3e-3, "count": 50}


def figures(row: cases.Row, seconds: dict[str, float] | None = None) -> dict[str, Any]:
    """Return a row's figures as if they had been measured."""
    sides: dict[str, Any] = {}
    for side in row.sides:
        median = (seconds or {}).get(side, 2e-3)
        if row.kind == "memory":
            sides[side] = {"peak_bytes": int(1e6 * median), "bytes_a_point": 1.0}
        elif row.kind == "quality":
            sides[side] = {"psnr": [30.0, 31.0]}
        else:
            sides[side] = {"seconds": {**SPREAD, "median": median}, "ns_a_point": 1.0, "share": 0.5}
    return {"sides": sides, "errors": {}, "steps": 500}


@pytest.fixture
def records(tmp_path: Path) -> GpuRecords:
    """An empty folder's records."""
    return GpuRecords(tmp_path, "one", MACHINE)


def run(records: GpuRecords, rows: list[cases.Row], kinds: dict[str, Any]) -> tuple[int, list[str]]:
    """Measure rows with stand-ins; return the status and what was said."""
    said: list[str] = []
    return worker.measure_all(rows, records, kinds, {}, time.time() + 60, said.append), said


def test_rows_have_names_of_their_own_and_the_core_is_part_of_all() -> None:
    core, full = [[row.key for row in suite()] for suite in (cases.core, cases.full)]
    assert len(set(core)) == len(core)
    assert len(set(full)) == len(full)
    assert full[: len(core)] == core
    assert {"speed-train-gabor-256-131072", "speed-infer-sine-64-8388608"} <= set(full)


def test_every_floor_is_measured_by_the_core() -> None:
    rows = {row.key: row for row in cases.core()}
    for floor in cases.FLOORS:
        for points in cases.CORE_POINTS:
            row = rows[cases.speed("train", floor.width, points).key]
            assert {floor.side, floor.against} <= set(row.sides)
    assert set(cases.RATES) <= set(rows[cases.speed("infer", 256, cases.CORE_POINTS[1]).key].sides)
    assert set(cases.MEMORY) <= set(rows[cases.memory(256, cases.CORE_POINTS[0]).key].sides)


def test_a_row_is_written_at_once_and_never_measured_twice(records: GpuRecords) -> None:
    rows, calls = [cases.speed("train", 256, 131_072), cases.memory(256, 131_072)], []

    def measure(row: cases.Row, rates: dict[str, Any], until: float) -> dict[str, Any]:
        assert len(records.rows()) == len(calls)
        calls.append(row.key)
        return figures(row)

    kinds = {"speed": measure, "memory": measure}
    assert run(records, rows, kinds)[0] == 0
    status, said = run(records, rows, kinds)
    assert (status, len(calls), len(records.rows())) == (0, 2, 2)
    assert all("there already" in line for line in said)
    other = GpuRecords(records.path.parent, "two", {**MACHINE, "commit": "d"})
    run(other, rows, {"speed": lambda row, *_: figures(row), "memory": lambda row, *_: figures(row)})
    assert len(records.rows()) == 4


def test_a_line_cut_short_is_left_out(records: GpuRecords) -> None:
    records.add("a", "speed", figures(cases.speed("train", 256, 131_072)))
    with records.path.open("a", encoding="utf-8") as file:
        file.write('{"key": "b", ')
    records.add("c", "speed", {})
    assert [row["key"] for row in records.rows()] == ["a", "c"]


def test_a_failing_row_is_recorded_and_the_next_one_begins(records: GpuRecords) -> None:
    rows = [cases.speed("train", 256, 131_072), cases.memory(256, 131_072)]

    def fail(*_: Any) -> dict[str, Any]:
        raise torch.OutOfMemoryError("out of memory")

    kinds = {"speed": fail, "memory": lambda row, *_: figures(row)}
    status, _ = run(records, rows, kinds)
    assert status == 1
    assert [row["kind"] for row in records.rows()] == ["failure", "memory"]
    assert run(records, rows, kinds)[1][0].endswith("there already")
    again = GpuRecords(records.path.parent, "two", MACHINE)
    assert not again.settled(rows[0].key)
    assert again.settled(rows[1].key)


def test_a_side_that_breaks_the_gpu_is_left_out_by_the_next_worker(records: GpuRecords) -> None:
    rows, seen = [cases.speed("train", 256, 131_072)], []

    def measure(row: cases.Row, *_: Any) -> dict[str, Any]:
        seen.append(row.sides)
        if cases.FAST in row.sides:
            raise PoisonError(cases.FAST, "illegal memory access")
        return figures(row)

    assert run(records, rows, {"speed": measure})[0] == worker.POISONED
    assert run(records, rows, {"speed": measure})[0] == 1
    assert cases.FAST not in seen[1]
    assert records.rows()[-1]["errors"] == {cases.FAST: "illegal memory access"}


def test_no_row_begins_when_the_time_is_over(records: GpuRecords) -> None:
    said: list[str] = []
    assert worker.measure_all(cases.core(), records, {}, {}, time.time() - 1, said.append) == 0
    assert records.rows() == []
    assert said
    assert all("no time left" in line for line in said)


def test_errors_of_a_side_are_its_own_unless_the_gpu_is_gone() -> None:
    def broken() -> None:
        raise RuntimeError("a\n b")

    assert timing.attempt("x", lambda: None, lambda: None) is None
    assert timing.attempt("x", broken, lambda: None) == "RuntimeError: a b"
    with pytest.raises(PoisonError, match="x: RuntimeError"):
        timing.attempt("x", broken, broken)
    assert timing.rotated(["a", "b", "c"], 4) == ["b", "c", "a"]


def test_tables_say_what_holds_and_what_is_not_measured_yet(records: GpuRecords) -> None:
    assert tables.NOT_MEASURED in tables.document([], "x")
    row = cases.speed("train", 256, 131_072)
    seconds = {cases.EAGER_FP32: 8.2e-3, cases.EAGER_TF32: 3.8e-3, cases.COMPILED_TF32: 3e-3}
    records.add(row.key, "speed", {"case": row.case.to_dict(), **figures(row, seconds)})
    for other in (
        cases.memory(256, 131_072),
        cases.Row("quality", cases.QUALITY_CASE, (*cases.OURS, "eager-fp32")),
    ):
        records.add(other.key, other.kind, {"case": other.case.to_dict(), **figures(other)})
    records.add("x", "failure", {"error": "because"})
    text = tables.write(records.path.parent, "python -m benchmarks.gpu core")
    assert "| training step, W = 256, N = 131,072, tf32 against eager-fp32 | ≥ 4 × | 4.10 × | yes |" in text
    assert (
        "| training step, W = 256, N = 131,072, tf32 against eager-tf32 | ≥ 2 × | 1.90 × | **NO** |" in text
    )
    assert "N = 1,048,576, tf32 against eager-fp32 | ≥ 4 × | not measured yet | not measured yet |" in text
    assert "| memory of a training step, fast over eager | ≤ 0.28 × | 1.00 × | **NO** |" in text
    assert "eager fp32 − fast | ≤ 0.3 dB | +0.000 dB | yes |" in text
    assert "No figure: x : because" in text
    assert "A, torch 2, CUDA 13, triton 3" in text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["core", "--out", str(tmp_path)]) == 2
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert not (tmp_path / RECORDS).exists()


def test_a_worker_that_dies_leaves_a_failure_and_another_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = [-11, worker.POISONED, 0]

    def stand_in(arguments: list[str], seconds: float, text: str) -> int:
        Path(json.loads(text)["current"]).write_text("row-key", encoding="utf-8")
        return statuses.pop(0)

    monkeypatch.setattr(runner, "command", stand_in)
    assert runner.measure("core", tmp_path, "one", time.time() + 60) == 1
    assert statuses == []
    lines = (tmp_path / RECORDS).read_text(encoding="utf-8").splitlines()
    assert [(json.loads(line)["key"], json.loads(line)["kind"]) for line in lines] == [("row-key", "failure")]


@pytest.mark.parametrize("work", ["train", "infer"])
def test_sides_run_each_in_its_arithmetic(work: str) -> None:
    """On the CPU: eager's sides, and fastsnf's in Triton's interpreter where it is on."""
    pytest.importorskip("triton")
    row = cases.Row("speed", Case("train" if work == "train" else "infer", 16, 40), ())
    found = Sides.of(row, "cpu")
    with settings(cases.EAGER_TF32):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == "highest"
    for side in (cases.EAGER_FP32, cases.EAGER_TF32):
        found.run(side)()
    if torch.cuda.is_available():
        return
    for side in cases.OURS:  # the interpreter takes its time: one side of each work runs
        with settings(side):
            x, layers, spec = found.problem.x, found.problem.field.layer_tensors(), found.problem.field.spec
            assert ops.choose("auto", x, layers[0], spec) == ("triton", PRECISION[side])
    found.launched(cases.PHASES if work == "train" else cases.FAST)()


class CallsAgain(TapeGraphs):
    """Graphs whose replay calls the work again."""

    def record(self, work: Any) -> Any:
        self.records += 1
        return work, work()


def reference_settings(side: str) -> contextlib.AbstractContextManager[Any]:
    """Stand in for the engine's settings: quick, on the CPU."""
    return ops.use_engine("reference")


def test_fastsnfs_training_rows_replay_what_the_trainer_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "settings", reference_settings)
    # Torch lets these updates be recorded on GPUs alone; what they compute is the same here.
    monkeypatch.setattr(
        sides, "make_optimizer", lambda config, params, recorded: make_optimizer(config, params)
    )
    graphs = TapeGraphs()
    found = replace(
        Sides.of(cases.Row("speed", Case("train", 16, 40), ()), "cpu"), graphs=lambda device: graphs
    )
    before = found.problem.field.layer_tensors()[0][0].clone()
    run = found.run(cases.TF32)
    assert (graphs.records, graphs.replays) == (1, 1)
    for _ in range(3):
        run()
    assert (graphs.records, graphs.replays) == (1, 4)
    found.run(cases.LAUNCHED_TF32)()
    found.launched(cases.TF32)()
    found.run(cases.EAGER_FP32)()
    assert graphs.replays == 4
    assert torch.equal(found.problem.field.layer_tensors()[0][0], before), "sides have copies"


def test_a_step_that_cannot_be_recorded_is_an_error_of_its_side(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refuses(TapeGraphs):
        def record(self, work: Any) -> Any:
            raise RuntimeError("not here")

    monkeypatch.setattr(sides, "settings", reference_settings)
    monkeypatch.setattr(
        sides, "make_optimizer", lambda config, params, recorded: make_optimizer(config, params)
    )
    row = cases.Row("speed", Case("train", 16, 40), ())
    found = replace(Sides.of(row, "cpu"), graphs=lambda device: Refuses())
    with pytest.raises(RuntimeWarning, match="not here"):
        found.run(cases.TF32)


def test_inference_is_replayed_where_the_side_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "settings", reference_settings)
    graphs = CallsAgain()
    row = cases.Row("speed", Case("infer", 16, 40), ())
    found = replace(Sides.of(row, "cpu"), graphs=lambda device: graphs)
    found.run(cases.FAST)()
    assert graphs.records == 0
    found.run(cases.REPLAYED_FAST)()
    assert (graphs.records, graphs.asides) == (1, WARM_UP)


def test_sides_of_graphs_are_measured_where_the_host_decides() -> None:
    small, large = (set(cases.speed("train", 256, points).sides) for points in cases.CORE_POINTS)
    assert small - large == {cases.LAUNCHED_TF32, cases.REDUCED_FP32, cases.REDUCED_TF32}
    small, large = (set(cases.speed("infer", 256, points).sides) for points in cases.CORE_POINTS)
    assert {cases.REPLAYED_TF32, cases.REPLAYED_FAST} <= small - large
    fastsnfs = {side for row in cases.full() for side in row.sides if side in PRECISION}
    assert fastsnfs == set(PRECISION)


def test_the_fastest_mode_of_torch_compile_is_what_a_floor_is_judged_by(records: GpuRecords) -> None:
    floor = cases.Floor(256, cases.TF32, cases.COMPILED_TF32, 1.4)
    row, found = cases.speed("train", 256, 131_072), {}
    assert tables.floor_ratio(found, floor, 131_072) == (None, cases.COMPILED_TF32)
    times = {cases.COMPILED_TF32: 4e-3, cases.REDUCED_TF32: 3e-3, cases.REDUCED_FP32: 1e-3}
    found[row.key] = figures(row, times)
    assert tables.floor_ratio(found, floor, 131_072) == (pytest.approx(1.5), cases.REDUCED_TF32)
    autotuned = cases.autotuned()
    found[autotuned.key] = figures(autotuned, {cases.AUTOTUNED_TF32: 2.4e-3})
    assert tables.floor_ratio(found, floor, 131_072) == (pytest.approx(1.2), cases.AUTOTUNED_TF32)
    assert tables.floor_ratio(found, floor, 1_048_576)[0] is None
    eager = cases.Floor(256, cases.TF32, cases.EAGER_TF32, 2.0)
    assert tables.floor_ratio(found, eager, 131_072) == (pytest.approx(1.0), cases.EAGER_TF32)


def test_what_is_missing_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name in ("torch", "triton") else "there")
    assert command.main(["core", "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert "lacks torch, triton: " in line
    assert "PYTHON=" in line


def test_the_runner_needs_nothing_to_say_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "benchmarks.gpu", "core"],
        cwd=runner.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_a_command_that_is_out_of_time_leaves_no_child(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = f"import time, pathlib; time.sleep(1.3); pathlib.Path({str(mark)!r}).touch()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {child!r}])"
    assert runner.command(["-S", "-c", code], 0.1) == 124
    time.sleep(0.5)
    assert not mark.exists()
    assert runner.command(["-S", "-c", "import sys; sys.exit(int(sys.stdin.read()))"], 9.0, "7") == 7


def test_every_gpu_test_runs_in_one_process() -> None:
    names = [name for name, _ in runner.test_runs()]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("test_results.py") for name in names) == 4
    assert {"test_fit.py", "test_sine.py"} <= set(names)
    seconds = runner.WARM_SECONDS + runner.TEST_SECONDS
    assert 60 * command.CORE_MINUTES - seconds >= 210
    assert 60 * command.CORE_MINUTES + runner.LEAVE_SECONDS < 540
