"""`vi3nr-tables` and `vi3nr-heatmap` at small sizes."""

import json
import math

import pytest

from fastsnf.studies import reproduce
from fastsnf.studies.vi3nr import heatmap, tables
from fastsnf.studies.vi3nr.heatmap import agreement, best_on_grid, slope
from fastsnf.studies.vi3nr.report import PAPERS
from tests.studies.pieces import cells

SMALL = {"layers": 3, "width": 16, "batch": 4, "seeds": 2, "samples": (1000,)}


def test_tables_end_to_end_and_again(tmp_path, request):
    seen = []
    report = reproduce("vi3nr-tables", out=tmp_path, watch=lambda *told: seen.append(told[3]), **SMALL)
    assert seen == [False] * 10
    variances, roots, errors, samples = report.tables
    assert cells(variances, "gaussian, VI3NR")["ours"] == "28.3"
    assert cells(variances, "gaussian, VI3NR")["within"] == "yes"
    assert {row[0] for row in variances.rows if row[-2] == "no"} == {
        "sigmoid, Kumar", "sigmoid, VI3NR, Eq. 13"
    }  # fmt: skip
    assert all(row[-1] != "-" for row in variances.rows if row[-2] == "no")  # and says why
    assert cells(roots, "sine")["ours"] == cells(roots, "tanh")["ours"] == "none"
    assert cells(roots, "sigmoid") == {
        "activation": "sigmoid", "ours": "6.7546", "paper": "6.8", "tolerance": "+-0.05", "within": "yes",
        "note": "-",
    }  # fmt: skip
    assert len(errors.rows) == 22
    assert errors.rows[0][1:4] == ("1", errors.rows[2][2], "99.0")  # Kumar's tanh is Xavier's
    assert any("none is compared" in note for note in errors.notes)
    assert [row[0] for row in samples.rows] == ["closed form (Eq. 16)", "1,000 samples"]
    assert cells(samples, "1,000 samples")["ms"] != "-"
    assert report.pictures[0].read_bytes().startswith(b"\x89PNG")
    json.dumps(report.summary(), allow_nan=False)

    seen.clear()
    request.getfixturevalue("undrawn")
    again = reproduce(
        "vi3nr-tables", out=tmp_path, watch=lambda *told: seen.append(told[3]), **{**SMALL, "batch": 5}
    )
    assert seen == [True] * 8 + [False] * 2  # the nets alone
    assert again.tables[0].rows == variances.rows


def test_the_papers_size_is_compared(tmp_path, undrawn, monkeypatch):
    """Errors that are known: the deviation of 0 and 2 is sqrt(2), so that 2.1 is within and 99.0 is not."""
    monkeypatch.setattr(
        tables, "variance_errors",
        lambda nets, seed, **_: ([2.0 * seed] * len(nets), [100.0] * len(nets)),
    )  # fmt: skip
    sizes = {**SMALL, "layers": PAPERS[0], "width": PAPERS[1]}
    report = reproduce("vi3nr-tables", out=tmp_path, **sizes)
    errors = report.tables[2]
    row = next(r for r in errors.rows if r[0] == "tanh, VI3NR")
    assert row[2:6] == ("1.0 +- 1.4", "2.1", "+-2.83", "yes")
    assert row[6:10] == ("100.0 +- 0.0", "100.0", "+-0.05", "yes")
    row = next(r for r in errors.rows if r[0] == "tanh, Xavier")
    assert row[5] == row[9] == "no"
    assert any(note.startswith(f"{row[-1]} The paper prints one net") for note in errors.notes)
    row = next(r for r in errors.rows if r[0] == "gaussian, VI3NR, Eq. 13")
    t = (0.078 / 0.05) ** 2
    left = t * t / (1.0 + 2.0 * t)  # Eq. 13 by Eq. 16 and its like for f'
    said = (
        f"{row[-1]} At the paper's sigma_p, 0.078, Eq. 13's left side is {left:.4f}, over 100 layers a factor"
    )
    assert any(note.startswith(f"{said} of {left**100:.2g}") for note in errors.notes)
    assert row[1] == "0.077689"  # as exactly as the table of roots
    row = next(r for r in errors.rows if r[0] == "relu, VI3NR, Eq. 13")  # which every sigma_p fits
    assert any(note.startswith(f"{row[-1]} The paper prints one net") for note in errors.notes)


