"""``fastsnf reproduce``: the list, the options of each study, what it prints, and its exit statuses."""

import json
import subprocess
import sys

import pytest

from fastsnf.errors import RunError
from fastsnf.studies.iga import toy
from fastsnf.studies.iga.toy import Toy
from fastsnf.studies.registry import STUDIES
from tests.cli.conftest import environment
from tests.cli.test_main import HEAVY

TOY = [
    "iga-toy", "--widths", "8", "--points", "32", "--group", "4", "--ends", "4", "--steps", "2",
    "--methods", "I,S~e", "--device", "cpu",
]  # fmt: skip


@pytest.fixture
def undrawn(monkeypatch):
    """Draw nothing, which takes longer than the trainings here."""
    monkeypatch.setattr(toy, "draw_panels", lambda grid, path, title: None)


@pytest.mark.parametrize("args", [[], ["--list"], ["-l"], ["--help"]])
def test_the_studies_are_listed_with_a_line_each(command, args):
    done = command("reproduce", *args)
    assert done.status == 0
    for name, entry in STUDIES.items():
        assert any(line.split()[:1] == [name] and entry.line in line for line in done.out.splitlines())


def test_help_loads_nothing_heavy(tmp_path):
    requests = [["--list"], ["--help"], *([name, "--help"] for name in STUDIES)]
    probe = (
        "import sys\nfrom fastsnf.cli import main\n"
        f"statuses = [main(['reproduce', *request]) for request in {requests}]\n"
        f"print('loaded', sorted(set(sys.modules) & set({HEAVY})), set(statuses))"
    )
    command = [sys.executable, "-c", probe]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "loaded [] {0}"
    assert done.stderr == ""
    usages = [line for line in done.stdout.splitlines() if line.startswith("usage: fastsnf reproduce")]
    assert len(usages) == len(requests) - 1


def test_a_study_prints_its_tables_and_where_everything_is(command, tmp_path, request):
    done = command("reproduce", *TOY)
    assert (done.status, done.err) == (0, "")
    assert "1/2  I, width 8, seed 0: done" in done.out
    assert "MSE and relative spectral error after 2 steps" in done.out
    folder = tmp_path / "runs" / "reproduce-iga-toy"
    assert {entry.name for entry in folder.iterdir()} >= {"records.jsonl", "table.md", "curves.png"}
    request.getfixturevalue("undrawn")
    again = command("reproduce", *TOY)
    assert "1/2  I, width 8, seed 0: there already" in again.out


def test_json_is_the_last_line_and_alone_on_stdout(command, undrawn):
    done = command("reproduce", *TOY, "--json", "--out", "here")
    (line,) = done.out.splitlines()
    summary = json.loads(line)
    assert summary["study"] == "iga-toy"
    assert summary["settings"]["widths"] == [8]
    assert [row["row"]["method"] for row in summary["rows"]] == ["I", "S~e"]
    assert all(row["result"]["loss"] > 0 for row in summary["rows"])
    assert "Distance of the loss curves" in done.err


def test_missing_data_is_said_once_and_is_no_error(command):
    done = command("reproduce", "iga-image", "--models", "siren", "--images", "2", "--device", "cpu")
    assert done.status == 0
    assert done.out.count("no data: give --data PATH") == 2  # one row, and the notes of the table
    assert "29.61" in done.out  # the paper's figure, in the paper's column


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["iga-tyo"], "got 'iga-tyo', did you mean 'iga-toy'?"),
        (["--json"], "expected the name of a study first; got --json"),
        (["iga-toy", "--width", "8"], "did you mean '--widths'?"),
        (["iga-toy", "--widths", "8,x"], "expected widths as a number; got 'x'"),
        (["iga-toy", "--widths", "0"], "expected widths to be at least 1; got 0"),
        (["iga-toy", "--points", "33"], "whole groups; got 33 points"),
        (["iga-toy", "--methods", "T"], "expected methods to be one of I, S, S~, S~e; got 'T'"),
        (["iga-1d", "--lr", "0"], "expected lr to be above 0"),
        (["iga-1d", "--data", "x"], "expected a known option; got --data"),
        (["iga-image", "--data", "nowhere"], "a picture or a folder of them; got 'nowhere'"),
        (["iga-image", "--sample", "middle"], "--sample: expected sample to be one of"),
        (["iga-toy", "--device", "gpu9"], "gpu9"),
    ],
)
def test_a_wrong_request_is_status_2_and_one_line(command, tmp_path, args, said):
    done = command("reproduce", *args)
    assert done.status == 2
    assert said in done.line()
    assert done.out == ""
    assert not (tmp_path / "runs").exists()


def test_a_failed_row_is_status_1_after_the_tables(command, monkeypatch):
    def train(self, row):
        raise RunError("the loss is NaN")

    monkeypatch.setattr(Toy, "train", train)
    done = command("reproduce", *TOY)
    assert done.status == 1
    assert "2 of 2 rows failed; I, width 8, seed 0: the loss is NaN" in done.line()
    assert "MSE and relative spectral error" in done.out


def test_ctrl_c_is_status_130_and_says_what_is_kept(command, monkeypatch):
    true = Toy.train

    def train(self, row):
        if row.facts["method"] != "I":
            raise KeyboardInterrupt
        return true(self, row)

    monkeypatch.setattr(Toy, "train", train)
    done = command("reproduce", *TOY, "--out", "here")
    assert done.status == 130
    assert "1 finished row is kept in here: the same command goes on there" in done.line()


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_of_a_row(terminal, monkeypatch):
    import io

    from rich.console import Console

    from fastsnf.cli import reproduce
    from fastsnf.studies.study import Outcome, Row

    monkeypatch.setattr(reproduce, "PLAIN", 0.0)
    monkeypatch.setattr(reproduce, "REDRAW", 0.0)
    file = io.StringIO()
    progress = reproduce.RowProgress(Console(file=file, force_terminal=terminal, width=80, highlight=False))
    for step in (1, 500, 1000):
        progress.step_done(step, 1000, 0.125)
    progress.row_done(1, 2, Outcome(Row({}, "width 8"), {}), False)
    shown = file.getvalue()
    assert "step 500 of 1,000  loss 0.125" in shown
    assert " left" in shown
    assert "1/2  width 8: done" in shown
    progress.close()
