"""The child process that decodes GRIB and NetCDF 4: what it answers, how it dies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastsnf.errors import InputError, RunError
from fastsnf.signals import child
from fastsnf.signals.latlon import child as latlon_child
from fastsnf.signals.latlon.read import read_table
from tests.signals.latlon.files import LATITUDES, dataset, field, grib, has_eccodes, netcdf

pytest.importorskip("xarray", reason="needs the extra sphere")
pytest.importorskip("h5netcdf", reason="needs the extra sphere")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "x.nc"
    path.write_bytes(netcdf(dataset(field())))
    return path


def test_netcdf4(whole: Path) -> None:
    table = read_table(whole)
    assert np.array_equal(table.values, field())
    words = (table.name, table.long_name, table.unit, table.time, table.source)
    assert words == ("t2m", "2 metre temperature", "K", "", "NetCDF 4")
    assert table.lattice.latitudes == tuple(LATITUDES)


def test_errors_are_those_of_the_reader(whole: Path) -> None:
    with pytest.raises(InputError, match=r"got key='u'; '.*x\.nc' has 't2m'"):
        read_table(whole, key="u")


@pytest.mark.skipif(not has_eccodes(), reason="GRIB needs the extra grib")
@pytest.mark.parametrize("edition", [1, 2])
def test_grib(tmp_path: Path, edition: int) -> None:
    path = grib(tmp_path / "x.grib", field(), (0, 6, 12) if edition == 2 else (0,), edition)
    table = read_table(path, time=2 if edition == 2 else None)
    assert np.abs(table.values - field() - (12 if edition == 2 else 0)).max() < 1e-4
    assert table.lattice.latitudes == pytest.approx(tuple(LATITUDES))
    assert (table.name, table.unit, table.source) == ("t2m", "K", "GRIB")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.grib"]  # no index beside it


def test_a_crash_of_the_library_is_a_damaged_file(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = "import os, sys; print('double free', file=sys.stderr, flush=True); os.abort()"
    monkeypatch.setattr(child, "_START", crash)
    with pytest.raises(InputError, match=r"x\.nc.*crash \(double free\)"):
        read_table(whole)
    monkeypatch.setattr(child, "_START", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(RunError, match="was killed"):
        read_table(whole)


def test_a_library_that_never_ends_is_stopped(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latlon_child, "SECONDS", 1)
    endless = "loaded.read_dataset = lambda *_, **options: sum(iter(int, 1))\nloaded.main("
    start = child._START.replace("import_module(worker).main(", f"loaded = import_module(worker)\n{endless}")
    monkeypatch.setattr(child, "_START", start)
    with pytest.raises(InputError, match="does not come to an end"):
        read_table(whole)


def test_the_child_imports_no_torch() -> None:
    code = "import sys, fastsnf.signals.latlon.worker; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
