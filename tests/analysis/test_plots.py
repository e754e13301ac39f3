"""The picture of a run: drawn from its metrics, whatever they hold, and never a reason for a fit to fail."""

import json
import sys
import warnings

import pytest

from fastsnf.analysis.plots import curve, read_metrics
from fastsnf.errors import InputError, RunError

ROWS = [{"step": s, "seconds": s / 7, "loss": 1.0 / (s + 1), "psnr": 10 + s, "lr": 1e-3} for s in range(20)]


def picture_size(path):
    from PIL import Image

    with Image.open(path) as picture:
        return picture.size


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        ROWS[:1],
        [],
        [{**row, "psnr_holdout": row["psnr"] - 3} for row in ROWS],
        [{**row, "psnr": None} for row in ROWS],
        [{**row, "loss": float("nan"), "psnr": float("inf")} for row in ROWS],
        [{**row, "loss": 0.0} for row in ROWS],
        [{"step": 1}],
    ],
    ids=["many", "one", "none", "holdout", "no-psnr", "not-finite", "loss-zero", "bare"],
)
def test_curve_is_drawn_without_a_warning(tmp_path, rows):
    path = tmp_path / "curve.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve(rows, path, title="photo")
    width, height = picture_size(path)
    assert width > height > 300
    assert [entry.name for entry in tmp_path.iterdir()] == ["curve.png"]


def test_curve_replaces_an_earlier_one_in_one_move_and_keeps_it_when_drawing_fails(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    path = tmp_path / "curve.png"
    curve(ROWS, path)
    before = path.read_bytes()

    def fail(self, target, **options):
        target.write(b"half a picture")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(RunError, match="No space"):
        curve(ROWS[:3], path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["curve.png"]


def test_curve_names_the_extra_when_matplotlib_is_missing(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"fastsnf\[report\]"):
        curve(ROWS, tmp_path / "curve.png")


def test_read_metrics_leaves_out_a_last_line_cut_short(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + '{"step": 20, "sec', encoding="utf-8")
    assert read_metrics(path) == ROWS


def test_read_metrics_refuses_damage_before_the_last_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n\x00\x01\n{"step": 2}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        read_metrics(path)


def test_read_metrics_of_no_run(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_metrics(tmp_path / "metrics.jsonl")
