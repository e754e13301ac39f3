"""Files over latitudes and longitudes, made by xarray, ecCodes and NumPy: not by the code under test."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

LATITUDES = np.linspace(90.0, -90.0, 7)
LONGITUDES = np.arange(0.0, 360.0, 30.0)
SHAPE = (len(LATITUDES), len(LONGITUDES))


def field(seed: int = 0) -> np.ndarray:
    """Temperatures of `SHAPE`, float32."""
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    return (280 + 20 * np.cos(np.deg2rad(LATITUDES))[:, None] + noise).astype(np.float32)


def dataset(values: np.ndarray, dims: tuple[str, ...] = ("latitude", "longitude"), **coords: Any) -> Any:
    """A dataset of one variable ``t2m`` in kelvins over `dims`."""
    import xarray

    attrs = {"units": "K", "long_name": "2 metre temperature"}
    places: dict[str, Any] = {}
    for dim in dims:
        if dim in ("lat", "latitude"):
            places[dim] = (dim, LATITUDES, {"units": "degrees_north"})
        if dim in ("lon", "longitude"):
            places[dim] = (dim, LONGITUDES, {"units": "degrees_east"})
    return xarray.Dataset({"t2m": (dims, values, attrs)}, coords={**places, **coords})


def netcdf(data: Any, engine: str = "h5netcdf", **encoding: Any) -> bytes:
    """The bytes of a dataset as NetCDF 4 (h5netcdf) or 3 (scipy)."""
    buffer = io.BytesIO()
    options = {str(name): encoding for name in data.variables} if encoding else {}
    if engine == "scipy":
        return bytes(data.to_netcdf(engine="scipy", encoding=options))
    data.to_netcdf(buffer, engine=engine, encoding=options)
    return buffer.getvalue()


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **{"lat": LATITUDES, "lon": LONGITUDES, **arrays})
    return path


def grib(path: Path, values: np.ndarray, steps: tuple[int, ...] = (0,), edition: int = 2) -> Path:
    """A GRIB file of `values` at each of the forecast steps, plus the step."""
    import eccodes

    keys = {
        "Ni": SHAPE[1],
        "Nj": SHAPE[0],
        "latitudeOfFirstGridPointInDegrees": LATITUDES[0],
        "latitudeOfLastGridPointInDegrees": LATITUDES[-1],
        "longitudeOfFirstGridPointInDegrees": LONGITUDES[0],
        "longitudeOfLastGridPointInDegrees": LONGITUDES[-1],
        "iDirectionIncrementInDegrees": 30.0,
        "jDirectionIncrementInDegrees": 30.0,
        "bitsPerValue": 24,
        "shortName": "2t",
    }
    with path.open("wb") as file:
        for step in steps:
            message = eccodes.codes_grib_new_from_samples(f"regular_ll_sfc_grib{edition}")
            for key, value in {**keys, "step": step}.items():
                eccodes.codes_set(message, key, value)
            eccodes.codes_set_values(message, values.ravel().astype(float) + step)
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)
    return path


def has_eccodes() -> bool:
    """Whether GRIB can be written here; the library behind the package may be missing, too."""
    try:
        import cfgrib  # noqa: F401
        import eccodes  # noqa: F401
    except Exception:
        return False
    return True
