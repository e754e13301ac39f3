"""The search for tiles, with a clock of its own and the interpreter in place of a GPU."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import tiles, tune
from benchmarks.tiles import OPS, candidates, describe, entry_of, merged
from benchmarks.tune import Problem, Search, Tuner
from fastsnf.engines.triton import tile_table
from fastsnf.engines.triton.launch import Launch, recording
from fastsnf.engines.triton.tile_table import FOLDER, Tile, find
from fastsnf.errors import EngineError

BASE = Tile(32, 32, 32, 4, 1)
SEARCH = Search("linear_fwd", "fp32", "sine", 32, hidden_layers=1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiles, which the engine reads and the search writes."""
    for path in FOLDER.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(tile_table, "FOLDER", tmp_path)
    _forget()
    yield tmp_path
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    tile_table.table.cache_clear()
    tile_table._find.cache_clear()


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two candidates of one op."""
    fields = {"rows": (16, 32), "columns": (16,), "depth": (32,)}
    monkeypatch.setitem(OPS, "linear_fwd", replace(OPS["linear_fwd"], fields=fields))


def tuner(
    seconds: Callable[[Launch], float],
    gate: Callable[[Sequence[Launch], str], list[str]] = lambda launches, on: [],
    **options: Any,
) -> Tuner:
    """Return a tuner of the interpreter whose clock gives `seconds` of a launch."""
    return Tuner(
        torch.device("cpu"),
        timer=lambda run: seconds(run.args[0][0]),
        gate=gate,
        points=8,
        gate_points=8,
        **options,
    )


def area(launch: Launch) -> float:
    return float(launch.constants["ROWS"] * launch.constants["COLUMNS"])


def test_the_fastest_candidate_is_written_and_taken(folder: Path) -> None:
    before = json.loads((folder / "linear_fwd.json").read_text())
    record = tuner(area).search(SEARCH, folder)
    assert record is not None
    assert record["written"]
    assert (record["best"]["rows"], record["best"]["columns"]) == (16, 16)
    after = json.loads((folder / "linear_fwd.json").read_text())
    assert {name: after[name] for name in after if name != "interpreter"} == {
        name: before[name] for name in before if name != "interpreter"
    }
    assert [entry for entry in after["interpreter"] if entry not in before["interpreter"]] == [
        {"precision": ["fp32"], "most_columns": 32, "activations": ["sine"], **record["best"]}
    ]
    _forget()
    with recording("interpreter"):
        taken = find("linear_fwd", "fp32", act="sine", columns=32, depth=32)
        other = find("linear_fwd", "tf32", act="sine", columns=32, depth=32)
    assert describe(taken) == record["best"]
    assert describe(other) == record["in_use"]


def test_nothing_is_written_where_the_tile_in_use_is_the_fastest(folder: Path) -> None:
    before = (folder / "linear_fwd.json").read_text()
    record = tuner(lambda launch: 1.0).search(SEARCH, folder)
    assert record is not None
    assert not record["written"]
    assert (folder / "linear_fwd.json").read_text() == before


def test_a_candidate_that_spills_is_not_timed(folder: Path) -> None:
    def gate(launches: Sequence[Launch], on: str) -> list[str]:
        assert on == "interpreter"
        assert {launch.name for launch in launches} == {"linear_fwd"}
        return ["8 spill stores"] if launches[0].constants["ROWS"] == 16 else []

    record = tuner(area, gate).search(SEARCH, folder)
    assert record is not None
    assert record["best"]["rows"] == 32
    assert {trial["why_not"] for trial in record["trials"] if trial["rows"] == 16} == {"8 spill stores"}


def test_a_candidate_that_is_wrong_is_not_timed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Problem.error

    def error(self: Problem, exact: Any) -> float:
        tile, _ = tile_table._forced.get("linear_fwd", (BASE, []))
        return 1.0 if tile.rows == 16 else right(self, exact)

    monkeypatch.setattr(Problem, "error", error)
    record = tuner(area).search(SEARCH, folder)
    assert record is not None
    assert record["best"]["rows"] == 32
    wrong = [trial["why_not"] for trial in record["trials"] if trial["rows"] == 16]
    assert wrong
    assert all(why.startswith("error 1.0e+00, with the tile in use") for why in wrong)


def test_a_search_that_is_stopped_goes_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    log = tmp_path / "log" / "tune.jsonl"
    wanted = [SEARCH, replace(SEARCH, precision="tf32")]
    tune.run(tuner(area, deadline=0.0), wanted, log, folder)
    assert not log.exists()
    assert "time is up in linear_fwd fp32 sine 32" in capsys.readouterr().out
    tune.run(tuner(area), wanted[:1], log, folder)
    assert [json.loads(line)["search"] for line in log.read_text().splitlines()] == [SEARCH.name]
    timed = []
    tune.run(tuner(lambda launch: timed.append(launch.constants["PRECISION"]) or 1.0), wanted, log, folder)
    assert set(timed) == {"tf32"}
    assert len(log.read_text().splitlines()) == 2


def test_a_result_that_is_not_finite_is_an_infinite_error(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(SEARCH, 8, torch.device("cpu"))
    monkeypatch.setattr(problem, "run", lambda: [torch.tensor([float("nan")])])
    assert problem.error([torch.ones(1, dtype=torch.float64)]) == float("inf")


@pytest.mark.parametrize("op", OPS)
def test_every_op_asks_for_the_tile_it_is_searched_for(op: str) -> None:
    """On meta tensors, on sm_90: a search finds its launches, and what its entry is for."""
    activation = "gabor" if OPS[op].is_complex else "sine"
    search = Search(op, "fast", activation, 64 if op == "network_fwd" else 512)
    with recording("sm_90"):
        if not tile_table.table(op).get("sm_90"):
            pytest.skip(f"{op} has no tile on sm_90")
        base, asked = Tuner(torch.device("meta"), timer=lambda run: 1.0, gate=lambda *_: []).asked(search)
        assert asked
        assert len({(precision, act) for precision, act, _, _ in asked}) == 1
        seen: list[int] = []
        gate = lambda launches, on: seen.append(len(launches)) or []  # noqa: E731
        meta = Tuner(torch.device("meta"), timer=lambda run: 1.0, gate=gate)
        assert meta.rejected(search, base) == []
        assert seen[0] > 0


@pytest.mark.parametrize("op", [op for op in OPS if op != "linear_fwd"])
def test_candidates_fit_the_registers_and_differ(op: str) -> None:
    base = Tile(128, 128, 32, 8, 3, {"elements": 1024})
    tried = [json.dumps(describe(tile)) for tile in candidates(op, base)]
    assert len(tried) == len(set(tried)) > 10
    assert json.dumps(describe(base)) not in tried
    for tile in candidates(op, base):
        if OPS[op].tiled:
            assert tile.rows * tile.columns * (2 if OPS[op].is_complex else 1) <= 128 * 32 * tile.warps


def test_entries_for_few_calls_come_first() -> None:
    general, wide = (
        {"depth": 32, "rows": 1},
        {"depth": 32, "rows": 2, "most_columns": 512, "precision": ["fp32"]},
    )
    new = {"depth": 32, "rows": 3, "most_columns": 256, "precision": ["fp32"], "activations": ["sine"]}
    both = merged("linear_fwd", [wide, general], new)
    assert both == [new, wide, general]
    again = {**new, "rows": 4}
    assert merged("linear_fwd", both, again) == [again, wide, general]


def test_entries_told_by_depth_keep_the_deepest_first() -> None:
    general = [{"depth": 2048, "rows": 1}, {"depth": 1, "rows": 2}]
    new = entry_of("last_step", replace(BASE, depth=1), [("fast", "sine", 3, 256)], "sine")
    assert new["depth"] == 256
    assert merged("last_step", general, new) == [general[0], new, general[1]]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_file_says_the_same_when_written_again(path: Path) -> None:
    content = json.loads(path.read_text())
    assert json.loads(tiles.dumps(content)) == content


def test_every_class_of_activations_is_searched_once() -> None:
    every = list(tune.searches(list(OPS), ["fast"], [64]))
    assert len(every) == len({search.name for search in every})
    assert {search.activation for search in every if search.op == "linear_dx"} == {"sine", "gaussian", "sinc"}
    assert {search.activation for search in every if search.op == "complex_dx"} == {"gabor"}
    assert {search.activation for search in every if search.op == "last_step"} == set(tiles.CLASSES)


def test_without_a_gpu_it_says_why(capsys: pytest.CaptureFixture) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(EngineError, match="expected an NVIDIA GPU to search tiles on"):
        tune.require_gpu()
    assert tune.main([]) == 2
    assert capsys.readouterr().err.startswith("fastsnf: expected an NVIDIA GPU")
