"""Running studies end to end at small sizes: rows, resuming, tables, pictures, and what goes wrong."""

import json

import pytest

from fastsnf.errors import InputError, RunError
from fastsnf.studies import reproduce
from fastsnf.studies.iga.config import LineSettings, ToySettings
from fastsnf.studies.iga.line import FREQUENCIES, verdict
from fastsnf.studies.iga.line import adjustment_of as line_adjustment
from fastsnf.studies.iga.toy import Toy, distance
from fastsnf.studies.records import RECORDS_FILE
from fastsnf.studies.runner import TABLE_FILE

TOY = {"widths": (8, 16), "points": 32, "group": 4, "ends": (4,), "steps": 4, "snapshots": 2, "device": "cpu"}
LINE = {
    "points": 64, "groups": (8,), "balanced": (2, 4), "steps": 4, "snapshots": 2, "hidden_features": 8,
    "hidden_layers": 1, "device": "cpu",
}  # fmt: skip


def is_picture(path):
    return path.read_bytes().startswith(b"\x89PNG")


def test_toy_end_to_end_and_again(tmp_path, request):
    seen = []
    report = reproduce("iga-toy", out=tmp_path, watch=lambda *told: seen.append(told), **TOY)
    assert [known for _, _, _, known in seen] == [False] * 8
    assert [(number, count) for number, count, _, _ in seen] == [(k, 8) for k in range(1, 9)]
    assert all(outcome.result["losses"][-1] > 0 for outcome in report.outcomes)
    assert all(len(outcome.result["errors"][0]) == 4 for outcome in report.outcomes)
    assert report.outcomes[0].result["steps"] == [2, 4]
    assert all(is_picture(path) for path in report.pictures)
    assert len(report.pictures) == 1
    final, distances = report.tables
    assert [row[0] for row in final.rows][:4] == ["8 I", "8 S-4", "8 S~-4", "8 S~e-4"]
    assert all(float(cell) >= 0 for row in distances.rows for cell in row[1:])
    assert "Theorem 4.1" in (tmp_path / TABLE_FILE).read_text()
    json.dumps(report.summary(), allow_nan=False)

    seen.clear()
    request.getfixturevalue("undrawn")
    wider = reproduce(
        "iga-toy", out=tmp_path, watch=lambda *told: seen.append(told), **{**TOY, "widths": (8, 4)}
    )
    assert [known for _, _, _, known in seen] == [True] * 4 + [False] * 4
    assert [o.result for o in wider.outcomes[:4]] == [o.result for o in report.outcomes[:4]]
    assert len((tmp_path / RECORDS_FILE).read_text().splitlines()) == 12


def test_the_curves_approach_each_other_with_width(undrawn, tmp_path):
    options = {"points": 32, "group": 4, "ends": (4,), "steps": 60, "snapshots": 12, "device": "cpu"}
    report = reproduce(
        "iga-toy", out=tmp_path, widths=(32, 2048), methods=("S", "S~", "S~e"), seeds=2, **options
    )
    narrow, wide = ([float(cell) for cell in row[1:]] for row in report.tables[1].rows)
    assert wide[0] < 0.5 * narrow[0]  # analytic and empirical NTK


def test_a_row_runs_again_where_any_of_its_settings_differs(undrawn, tmp_path):
    small = {**TOY, "widths": (8,), "methods": ("I",)}
    for changed in ({}, {"lr": 0.2}, {"steps": 5}, {"snapshots": 1}, {"seeds": 2}):
        reproduce("iga-toy", out=tmp_path, **{**small, **changed})
    assert len((tmp_path / RECORDS_FILE).read_text().splitlines()) == 5


def test_line_end_to_end(tmp_path):
    report = reproduce("iga-1d", out=tmp_path, **LINE)
    assert [o.row.facts["balanced"] for o in report.outcomes] == [None, 2, 4, None, 2, 4]
    assert [table.columns[1] for table in report.tables] == ["10 Hz"] * 2 + ["5 Hz"] * 2
    assert [row[0] for row in report.tables[0].rows] == ["plain", "balanced 2", "balanced 4"]
    assert report.tables[0].notes[0].startswith("The error of the high frequencies")
    assert [path.name for path in report.pictures] == ["heat-maps.png", "curves.png"]
    assert all(map(is_picture, report.pictures))
    assert all(len(o.result["errors"][0]) == len(FREQUENCIES["relu"]) for o in report.outcomes)
    assert all(o.result["failures"] == 0 for o in report.outcomes)
    # one start for all trainings of a seed
    first = [o.result["losses"][0] for o in report.outcomes]
    assert first[0] != first[3]


