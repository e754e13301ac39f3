"""GRIB in its child process: what it answers, what damage does, how it dies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsnf.errors import InputError, RunError
from fastsnf.signals.latlon import grib as parent
from fastsnf.signals.latlon.read import read_table
from tests.cases import count
from tests.signals.latlon.files import LATITUDES, field, grib

try:
    import eccodes  # noqa: F401
except Exception as missing:  # the library behind it may be missing, too
    pytest.skip(f"GRIB needs the extra grib: {missing}", allow_module_level=True)


@pytest.mark.parametrize("edition", [1, 2])
def test_a_slice(tmp_path: Path, edition: int) -> None:
    table = read_table(grib(tmp_path / "x.grib", field(), edition=edition))
    assert np.abs(table.values - field()).max() < 1e-4
    assert table.lattice.latitudes == pytest.approx(tuple(LATITUDES))
    assert (table.name, table.unit, table.source) == ("t2m", "K", "GRIB")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.grib"]  # no index beside it


def test_the_slice_that_is_asked_for(tmp_path: Path) -> None:
    path = grib(tmp_path / "x.grib", field(), (0, 6, 12))
    assert np.abs(read_table(path, time=2).values - field() - 12).max() < 1e-4


def flipped(whole: bytes, number: int) -> list[bytes]:
    """Copies of a file with one bit changed in each."""
    rng = np.random.default_rng(1)
    copies = [bytearray(whole) for _ in range(number)]
    for copy in copies:
        copy[rng.integers(0, len(whole))] ^= 1 << rng.integers(0, 8)
    return [bytes(copy) for copy in copies]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """How the worker ends for each of several lists of files and what it answers."""
    folder = tmp_path_factory.mktemp("grib")
    first, second = (grib(folder / f"{edition}", field(), edition=edition).read_bytes() for edition in (1, 2))
    cuts = np.random.default_rng(0).integers(1, len(second), count(200))
    files = {
        "whole": [first, second],
        "cut": [second[:cut] for cut in (*cuts, len(second) - 1)],
        "flipped": [*flipped(first, count(100)), *flipped(second, count(100))],
        "steps": [grib(folder / "steps", field(), (0, 6, 12)).read_bytes()],
    }
    names = {}
    (folder / "trials").mkdir()
    for kind, contents in files.items():
        for number, data in enumerate(contents):
            (folder / "trials" / f"{kind}{number:04d}").write_bytes(data)
            names[f"{kind}{number:04d}"] = kind
    command = [
        sys.executable,
        "-m",
        "tests.signals.latlon.grib_trials",
        str(folder / "trials"),
        str(folder / "2"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in files}
    for line in done.stdout.splitlines():
        answer = json.loads(line)
        found[names.pop(answer["file"])].append(answer)
    assert not names
    return found


def test_several_steps_are_named(answers: dict[str, list[dict[str, Any]]]) -> None:
    assert "1 (6.0 hours)" in answers["steps"][0]["error"]


def test_files_cut_short_are_refused(answers: dict[str, list[dict[str, Any]]]) -> None:
    assert [answer["bytes"] for answer in answers["whole"]] == [8 * field().size] * 2
    # A crash is an `InputError` of the parent: see below.
    assert all("error" in answer or answer["status"] < 0 for answer in answers["cut"])


def test_a_changed_bit_ends_in_an_error_or_in_a_table(answers: dict[str, list[dict[str, Any]]]) -> None:
    for answer in answers["flipped"]:
        if answer["status"] < 0 or "error" in answer:
            continue
        rows, columns = len(answer["latitudes"]), len(answer["longitudes"])
        assert answer["status"] == 0
        assert answer["bytes"] == 8 * rows * columns <= 8 * 10**6
    assert any("error" in answer for answer in answers["flipped"])


def test_a_crash_of_the_library_is_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = grib(tmp_path / "x.grib", field())
    crash = "import os, sys; print('double free', file=sys.stderr, flush=True); os.abort()"
    monkeypatch.setattr(parent, "_START", crash)
    with pytest.raises(InputError, match=r"x\.grib.*crash \(double free\)"):
        read_table(path)
    monkeypatch.setattr(parent, "_START", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(RunError, match="was killed"):
        read_table(path)


def test_the_child_imports_no_torch() -> None:
    code = "import sys, fastsnf.signals.latlon.grib_worker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