def test_forward_errors_are_not_explained_by_gradients(tmp_path, undrawn, monkeypatch):
    monkeypatch.setattr(
        tables, "variance_errors",
        lambda nets, seed, **_: ([60.0 + seed] * len(nets), [35.6 + seed] * len(nets)),
    )  # fmt: skip
    report = reproduce("vi3nr-tables", out=tmp_path, **SMALL | {"layers": PAPERS[0], "width": PAPERS[1]})
    row = next(r for r in report.tables[2].rows if r[0] == "gaussian, VI3NR, Eq. 13")
    assert (row[5], row[9]) == ("no", "yes")
    assert any(note.startswith(f"{row[-1]} The paper prints one net") for note in report.tables[2].notes)


def test_as_published_adds_the_search_and_its_nets(tmp_path, undrawn, monkeypatch):
    asked = []

    def search(activation, *, as_published, seed):
        assert as_published
        asked.append((activation.name, seed))
        return 0.004 if seed is None else 0.001 + 0.006 * seed

    monkeypatch.setattr(tables, "solve_sigma_p", search)
    report = reproduce("vi3nr-tables", out=tmp_path, as_published=True, **SMALL)
    assert len(asked) == 3 * 6
    assert "relu" not in {name for name, _ in asked}
    found, nets = report.tables[4:]
    assert cells(found, "sine") == {
        "activation": "sine", "own seed": "0.004", "over seeds": "0.001 to 0.007", "exact root": "none",
        "paper": "0.004",
    }  # fmt: skip
    assert [row[0] for row in nets.rows][:2] == ["sigmoid, Kumar", "tanh, VI3NR, Eq. 13"]
    assert nets.rows[2][1] == "6.8"


def test_agreement_is_one_minus_smape():
    assert [agreement(c) for c in (1.0, 3.0, 1.0 / 3.0, 0.0)] == pytest.approx([1.0, 0.5, 0.5, 0.0])


def test_the_ridge_of_the_heatmap_is_the_root(tmp_path):
    report = reproduce("vi3nr-heatmap", out=tmp_path, points=12, activations=("gaussian", "sinc"))
    gaussian, sinc = (outcome.result for outcome in report.outcomes)
    ratio = 0.05 / (0.05 * math.sqrt(1.0 + math.sqrt(2.0)))
    assert ratio == pytest.approx(heatmap.RATIO)
    assert gaussian["ridge"] == pytest.approx([a / ratio for a in gaussian["parameters"]], rel=1e-6)
    assert sinc["ridge"] == pytest.approx([2.22333 / a for a in sinc["parameters"]], rel=1e-4)
    assert len(gaussian["values"]) == len(gaussian["values"][0]) == 12
    # Eq. 13 with Eq. 16 and E[f'^2] = (s_p / s_a^2)^2 (1 + 2 s_p^2 / s_a^2)^(-3/2), at one point by hand
    s_a, s_p = gaussian["parameters"][7], gaussian["sigmas"][3]
    slope_square = s_p**2 / s_a**4 * (1.0 + 2.0 * s_p**2 / s_a**2) ** -1.5
    left = s_p**2 * slope_square * math.sqrt(1.0 + 2.0 * s_p**2 / s_a**2)
    assert gaussian["values"][3][7] == pytest.approx(1.0 - abs(left - 1.0) / (left + 1.0), rel=1e-6)
    for table in report.tables:
        assert {row[4] for row in table.rows} <= {"yes", "-"}
        assert any(row[4] == "yes" for row in table.rows)
    assert best_on_grid(sinc)[0] is None  # the root of a = 1/3 is 6.7
    assert report.tables[0].notes[0].startswith("A line through the ridge has sigma_a / sigma_p = 0.6")
    assert report.pictures[0].read_bytes().startswith(b"\x89PNG")


def test_slope_through_the_origin():
    assert slope([1.0, 2.0], [2.0, 4.0]) == 2.0
    assert slope([1.0, 2.0], [0.0, 1.0]) == pytest.approx(0.4)  # (0 + 2) / (1 + 4)
