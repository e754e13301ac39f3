"""NetCDF and GRIB files through xarray: which variable, which axes, which slice."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fastsnf.errors import InputError
from fastsnf.signals.latlon.hdf5 import check_hdf5
from fastsnf.signals.latlon.lattice import AXES, Lattice
from fastsnf.signals.latlon.table import Table, check_numeric, check_points, chosen, place_of
from fastsnf.signals.optional import require

NAMES = {"latitude": ("latitude", "lat"), "longitude": ("longitude", "lon")}
UNITS = {
    "latitude": ("degrees_north", "degree_north", "degree_n", "degrees_n", "degreen", "degreesn"),
    "longitude": ("degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese"),
}
"""By what the axes of a file are told (CF conventions 4.1 and 4.2), in lower case."""

TIMES = ("time", "valid_time", "forecast_time", "step", "date", "month")
"""Names that an axis of time has where its attributes do not say so."""

ENGINES: dict[bytes, tuple[str, str]] = {
    b"\x89HDF\r\n\x1a\n": ("h5netcdf", "NetCDF 4"),
    b"CDF\x01": ("scipy", "NetCDF 3"),
    b"CDF\x02": ("scipy", "NetCDF 3"),
    b"GRIB": ("cfgrib", "GRIB"),
}
"""How files begin -> xarray's engine and the name of the format."""

EXTRAS = {"h5netcdf": "sphere", "scipy": "sphere", "cfgrib": "grib"}


def read_dataset(
    path: str | os.PathLike[str],
    engine: str,
    source: str,
    *,
    key: str | None,
    time: int | None,
    level: int | None,
    max_points: int,
) -> Table:
    """Return a slice of a NetCDF or GRIB file, with scale, offset and missing values applied.

    Args:
        path: the file.
        engine: xarray's engine, of `ENGINES`.
        source: the name of the format.
        key: the variable; by default the only one over latitudes and longitudes.
        time, level: places along the axis of time and along the only other one; needed where they have
            several.
        max_points: slices of more points are refused.

    Raises:
        InputError: no such variable or slice, a grid that is not one of latitudes and longitudes, a file that
            promises too much; and whatever the libraries raise on a damaged file.
    """
    xarray = require("xarray", "sphere", "NetCDF and GRIB files")
    require(engine, EXTRAS[engine], f"{source} files")
    options: dict[str, Any] = {}
    if engine == "h5netcdf":
        check_hdf5(path)
    if engine == "cfgrib":  # no index file beside the input, and no message left out without a word
        options["backend_kwargs"] = {"indexpath": "", "errors": "raise"}
    name = os.fsdecode(path)
    with xarray.open_dataset(name, engine=engine, decode_times=False, cache=False, **options) as data:
        axes = {axis: _axes_of(data, axis) for axis in AXES}
        found = [str(variable) for variable in data.data_vars if _on(data[variable], axes)]
        if not found:
            raise _no_lattice(data, name)
        variable = data[chosen(found, key, name)]
        check_numeric(variable.dtype, str(variable.name), name)
        (row,), (column,) = ([dim for dim in variable.dims if dim in axes[axis]] for axis in AXES)
        check_points(variable.sizes[row], variable.sizes[column], max_points, name)
        lattice = Lattice(*(_degrees(data[dim], name) for dim in (row, column)))
        part = _slice(variable, (row, column), {"time": time, "level": level}, name)
        values = part.transpose(row, column).load().values
        return Table(
            np.asarray(values, dtype=np.float64),
            lattice,
            name=str(variable.name),
            long_name=_text(variable.attrs.get("long_name")),
            unit=_text(variable.attrs.get("units")),
            time=_when(xarray, part),
            source=source,
        )


def _axes_of(data: Any, axis: str) -> set[str]:
    """Return the dimensions that are latitudes, or longitudes: their own variables say so."""
    found = set()
    for dim in data.dims:
        if dim not in data.variables or data[dim].dims != (dim,):
            continue
        said = (data[dim].attrs.get("standard_name"), data[dim].attrs.get("units"))
        names = (_text(said[0]).lower() == axis, _text(said[1]).lower() in UNITS[axis])
        if any(names) or str(dim).lower() in NAMES[axis]:
            found.add(str(dim))
    return found


def _on(variable: Any, axes: dict[str, set[str]]) -> bool:
    """Return whether a variable has one axis of latitudes and one of longitudes."""
    return all(sum(dim in axes[axis] for dim in variable.dims) == 1 for axis in AXES)


