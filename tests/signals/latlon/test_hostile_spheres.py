"""Damaged files over latitudes and longitudes: an `InputError`, or values of the right kind."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest

from fastsnf.errors import InputError
from fastsnf.signals.latlon.read import read_table
from fastsnf.signals.latlon.table import Table
from tests.cases import count
from tests.signals.latlon.files import LATITUDES, LONGITUDES, SHAPE, dataset, field, netcdf

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
        case _:
            np.savez(folder / "whole.npz", lat=LATITUDES, lon=LONGITUDES, t2m=field())
            return (folder / "whole.npz").read_bytes()


NAMES = ["netcdf4", "netcdf4 with checksums", "netcdf3", "netcdf3 of records", "npz"]
CHECKED = ["npz"]
"""Formats in which a checksum covers everything that is read."""


def same(table: Table, whole: Table) -> bool:
    return np.array_equal(table.values, whole.values) and table.lattice == whole.lattice


@pytest.mark.parametrize("name", NAMES)
def test_files_cut_short_are_refused(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    whole, path = make(name, tmp_path), tmp_path / "x"
    path.write_bytes(whole)
    table = read_table(path)
    rng = np.random.default_rng(0)
    cuts = {0, 1, 8, len(whole) - 1, *rng.integers(0, len(whole), count(200)).tolist()}
    for length in sorted(cuts):
        path.write_bytes(whole[:length])
        try:
            found = read_table(path)
        except InputError:
            continue
        # A few last bytes of some formats say nothing.
        assert same(found, table)
        assert len(whole) - length < 64
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", NAMES)
def test_files_with_a_changed_bit_never_crash(tmp_path: Path, name: str) -> None:
    whole, path = make(name, tmp_path), tmp_path / "x"
    path.write_bytes(whole)
    table = read_table(path)
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(count(200)):
        data = bytearray(whole)
        data[rng.integers(0, len(whole))] ^= 1 << rng.integers(0, 8)
        path.write_bytes(data)
        try:
            found = read_table(path, max_points=10**6)
        except InputError:
            refused += 1
            continue
        assert found.values.shape == found.lattice.shape
        assert found.values.size <= 10**6
        if name in CHECKED:
            assert same(found, table)
    assert refused > 0


def test_checksums_of_netcdf4_see_every_changed_value(tmp_path: Path) -> None:
    whole, path = netcdf(dataset(field()), fletcher32=True), tmp_path / "x"
    start = whole.index(field().tobytes())
    for place in np.random.default_rng(0).integers(start, start + field().nbytes, count(200)):
        data = bytearray(whole)
        data[place] ^= 16
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"cannot be read|expected"):
            read_table(path)


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
