"""NetCDF, GRIB and npz: which variable, which axes, which slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastsnf.errors import InputError
from fastsnf.signals.latlon import read
from fastsnf.signals.latlon.dataset import read_dataset
from fastsnf.signals.latlon.read import read_table
from tests.signals.latlon.files import (
    LATITUDES,
    LONGITUDES,
    SHAPE,
    dataset,
    field,
    grib,
    has_eccodes,
    netcdf,
    npz,
)

xarray = pytest.importorskip("xarray", reason="needs the extra sphere")
pytest.importorskip("h5netcdf", reason="needs the extra sphere")

ENGINES = ["h5netcdf", "scipy"]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read whole files without a child process, whose start takes a second."""
    monkeypatch.setattr(read, "read_in_child", read_dataset)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "dims",
    [("latitude", "longitude"), ("lon", "lat"), ("time", "lat", "lon"), ("lat", "height", "lon", "time")],
)
def test_axes_are_found_in_any_order(tmp_path: Path, dims: tuple[str, ...], engine: str) -> None:
    sizes = {"latitude": 7, "lat": 7, "longitude": 12, "lon": 12}
    values = np.moveaxis(field(), 0, 1) if dims == ("lon", "lat") else field()
    shape = [sizes.get(dim, 1) for dim in dims]
    path = written(tmp_path / "x.nc", netcdf(dataset(values.reshape(shape), dims), engine))
    table = read_table(path)
    assert np.array_equal(table.values, field())
    assert table.lattice.latitudes == tuple(LATITUDES)
    assert table.lattice.longitudes == tuple(LONGITUDES)
    words = ("t2m", "2 metre temperature", "K")
    assert (table.name, table.long_name, table.unit) == words
    assert table.source == {"h5netcdf": "NetCDF 4", "scipy": "NetCDF 3"}[engine]


def test_axes_are_told_by_their_attributes_too(tmp_path: Path) -> None:
    data = dataset(field()).rename(latitude="y", longitude="x")
    assert np.array_equal(read_table(written(tmp_path / "a.nc", netcdf(data))).values, field())
    data.y.attrs, data.x.attrs = {"standard_name": "latitude"}, {"units": "degree_E"}
    assert np.array_equal(read_table(written(tmp_path / "b.nc", netcdf(data))).values, field())
    data.y.attrs, data.x.attrs = {}, {}
    with pytest.raises(InputError, match="one axis of latitudes"):
        read_table(written(tmp_path / "c.nc", netcdf(data)))


@pytest.mark.parametrize("engine", ENGINES)
def test_scale_offset_and_missing_values_are_applied(tmp_path: Path, engine: str) -> None:
    packing = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32768}
    values = field()
    values[2, 3] = values[0, 0] = np.nan
    data = dataset(values)
    buffer = tmp_path / "x.nc"
    data.to_netcdf(buffer, engine=engine, encoding={"t2m": packing})
    found = read_table(buffer).values
    assert np.array_equal(np.isnan(found), np.isnan(values))
    assert np.nanmax(np.abs(found - values)) <= 0.0051


@pytest.mark.parametrize("engine", ENGINES)
def test_several_times_have_to_be_chosen_from(tmp_path: Path, engine: str) -> None:
    values = np.stack([field(seed) for seed in range(3)])
    time = ("time", [0, 6, 12], {"units": "hours since 2012-12-01", "calendar": "standard"})
    data = dataset(values, ("time", "latitude", "longitude"), time=time)
    path = written(tmp_path / "x.nc", netcdf(data, engine))
    with pytest.raises(InputError, match=r"time= .* 1 \(2012-12-01T06:00:00\)"):
        read_table(path)
    for choice in (0, 2, -1):
        table = read_table(path, time=choice)
        assert np.array_equal(table.values, values[choice])
        assert table.time == f"2012-12-01T{6 * (choice % 3):02d}:00:00"
    for wrong in (3, -4, 1.0, True):
        with pytest.raises(InputError, match="one of 3 entries"):
            read_table(path, time=wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="level= only with such an axis"):
        read_table(path, time=0, level=0)


def test_levels_and_odd_calendars(tmp_path: Path) -> None:
    values = np.arange(2 * 2 * 84, dtype=np.float64).reshape(2, 2, *SHAPE)
    coords = {
        "time": ("time", [0, 30], {"units": "days since 0001-01-01", "calendar": "360_day"}),
        "plev": ("plev", [850.0, 500.0], {"units": "hPa"}),
    }
    data = dataset(values, ("time", "plev", "latitude", "longitude"), **coords)
    path = written(tmp_path / "x.nc", netcdf(data))
    with pytest.raises(InputError, match=r"level= .* 1 \(500\.0 hPa\)"):
        read_table(path, time=0)
    assert np.array_equal(read_table(path, time=1, level=-1).values, values[1, 1])
    with pytest.raises(InputError, match="time="):
        read_table(path, level=0)
    deeper = dataset(values[None].repeat(2, 0), ("member", "time", "plev", "latitude", "longitude"))
    with pytest.raises(InputError, match="got member, plev"):
        read_table(written(tmp_path / "y.nc", netcdf(deeper)), time=0, level=0)


