"""Damaged files over latitudes and longitudes: an `InputError`, or values of the right kind."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest

from fastsnf.errors import InputError
from fastsnf.signals.latlon import read
from fastsnf.signals.latlon.dataset import read_dataset
from fastsnf.signals.latlon.read import read_table
from fastsnf.signals.latlon.table import Table
from tests.cases import count
from tests.signals.damage import flips
from tests.signals.latlon.files import LATITUDES, LONGITUDES, SHAPE, dataset, field, grib, has_eccodes, netcdf
from tests.signals.latlon.trials import answers_of, refused

pytest.importorskip("xarray", reason="needs the extra sphere")
h5py = pytest.importorskip("h5py", reason="needs the extra sphere")


def make(name: str, folder: Path) -> bytes:
    """A whole file of a format."""
    match name:
        case "netcdf4":
            return netcdf(dataset(field()))
        case "netcdf4 with checksums":
            return netcdf(dataset(field()), fletcher32=True)
        case "netcdf3":
            return netcdf(dataset(field()), "scipy")
        case "netcdf3 of records":
            data = dataset(field()[None], ("time", "latitude", "longitude"))
            return bytes(data.to_netcdf(engine="scipy", unlimited_dims=["time"]))
        case "npz":
            np.savez(folder / "whole.npz", lat=LATITUDES, lon=LONGITUDES, t2m=field())
            return (folder / "whole.npz").read_bytes()
        case _:
            if not has_eccodes():
                pytest.skip("GRIB needs the extra grib")
            return grib(folder / "whole", field(), edition=int(name[-1])).read_bytes()


def cuts(whole: bytes) -> list[bytes]:
    """The file cut short at random places, and at those where it hurts."""
    places = {1, 8, len(whole) - 1, *np.random.default_rng(0).integers(1, len(whole), count(200)).tolist()}
    return [whole[:place] for place in sorted(places)]


def same(table: Table, whole: Table) -> bool:
    return np.array_equal(table.values, whole.values) and table.lattice == whole.lattice


def read_or_none(path: Path, data: bytes) -> Table | None:
    """The table in `data`, None where it is refused."""
    path.write_bytes(data)
    try:
        return read_table(path, max_points=10**6)
    except InputError:
        return None


@pytest.mark.parametrize("name", ["netcdf3", "netcdf3 of records", "npz"])
def test_damage_in_this_process(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    whole, path = make(name, tmp_path), tmp_path / "x"
    table = read_or_none(path, whole)
    assert table is not None
    for data in cuts(whole):
        assert read_or_none(path, data) is None
    found = [read_or_none(path, data) for data in flips(whole, count(200))]
    assert None in found
    for other in found:
        if other is not None:
            assert other.values.shape == other.lattice.shape
            assert name != "npz" or same(other, table)  # its checksums cover all that is read
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["netcdf4", "netcdf4 with checksums", "grib edition 1", "grib edition 2"])
def test_damage_in_the_child(tmp_path: Path, name: str) -> None:
    whole = make(name, tmp_path)
    short, changed = cuts(whole), list(flips(whole, count(200)))
    if name == "netcdf4 with checksums":  # of every variable: all that changes in them is seen
        start = whole.index(field().tobytes())
        for place in np.random.default_rng(2).integers(start, start + field().nbytes, count(200)):
            short.append(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
    engine = "cfgrib" if name.startswith("grib") else "h5netcdf"
    first, *answers = answers_of(engine, whole, [*short, *changed], tmp_path)
    assert first["bytes"] == 8 * field().size
    assert all(refused(answer) for answer in answers[: len(short)])
    for answer in answers[len(short) :]:
        if not refused(answer):
            assert answer["bytes"] == 8 * len(answer["latitudes"]) * len(answer["longitudes"]) <= 8 * 10**6
    assert any(refused(answer) for answer in answers[len(short) :])


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read NetCDF 4 without a child process."""
    monkeypatch.setattr(read, "read_in_child", read_dataset)


@pytest.mark.usefixtures("in_this_process")
def test_promises_of_netcdf4_are_refused_before_their_memory_exists(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    huge = tmp_path / "rows.nc"
    with h5py.File(huge, "w") as file:
        file.create_dataset("latitude", (2**40,), "f8", chunks=(1024,))
        file.create_dataset("longitude", (4,), "f8")
        file.create_dataset("t2m", (2**40, 4), "f4", chunks=(1024, 4))
    with pytest.raises(InputError, match="entries"):
        read_table(huge)
    wide = tmp_path / "chunks.nc"
    with h5py.File(wide, "w") as file:
        file.create_dataset("t2m", (2**15, 2**15), "f4", chunks=(2**15, 2**14))
    with pytest.raises(InputError, match="chunks"):
        read_table(wide)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


def test_an_npz_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, lat=LATITUDES, lon=LONGITUDES, t=np.zeros((4000, *SHAPE)))
    with pytest.raises(InputError, match="at most"):
        read_table(path, time=0, max_points=1000)


@pytest.mark.usefixtures("in_this_process")
def test_links_out_of_a_file_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(4 * 84))
    for name in ("external link", "external values", "soft link"):
        path = tmp_path / "x.nc"
        path.write_bytes(netcdf(dataset(field())))
        with h5py.File(path, "r+") as file:
            match name:
                case "external link":
                    file["other"] = h5py.ExternalLink("/etc/passwd", "/x")
                case "soft link":
                    file["other"] = h5py.SoftLink("/t2m")
                case _:
                    file.create_dataset("other", SHAPE, "f4", external=[(os.fspath(secret), 0, 4 * 84)])
        with pytest.raises(InputError, match=r"link out of|in another file"):
            read_table(path)


def test_folders_pipes_and_missing_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nc")
    for name in (tmp_path, tmp_path / "pipe.nc", tmp_path / "none.nc", "a\0b.nc", ""):
        with pytest.raises(InputError, match="expected a"):
            read_table(name)
