"""Each runner once, at toy sizes: what it writes, not how long it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from benchmarks import __main__ as runner
from benchmarks import cases, child, floors, kodak, memory, tables, time_to_psnr, worker
from benchmarks.child import INSTALLED, KEPT
from benchmarks.record import CSV, JSONL, Records
from benchmarks.time_to_psnr import Settings
from benchmarks.worker import Job


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """The record of one toy job, measured in a child process."""
    job = Job("train-100", ("fastsnf", "eager"), KEPT, rounds=3, warmup=1, points=64)
    return worker.in_child(job)


def test_a_record_says_what_where_and_with_what(record: dict[str, Any]) -> None:
    assert (record["case"], record["points"], record["allocator"]) == ("train-100", 64, KEPT)
    assert record["engine"] in ("native", "reference")
    assert {"cpu", "threads", "torch", "fastsnf", "commit"} <= record["machine"].keys()
    assert record["rounds"] >= record["rounds_steady"]["fastsnf"]
    assert record["floor_ratio"] is None


def test_allocators_are_environments_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    kept = child.environment(KEPT)
    assert int(kept["MALLOC_TRIM_THRESHOLD_"]) > 2**30
    plain = child.environment(INSTALLED, "avx2")
    assert "MALLOC_TRIM_THRESHOLD_" not in plain
    assert plain[child.VARIANT_VARIABLE] == "avx2"


def test_a_failing_child_is_an_error_with_its_last_line() -> None:
    with pytest.raises(RuntimeError, match=r"exit status 1: .*unexpected"):
        child.run("benchmarks.worker", {"unexpected": 1}, child.environment(KEPT))


def measured(ratio: float, share: float) -> dict[str, Any]:
    """Return a record of train-256 as if these figures had been measured."""
    spread = {"median": share, "q25": share, "q75": share}
    side = {"seconds": {"median": 0.2}, "share": spread}
    case = cases.find("train-256").to_dict()
    ratios = {"eager": ratio, "compile": 2.0}
    sides = {"fastsnf": side, "eager": side}
    machine = {"cpu": "a", "threads": 2, "torch": "2", "fastsnf": "0", "variant": "avx512"}
    more = {"allocator": KEPT, "rounds": 5, "time": "now", "engine": "native", "machine": machine}
    return {**case, **more, "sides": sides, "ratios": ratios}


@pytest.mark.parametrize(("ratio", "share", "word"), [(3.3, 0.8, "yes"), (3.1, 0.8, "NO"), (3.3, 0.7, "NO")])
def test_a_row_holds_when_both_floors_do(ratio: float, share: float, word: str) -> None:
    row = measured(ratio, share)
    assert all(item.holds for item in floors.verdicts(row)) == (word == "yes")
    assert word in tables.verdict(row)
    assert f"{ratio:.2f} ×" in tables.speed_table([row])


def test_a_row_without_steady_rounds_is_not_judged() -> None:
    row = measured(3.3, 0.8) | {"sides": {}, "ratios": {}}
    assert "not measured" in tables.verdict(row)
    assert "not measured" in tables.speed_table([row])


def test_the_as_installed_ratio_stands_in_the_row_of_the_kept_one() -> None:
    kept = measured(3.3, 0.8)
    installed = measured(9.9, 0.8) | {"allocator": INSTALLED}
    assert floors.verdicts(installed) == []
    text = tables.speed_table([kept, installed])
    assert len(text.splitlines()) == 3
    assert "9.90 ×" in text


def test_records_are_written_one_by_one(tmp_path: Path, record: dict[str, Any]) -> None:
    records = Records(tmp_path / "results")
    for count in (1, 2):
        records.add(record)
        lines = (tmp_path / "results" / JSONL).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["case"] for line in lines] == ["train-100"] * count
    assert "machine.cpu" in (tmp_path / "results" / CSV).read_text(encoding="utf-8").splitlines()[0]


def test_memory_of_a_step_counts_what_eager_keeps() -> None:
    row = memory.in_child("eager", points=20_000, width=64)
    assert row["peak_mb"] > 20_000 * 64 * 4 * 4 / 1e6
    assert row["limit_mb"] is None
    assert "eager" in tables.memory_table([row])


def test_eager_is_left_out_where_it_does_not_fit() -> None:
    assert memory.fits_eager(1000, 256, 4, 2**34)
    assert not memory.fits_eager(1_048_576, 256, 4, 2**32)
    assert not memory.fits_eager(1000, 256, 4, None)


@pytest.mark.parametrize(("side", "init"), time_to_psnr.ARMS)
def test_time_to_a_quality_reaches_it(side: str, init: str) -> None:
    row = time_to_psnr.measure(side, init, Settings(size=8, width=32, target_db=15.0, limit_s=60.0))
    assert row["reached"]
    assert row["psnr"] >= 15
    assert init in tables.psnr_table([row])


def test_the_runner_writes_tables_and_prints_json(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    record: dict[str, Any],
) -> None:
    monkeypatch.setattr(runner, "tasks", lambda suite, quick: iter([("one", lambda: record)]))
    assert runner.main(["train", "--quick", "--json", "--out", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["case"] == "train-100"
    assert "python -m benchmarks train --quick" in (tmp_path / runner.TABLES).read_text(encoding="utf-8")


def test_a_red_gate_gives_no_figure_and_a_failing_exit_and_the_rest_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    record: dict[str, Any],
) -> None:
    def red() -> dict[str, Any]:
        raise RuntimeError("d_weight[1] is wrong")

    monkeypatch.setattr(runner, "tasks", lambda *_: iter([("red", red), ("green", lambda: record)]))
    assert runner.main(["train", "--out", str(tmp_path)]) == 1
    assert "d_weight[1] is wrong" in capsys.readouterr().err
    assert "No figure: d_weight[1] is wrong" in (tmp_path / runner.TABLES).read_text(encoding="utf-8")
    assert len((tmp_path / JSONL).read_text(encoding="utf-8").splitlines()) == 1


def test_every_case_has_its_jobs() -> None:
    names = [name for name, _ in runner.tasks("all", quick=True)]
    assert "train-256, allocator kept" in names
    assert "train-256, allocator installed" in names
    assert "memory, fastsnf" in names
    assert len(set(names)) == len(names)


def test_kodak_compares_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.linspace(0, 255, 24)[:, None] * np.ones((1, 36))
    Picture.fromarray(np.stack([rows] * 3, axis=-1).astype("uint8")).save(tmp_path / "a.png")
    options = ["--image", str(tmp_path / "a.png"), "--steps", "5", "--size", "16", "--width", "16"]
    assert kodak.main([*options, "--out", str(tmp_path)]) == 0
    row = json.loads((tmp_path / "kodak.json").read_text(encoding="utf-8"))
    assert row["holds"]
    assert abs(row["difference_db"]) < 0.01
    assert row["steps"] == 5


def test_kodak_without_data_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert kodak.main([]) == 2
    assert "no data" in capsys.readouterr().err
