"""Writing values over latitudes and longitudes as a NetCDF 4 file, with checksums, in one step."""

from __future__ import annotations

import io
import os
from pathlib import Path

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_write
from fastsnf.signals.latlon.table import Table
from fastsnf.signals.optional import require


def write_table(table: Table, path: str | os.PathLike[str]) -> None:
    """Write a table as float32 with its latitudes, longitudes, name and units (CF conventions 1.8).

    The file appears whole or not at all; a changed byte of its values is seen by whoever reads them
    (``fletcher32``).

    Raises:
        InputError: another suffix than ``.nc``, a missing library, or a place that cannot be written.
        RunError: the disk is full or failed.
    """
    path = Path(path)
    if path.suffix.lower() != ".nc":
        raise InputError(f"expected a file ending in .nc for a sphere; got {str(path)!r}; name it so")
    xarray = require("xarray", "sphere", "NetCDF files")
    require("h5netcdf", "sphere", "NetCDF files")
    said = {"long_name": table.long_name, "units": table.unit, "time": table.time}
    axes = {
        "latitude": (table.lattice.latitudes, "degrees_north"),
        "longitude": (table.lattice.longitudes, "degrees_east"),
    }
    name = table.name if table.name not in axes else f"{table.name}_values"
    data = xarray.Dataset(
        {name: (tuple(axes), table.values.astype("float32"), {k: v for k, v in said.items() if v})},
        coords={
            axis: (axis, list(degrees), {"units": unit, "standard_name": axis})
            for axis, (degrees, unit) in axes.items()
        },
        attrs={"Conventions": "CF-1.8", "source": "a neural field of fastsnf"},
    )
    buffer = io.BytesIO()
    data.to_netcdf(buffer, engine="h5netcdf", encoding={key: {"fletcher32": True} for key in (name, *axes)})
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())
