"""The GPU benchmarks of NTK blocks and adjusted steps, without a GPU: rows, floors, tables, the steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import cases, ntk, runner, sides, tables
from benchmarks.gpu.record import GpuRecords
from benchmarks.sides import Run
from fastsnf import ops, reference
from fastsnf.train.optimizers import make_optimizer
from tests.benchmarks.test_gpu_runs import MACHINE, SPREAD
from tests.train.tape import TapeGraphs

SMALL = replace(cases.adjusted("fp32").case, width=16, points=48 * 64, shape=(48, 64), patch=8)


def figures(row: cases.Row, medians: dict[str, float], **more: Any) -> dict[str, Any]:
    """Return a row's figures as if they had been measured."""
    sides = {
        side: {"seconds": {**SPREAD, "median": median}, "tflop_s": 20.0, **more}
        for side, median in medians.items()
    }
    return {"case": row.case.to_dict(), "sides": sides, "errors": {}, "error": 1e-7}


def test_every_floor_is_measured_by_the_core() -> None:
    rows = {row.key: row for row in cases.core()}
    assert {cases.CUDA, cases.EAGER_FP32} <= set(rows[cases.gram(64).key].sides)
    assert cases.CUDA_REPLAYED in rows[cases.gram(1).key].sides
    for precision in ("fp32", "tf32"):
        assert {cases.PLAIN, *cases.SAMPLES} == set(rows[cases.adjusted(precision).key].sides)


def test_flops_are_those_of_the_issue() -> None:
    """n^2 sum(fan_in + fan_out), 2 -> 256 -> 256 -> 256 -> 256 -> 3."""
    case = cases.gram(64).case
    assert case.flops == 64 * 512**2 * (258 + 3 * 512 + 259)
    assert case.to_dict()["batch"] == 64


def test_tables_say_what_holds_and_what_is_not_measured_yet(tmp_path: Path) -> None:
    records = GpuRecords(tmp_path, "one", MACHINE)
    text = tables.write(tmp_path, "x")
    many, one, step = cases.gram(64), cases.gram(1), cases.adjusted("fp32")
    shares = {"share": 0.45, "share_of_specified": 0.38}
    records.add(many.key, "ntk", figures(many, {cases.CUDA: 1e-3, cases.EAGER_FP32: 2.9e-3}, **shares))
    records.add(one.key, "ntk", figures(one, {cases.CUDA_REPLAYED: 50e-6}, **shares))
    records.add(step.key, "iga", figures(step, {cases.PLAIN: 4e-3, "center": 4.8e-3, "random": 6e-3}))
    text = tables.write(tmp_path, "x")
    assert "of the FMA peak measured | ≥ 40 % | 45 % | yes |" in text
    assert "against eager fp32 | ≥ 3 × | 2.90 × | **NO** |" in text
    assert "B = 1, n = 512, W = 256, on the device | ≤ 60 µs | 50.0 µs | yes |" in text
    assert "over the plain one, fp32, center | ≤ 1.25 × | 1.20 × | yes |" in text
    assert "over the plain one, fp32, random | ≤ 1.25 × | 1.50 × | **NO** |" in text
    assert "over the plain one, fp32, argmax_lagged | ≤ 1.25 × | not measured yet |" in text
    assert "| B = 64, n = 512, W = 256 | cuda | 1000.0 (1000.0–3000.0) | 20 | 45 % | 38 % | 2.90 × |" in text
    assert "768 × 512 RGB, patches of 32, 4 layers of 256, end 20, fp32 | center | 4.800" in text


def test_eagers_formula_is_the_references() -> None:
    case = replace(cases.gram(2).case, points=9, width=5)
    operands = ntk.Operands(case, "cpu")
    expected = reference.ntk.ntk_gram(operands.inputs, operands.cotangents, [True] * 5)
    torch.testing.assert_close(operands.eager(), expected)


def test_a_wrong_result_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    operands = ntk.Operands(replace(cases.gram(2).case, points=9, width=5), "cpu")

    def gram(inputs: Any, cotangents: Any, engine: str) -> torch.Tensor:
        bias = [wrong] + [True] * 4
        return reference.ntk.ntk_gram(inputs, cotangents, bias)

    monkeypatch.setattr(ops, "ntk_gram", gram)
    wrong = True
    assert operands.check() <= ntk.MOST_ERROR
    wrong = False
    with pytest.raises(ValueError, match="from float64"):
        operands.check()


def made(side: str, monkeypatch: pytest.MonkeyPatch, graphs: TapeGraphs) -> Run:
    """Return a small step of a side on the CPU, by plain operations."""
    # Torch lets these updates be recorded on GPUs alone; what they compute is the same here.
    monkeypatch.setattr(
        sides, "make_optimizer", lambda config, params, recorded: make_optimizer(config, params)
    )
    return ntk.step(SMALL, side, "cpu", lambda device: graphs, engine="reference")


def test_steps_of_every_side(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = TapeGraphs()
    with ops.use_engine("reference"):
        for side in (cases.PLAIN, *cases.SAMPLES):
            run = made(side, monkeypatch, graphs)
            run()
            run()
    assert graphs.records == 1


def test_steps_on_another_engine_are_refused() -> None:
    with ops.use_engine("reference"), pytest.raises(RuntimeError, match="takes reference"):
        ntk.step(SMALL, "center", "cpu")


def test_a_module_that_is_not_built_is_said_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "neither the module nor a cause" in runner.not_built("_cuda", tmp_path)
    (tmp_path / "_cuda_not_built.txt").write_text("no nvcc\n")
    assert runner.not_built("_cuda", tmp_path) == "no nvcc"
    monkeypatch.setattr(runner, "command", lambda *_: 0)
    monkeypatch.setattr(runner, "not_built", lambda name: "no nvcc" if name == "_cuda" else "")
    assert runner.build(1.0) == 1
    assert "the CUDA extension was not built: no nvcc" in capsys.readouterr().out
    monkeypatch.setattr(runner, "not_built", lambda name: "" if name == "_cuda" else "no g++")
    assert runner.build(1.0) == 0
    assert "the native CPU engine was not built: no g++" in capsys.readouterr().out