def test_k_balanced_eigenvalues_become_the_kth():
    iga = line_adjustment({"balanced": 6, "group": 8, "refresh": 1})
    assert (iga.start, iga.end, iga.target_of("adam"), iga.sample) == (0, 5, 5, "center")
    assert line_adjustment({"balanced": None}) is None


def test_the_verdict_says_what_the_figures_say():
    assert "falls with the balanced eigenvalues: 0.900 -> 0.500" in verdict([0.9, 0.5])
    assert "does not fall" in verdict([0.5, 0.9])
    assert "falls with the balanced eigenvalues, but for 1 of them: 0.500 -> 0.600" in verdict(
        [0.5, 0.6, 0.4]
    )
    assert "does not fall" in verdict([0.5, 0.4, 0.5])
    assert "no rows" in verdict([None])


def test_an_interrupted_study_keeps_its_rows_and_goes_on(undrawn, tmp_path, monkeypatch):
    true = Toy.train
    done = []

    def train(self, row):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(row)
        return true(self, row)

    monkeypatch.setattr(Toy, "train", train)
    with pytest.raises(KeyboardInterrupt, match="3 finished rows are kept"):
        reproduce("iga-toy", out=tmp_path, **TOY)
    monkeypatch.setattr(Toy, "train", true)
    seen = []
    reproduce("iga-toy", out=tmp_path, watch=lambda *told: seen.append(told[3]), **TOY)
    assert seen == [True] * 3 + [False] * 5


def test_a_row_that_fails_does_not_stop_the_others(undrawn, tmp_path, monkeypatch):
    true = Toy.train

    def train(self, row):
        if row.facts["method"] == "S":
            raise RunError("the loss is NaN")
        return true(self, row)

    monkeypatch.setattr(Toy, "train", train)
    report = reproduce("iga-toy", out=tmp_path, **TOY)
    assert [o.row.facts["method"] for o in report.failures] == ["S", "S"]
    assert any("failed: the loss is NaN" in note for note in report.tables[0].notes)
    assert dict(zip(report.tables[0].columns, report.tables[0].rows[1], strict=True))["MSE"] == "-"
    assert any(entry.get("missing") == "failed: the loss is NaN" for entry in report.summary()["rows"])


def test_a_rate_that_diverges_is_a_row_that_failed(tmp_path):
    report = reproduce("iga-toy", out=tmp_path, **{**TOY, "lr": 1e30, "steps": 8})
    assert len(report.failures) == len(report.outcomes)
    assert all("lower --lr" in outcome.failed for outcome in report.failures)
    assert report.pictures == []


def test_without_matplotlib_the_study_is_no_less_done(undrawn, tmp_path):
    report = reproduce("iga-toy", out=tmp_path, **{**TOY, "widths": (8,), "methods": ("I",)})
    assert (report.pictures, report.not_drawn) == ([], undrawn)
    assert (tmp_path / TABLE_FILE).is_file()


def test_bad_requests(tmp_path):
    with pytest.raises(InputError, match="did you mean 'iga-toy'"):
        reproduce("iga-tyo", out=tmp_path)
    with pytest.raises(InputError, match="settings of iga-toy; got stops"):
        reproduce("iga-toy", out=tmp_path, stops=3)
    with pytest.raises(InputError, match="expected ToySettings alone"):
        reproduce("iga-toy", out=tmp_path, settings=LineSettings())
    with pytest.raises(InputError, match="expected ToySettings alone"):
        reproduce("iga-toy", out=tmp_path, settings=ToySettings(), steps=3)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="a place that can be written"):
        reproduce("iga-toy", out=file, **TOY)


def test_distances_of_curves():
    assert distance([1.0, 1.0], [1.0, 1.0]) == 0.0
    assert distance([10.0, 1.0], [1.0, 10.0]) == pytest.approx(1.0)
