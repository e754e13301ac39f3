"""Records of rows: found by what decided them, whole after a kill, never a number that JSON lacks."""

import json

import pytest

from fastsnf.errors import InputError
from fastsnf.studies.records import RECORDS_FILE, Records
from fastsnf.studies.table import Table, figure, small


def test_a_record_is_found_by_its_facts_alone(tmp_path):
    records = Records(tmp_path)
    facts = {"width": 8, "lr": 0.1, "group": None}
    assert records.find(facts) is None
    records.add(facts, {"psnr": 30.5, "curve": [1.0, float("nan")]}, {"torch": "2"})
    expected = {"psnr": 30.5, "curve": [1.0, None]}
    assert records.find(dict(reversed(facts.items()))) == expected
    again = Records(tmp_path)
    assert again.find(facts) == expected
    assert again.find({**facts, "lr": 0.2}) is None
    assert again.find({**facts, "seed": 0}) is None


@pytest.mark.parametrize(
    "tail", ['{"row": {"width": 9}, "res', "\x00\xff", '{"row": 3, "result": {}}\n', "[]"]
)
def test_a_damaged_line_is_dropped_and_the_file_made_whole(tmp_path, tail):
    records = Records(tmp_path)
    for width in (8, 9):
        records.add({"width": width}, {"psnr": float(width)}, {})
    path = tmp_path / RECORDS_FILE
    path.write_text(path.read_text() + tail, encoding="latin-1")
    again = Records(tmp_path)
    again.add({"width": 10}, {"psnr": 10.0}, {})
    assert [Records(tmp_path).find({"width": w})["psnr"] for w in (8, 9, 10)] == [8.0, 9.0, 10.0]
    assert [json.loads(line)["row"]["width"] for line in path.read_text().splitlines()] == [8, 9, 10]


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path):
    records = Records(tmp_path / "gone")
    with pytest.raises(InputError, match="a place that can be written"):
        records.add({"width": 8}, {}, {})


def test_a_table_as_text_and_as_markdown():
    table = Table("Title", ("name", "dB"), [("a", "1.25"), ("longer | name", "-")], ("a note",))
    assert table.text().splitlines() == [
        "Title",
        "name             dB",
        "-------------------",
        "a              1.25",
        "longer | name     -",
        "  a note",
    ]
    assert table.markdown().splitlines() == [
        "### Title",
        "",
        "| name | dB |",
        "| --- | ---: |",
        "| a | 1.25 |",
        "| longer / name | - |",
        "",
        "- a note",
    ]
    assert json.loads(json.dumps(table.to_dict()))["rows"][0] == ["a", "1.25"]


def test_figures_of_cells():
    assert [figure(1.256), figure(None), figure(float("nan")), figure(0.5, 1, sign=True)] == [
        "1.26", "-", "-", "+0.5",
    ]  # fmt: skip
    assert [small(0.0), small(1.5e-7), small(float("inf"))] == ["0", "1.5e-07", "-"]