def _no_lattice(data: Any, path: str) -> InputError:
    """Return the error for a file without a variable over latitudes and longitudes, with what it has."""
    shown = ", ".join(f"{name} over ({', '.join(map(str, data[name].dims))})" for name in data.data_vars)
    curved = any(data[name].ndim > 1 for name in data.coords if str(name).lower() in sum(NAMES.values(), ()))
    what = "latitudes of two axes, on a rotated or curvilinear grid" if curved else (shown[:300] or "nothing")
    return InputError(
        f"expected a variable over one axis of latitudes and one of longitudes; got {what} in {path!r}; "
        "bring it to such a grid first, with: cdo remapbil,r360x180 IN OUT.nc"
    )


def _degrees(coordinate: Any, path: str) -> tuple[float, ...]:
    """Return latitudes or longitudes; raise `InputError` where the file says that they are radians."""
    unit = _text(coordinate.attrs.get("units"))
    if unit.lower().startswith("rad"):
        raise InputError(
            f"expected latitudes and longitudes in degrees; got {unit} for {coordinate.name} in {path!r}; "
            "convert them first"
        )
    return tuple(np.asarray(coordinate.values, dtype=np.float64).tolist())


def _slice(variable: Any, kept: tuple[str, str], given: dict[str, int | None], path: str) -> Any:
    """Return the variable at one place along every axis but those `kept`."""
    others = [dim for dim in variable.dims if dim not in kept]
    times = [dim for dim in others if _is_time(variable, dim)]
    levels = [dim for dim in others if dim not in times]
    for option, dims in (("time", times), ("level", levels)):
        several = [dim for dim in dims if variable.sizes[dim] > 1]
        if len(several) > 1:
            raise InputError(
                f"expected one axis of several entries for {option}=; got {', '.join(map(str, several))} in "
                f"{path!r}; write the slice that you mean to a file of its own with xarray or cdo"
            )
        if given[option] is not None and not dims:
            raise InputError(f"expected {option}= only with such an axis; got {given[option]!r} for {path!r}")
    places = {}
    for option, dims in (("time", times), ("level", levels)):
        for dim in dims:
            size = variable.sizes[dim]
            choice = given[option] if size > 1 or len(dims) == 1 else None
            places[dim] = place_of(option, choice, _labels(variable, dim) if size > 1 else [""] * size, path)
    return variable.isel(places)


def _is_time(variable: Any, dim: str) -> bool:
    """Return whether an axis is one of time, by its attributes or else by its name."""
    if dim in variable.coords:
        attrs = variable.coords[dim].attrs
        if " since " in _text(attrs.get("units")) or _text(attrs.get("standard_name")) == "time":
            return True
    return str(dim).lower() in TIMES


def _labels(variable: Any, dim: str) -> list[str]:
    """Return the entries of an axis in words."""
    size = variable.sizes[dim]
    if dim not in variable.coords or size > 10_000:
        return [str(place) for place in range(size)]
    xarray = require("xarray", "sphere", "NetCDF and GRIB files")
    labels = _decoded(xarray, variable.coords[dim])
    unit = _text(variable.coords[dim].attrs.get("units"))
    return [f"{label} {unit}".strip() if " since " not in unit else label for label in labels]


def _when(xarray: Any, part: Any) -> str:
    """Return the time of a slice in words, empty where the file does not say it."""
    for name in ("valid_time", "time"):
        if name in part.coords and part.coords[name].ndim == 0:
            return _decoded(xarray, part.coords[name])[0]
    return ""


def _decoded(xarray: Any, coordinate: Any) -> list[str]:
    """Return the values of a coordinate in words: dates, where its unit makes them dates."""
    try:
        plain = coordinate.reset_coords(drop=True).rename("x")
        values = xarray.decode_cf(plain.to_dataset(), decode_timedelta=False)["x"].values
        if values.dtype.kind == "M":
            values = values.astype("datetime64[s]")
    except Exception:  # calendars and units of every kind: a label is not worth a failure
        values = coordinate.values
    return [str(value) for value in np.atleast_1d(values)]


def _text(attribute: object) -> str:
    """Return an attribute of a file if it is text, without line breaks and not longer than a line."""
    return " ".join(attribute.split())[:200] if isinstance(attribute, str) else ""