def test_several_variables_have_to_be_chosen_from(tmp_path: Path) -> None:
    data = dataset(field())
    data["wind"] = data.t2m * 2
    data["bounds"] = (("latitude", "edge"), np.zeros((7, 2)))
    path = written(tmp_path / "x.nc", netcdf(data))
    with pytest.raises(InputError, match="'t2m', 'wind'"):
        read_table(path)
    assert np.array_equal(read_table(path, key="wind").values, field() * 2)
    with pytest.raises(InputError, match="key='bounds'"):
        read_table(path, key="bounds")


def test_other_grids_are_refused(tmp_path: Path) -> None:
    rotated = xarray.Dataset(
        {"t2m": (("rlat", "rlon"), field())},
        coords={
            "rlat": ("rlat", LATITUDES, {"standard_name": "grid_latitude", "units": "degrees"}),
            "rlon": ("rlon", LONGITUDES, {"standard_name": "grid_longitude", "units": "degrees"}),
            "lat": (("rlat", "rlon"), field()),
            "lon": (("rlat", "rlon"), field()),
        },
    )
    with pytest.raises(InputError, match="rotated or curvilinear"):
        read_table(written(tmp_path / "a.nc", netcdf(rotated)))
    reduced = xarray.Dataset(
        {"t2m": ("values", field().ravel())}, coords={"latitude": ("values", field().ravel())}
    )
    with pytest.raises(InputError, match=r"t2m over \(values\)"):
        read_table(written(tmp_path / "b.nc", netcdf(reduced)))
    text = dataset(np.full(SHAPE, "warm"))
    with pytest.raises(InputError, match="real numbers"):
        read_table(written(tmp_path / "c.nc", netcdf(text)))
    radians = dataset(field())
    for axis in ("latitude", "longitude"):
        radians[axis] = (axis, np.deg2rad(radians[axis].values), {"units": "radians"})
    with pytest.raises(InputError, match="in degrees; got radians for latitude"):
        read_table(written(tmp_path / "e.nc", netcdf(radians)))
    turned = dataset(field()).assign_coords(latitude=LATITUDES[::-1] * 2)
    with pytest.raises(InputError, match="within 90 degrees"):
        read_table(written(tmp_path / "d.nc", netcdf(turned)))


def test_slices_are_limited_before_they_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "x.nc", netcdf(dataset(field())))
    assert read_table(path, max_points=84).values.shape == SHAPE
    with pytest.raises(InputError, match="1 to 83 points; got 7 x 12"):
        read_table(path, max_points=83)
    with pytest.raises(InputError, match="max_points"):
        read_table(path, max_points=0)


@pytest.mark.parametrize("names", [("lat", "lon"), ("latitude", "longitude")])
def test_npz(tmp_path: Path, names: tuple[str, str]) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **dict(zip(names, (LATITUDES, LONGITUDES), strict=True)), temperature=field())
    table = read_table(path)
    assert np.array_equal(table.values, field())
    assert (table.name, table.source, table.unit) == ("temperature", "npz", "")
    assert table.lattice.longitudes == tuple(LONGITUDES)


def test_npz_with_times_and_several_arrays(tmp_path: Path) -> None:
    values = np.stack([field(seed) for seed in range(3)])
    path = npz(tmp_path / "x.npz", t=values, other=np.arange(5))
    with pytest.raises(InputError, match="time="):
        read_table(path)
    assert np.array_equal(read_table(path, time=-1).values, values[2])
    path = npz(tmp_path / "y.npz", a=field(), b=field(1))
    with pytest.raises(InputError, match="'a', 'b'"):
        read_table(path)
    assert np.array_equal(read_table(path, key="b").values, field(1))
    for options in ({"key": "b", "time": 0}, {"key": "b", "level": 0}, {"key": "c"}):
        with pytest.raises(InputError, match="expected"):
            read_table(path, **options)  # type: ignore[arg-type]
    np.savez(tmp_path / "z.npz", t=field())
    with pytest.raises(InputError, match="latitude or lat"):
        read_table(tmp_path / "z.npz")
    with pytest.raises(InputError, match="one variable"):
        read_table(npz(tmp_path / "w.npz", t=field().T))
    with pytest.raises(InputError, match=r"\[lat, lon\] or"):
        read_table(npz(tmp_path / "v.npz", t=values[None]))


@pytest.mark.skipif(not has_eccodes(), reason="GRIB needs the extra grib")
def test_steps_of_grib_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 \(6\.0 hours\)"):
        read_table(grib(tmp_path / "x.grib", field(), (0, 6, 12)))


def test_other_content_is_refused_with_the_way_out(tmp_path: Path) -> None:
    for data, advice in ((b"CDF\x05" + bytes(99), "nccopy"), (b"hello" * 9, "cdo")):
        with pytest.raises(InputError, match=advice):
            read_table(written(tmp_path / "x.nc", data))
