"""Reading a slice over latitudes and longitudes: NetCDF 3 and 4, GRIB, and npz; the content says which."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fastsnf.errors import InputError, check_whole
from fastsnf.signals.arrays.archive import MAGICS as ZIP
from fastsnf.signals.arrays.archive import archive_of
from fastsnf.signals.arrays.limits import Limits
from fastsnf.signals.arrays.npz import entries
from fastsnf.signals.arrays.source import Source, opened_source
from fastsnf.signals.faults import reading
from fastsnf.signals.latlon.child import read_in_child
from fastsnf.signals.latlon.dataset import ENGINES, NAMES, read_dataset
from fastsnf.signals.latlon.lattice import AXES, Lattice
from fastsnf.signals.latlon.table import MAX_POINTS, Table, check_points, chosen, place_of


def read_table(
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    time: int | None = None,
    level: int | None = None,
    max_points: int = MAX_POINTS,
) -> Table:
    """Return a slice of a NetCDF 3 or 4, GRIB or npz file as a table of values.

    What a damaged file may hide: npz has a checksum of every array, NetCDF 4 of variables that were written
    with ``fletcher32`` or compressed; NetCDF 3 and GRIB have none, so that a value that changed is not seen.
    Files cut short are.

    Args:
        path: a regular file; its content decides the format. npz holds the arrays ``lat`` and ``lon``, or
            ``latitude`` and ``longitude``, and values `[lat, lon]` or `[time, lat, lon]`.
        key: the variable; by default the only one over latitudes and longitudes.
        time, level: the place along that axis, counted from 0 (-1 is the last); needed where it has several.
        max_points: slices of more points are refused.

    Raises:
        InputError: no such file, variable or slice, a damaged file, another format, a grid that is not one of
            latitudes and longitudes, or more promised than the limit.
    """
    check_whole("max_points", max_points, 1)
    name = os.fsdecode(path)
    with opened_source(name, Limits(8 * max_points, 8 * max_points)) as source:
        start = source.start(8)
        if start[:4] in ZIP:
            with reading(name, "npz"):
                return _read_npz(source, key, time, level, max_points)
    engine, kind = next((found for magic, found in ENGINES.items() if start.startswith(magic)), ("", ""))
    if not engine:
        advice = "nccopy -k nc4 IN OUT.nc" if start[:3] == b"CDF" else "cdo -f nc4 copy IN OUT.nc"
        raise InputError(
            f"expected NetCDF 3 or 4, GRIB or npz; got {name!r}, whose content is none of these; convert it "
            f"with: {advice}"
        )
    with reading(name, kind):
        read = read_dataset if engine == "scipy" else read_in_child
        return read(path, engine, kind, key=key, time=time, level=level, max_points=max_points)


def _read_npz(source: Source, key: str | None, time: int | None, level: int | None, max_points: int) -> Table:
    """Return the slice of an npz file."""
    if level is not None:
        raise InputError(f"expected level= only for NetCDF and GRIB; got {level!r} for {source.name!r}")
    with archive_of(source) as archive:
        found = {entry.name: entry for entry in entries(source, archive)}
        degrees = [_axis(found, axis, source.name) for axis in AXES]
        rows, columns = map(len, degrees)
        over = [name for name, entry in found.items() if entry.shape[-2:] == (rows, columns)]
        entry = found[chosen(over, key, source.name)]
        check_points(rows, columns, max_points, source.name)
        if len(entry.shape) > 3:
            raise InputError(
                f"expected values [lat, lon] or [time, lat, lon]; got {list(entry.shape)} in {source.name!r}"
            )
        if len(entry.shape) == 2 and time is not None:
            raise InputError(f"expected time= only with an axis of times; got {time!r} for {source.name!r}")
        with entry.open() as array:
            values: Any = array.whole()
            if len(entry.shape) == 3:
                values = values[place_of("time", time, [str(i) for i in range(entry.shape[0])], source.name)]
            table = np.array(values, dtype=np.float64)
    return Table(table, Lattice(*map(tuple, degrees)), name=entry.name, source="npz")


def _axis(found: dict[str, Any], axis: str, path: str) -> list[float]:
    """Return the degrees of an axis of an npz file, and take it from what it may hold beside."""
    for name in NAMES[axis]:
        if name in found and len(found[name].shape) == 1:
            with found.pop(name).open() as array:
                degrees: list[float] = np.asarray(array.whole(), dtype=np.float64).tolist()
                return degrees
    listed = ", ".join(f"{name} {list(entry.shape)}" for name, entry in list(found.items())[:20]) or "nothing"
    raise InputError(
        f"expected {' or '.join(NAMES[axis])} as an array of one axis, in degrees; got {listed} in {path!r}"
    )
