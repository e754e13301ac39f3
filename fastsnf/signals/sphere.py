"""Fields on a sphere as signals: unit vectors -> one value in [0, 1], such as temperatures on the Earth."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.described import described, described_numbers
from fastsnf.signals.grid import Grid, checked_shape
from fastsnf.signals.latlon.lattice import Lattice
from fastsnf.signals.latlon.read import read_table
from fastsnf.signals.latlon.table import MAX_POINTS, Table
from fastsnf.signals.latlon.vectors import UnitVectors, unit_vectors
from fastsnf.signals.latlon.write import write_table
from fastsnf.signals.optional import require
from fastsnf.signals.signal import CACHED_POINTS, Signal

_WORDS = ("name", "long_name", "unit", "time", "source")


class Sphere(Signal):
    """A table of `shape` (latitudes, longitudes) of values brought to [0, 1] by their minimum and maximum.

    The coordinates of a point at latitude φ and longitude θ are (cos φ cos θ, cos φ sin θ, sin φ). Points
    without a value have weight 0. Use `open` or `from_array`.

    Args:
        shape: (rows, columns), those of `lattice`.
        values: float32 `[rows columns, 1]`, rows first; None when only described.
        weights: float32 `[rows columns]`, or None.
        lattice: the latitudes and longitudes, in the order of the file.
        bounds: minimum and maximum at the source.
        about: what the source says: ``name`` of the variable, ``long_name``, ``unit`` of its values,
            ``time``, ``source`` (the format).
    """

    kind: ClassVar[str] = "sphere"
    default_name: ClassVar[str] = "reconstruction.nc"
    metrics: ClassVar[tuple[str, ...]] = ("psnr_area",)
    unit: ClassVar[tuple[str, ...]] = ("latitude [degree]", "longitude [degree]")
    sized_by: ClassVar[tuple[str, ...]] = ("resolution", "scale")
    writes: ClassVar[tuple[str, ...]] = (".nc",)

    def __init__(
        self,
        shape: Sequence[int],
        values: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        lattice: Lattice,
        bounds: tuple[float, float],
        about: Mapping[str, str],
    ) -> None:
        super().__init__(shape, 1, values, weights)
        low, high = bounds
        if self.shape != lattice.shape:
            raise InputError(f"expected a sphere of shape {lattice.shape}; got {self.shape}")
        if not (math.isfinite(high - low) and low < high):
            raise InputError(f"expected a minimum below the maximum; got {low!r} and {high!r}")
        self.lattice, self.bounds = lattice, (float(low), float(high))
        self.about = {word: about.get(word, "") for word in _WORDS}

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        key: str | None = None,
        time: int | None = None,
        level: int | None = None,
        max_points: int = MAX_POINTS,
    ) -> Self:
        """Read a slice of a NetCDF 3 or 4, GRIB or npz file; see `read_table`.

        Args:
            path: the file; its content decides the format.
            key: the variable; by default the only one over latitudes and longitudes.
            time, level: the place along that axis, counted from 0; needed where the file has several.
            max_points: slices of more points are refused.

        Raises:
            InputError: the file is missing, damaged, too large or of another kind, its grid is not one of
                latitudes and longitudes, its values are all the same or all missing, or an option is wrong.
        """
        # The reconstruction is NetCDF, whatever the source: better to miss a library now than after the fit.
        for module in ("xarray", "h5netcdf"):
            require(module, "sphere", "spheres")
        return cls._of(
            read_table(path, key=key, time=time, level=level, max_points=max_points), os.fsdecode(path)
        )

    @classmethod
    def from_array(
        cls,
        values: ArrayLike | Tensor,
        latitudes: ArrayLike,
        longitudes: ArrayLike,
        *,
        name: str = "values",
        unit: str = "",
    ) -> Self:
        """Return the sphere of `values`, real `[rows, columns]`, NaN where there is none.

        Args:
            values: one for each latitude and longitude.
            latitudes: `[rows]` in degrees, rising or falling.
            longitudes: `[columns]` in degrees, rising or falling.
            name: of the variable in files.
            unit: of the values.

        Raises:
            InputError: shapes that do not agree, or what `open` refuses.
        """
        table = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
        degrees = [np.asarray(axis, dtype=np.float64) for axis in (latitudes, longitudes)]
        if any(axis.ndim != 1 for axis in degrees) or table.shape != tuple(map(len, degrees)):
            raise InputError(
                f"expected values [rows, columns], latitudes [rows] and longitudes [columns]; got "
                f"{', '.join(str(list(array.shape)) for array in (table, *degrees))}"
            )
        if table.dtype.kind not in "iuf":
            raise InputError(f"expected real numbers; got {table.dtype}")
        lattice = Lattice(*(tuple(axis.tolist()) for axis in degrees))
        return cls._of(Table(table.astype(np.float64), lattice, name=name, unit=unit), "array")

    @classmethod
    def _of(cls, table: Table, path: str) -> Self:
        """Return the sphere of a table, or raise `InputError` for one that no scale brings to [0, 1]."""
        there = ~np.isnan(table.values)
        known = table.values[there]
        if not known.size:
            raise InputError(f"expected values; got none that is not missing in {path!r}")
        low, high = float(known.min()), float(known.max())
        if not math.isfinite(high - low) or low == high:
            raise InputError(
                f"expected finite values that differ, to bring them to [0, 1]; got {low:g} to {high:g} in "
                f"{path!r}"
            )
        unit = np.where(there, (table.values - low) / (high - low), 0.0).astype(np.float32)
        weights = None if there.all() else torch.from_numpy(there.astype(np.float32).reshape(-1))
        return cls(
            table.lattice.shape,
            torch.from_numpy(unit.reshape(-1, 1)),
            weights,
            lattice=table.lattice,
            bounds=(low, high),
            about={word: str(getattr(table, word)) for word in _WORDS},
        )

    @property
    def in_features(self) -> int:
        """The three coordinates of a unit vector."""
        return 3

    @cached_property
    def _vectors(self) -> UnitVectors:
        return UnitVectors(self.lattice)

    @cached_property
    def coords(self) -> Tensor:
        """The unit vectors of all points, float32 `[N, 3]`, made on first use."""
        return self._vectors.at(slice(0, self.size))

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return (x `[B, 3]`, y `[B, 1]`, w `[B]` or None) of the points `index`; see `Signal.batch`."""
        if self.size > CACHED_POINTS:
            x = self._vectors.at(index)
        else:
            x = self.coords[index] if isinstance(index, slice) else torch.index_select(self.coords, 0, index)
        return x, self.targets(index), None if self.weights is None else self.weights[index]

    def areas(self, index: slice) -> Tensor:
        """Return the areas, float32 `[B]`, that the points of a slice stand for: cos φ, 1 on average."""
        return self._vectors.areas(index)

    def digest(self) -> str:
        """Return a SHA-256 of values, weights and places."""
        places = torch.tensor([*self.lattice.latitudes, *self.lattice.longitudes], dtype=torch.float64)
        return hashlib.sha256(super().digest().encode() + places.numpy().tobytes()).hexdigest()

    def grid_of(self, shape: Sequence[int]) -> Grid:
        """Return the places (row, column) of a rendering; its points are those of `coordinates_of`."""
        sizes = checked_shape(shape)
        if len(sizes) != 2:
            raise InputError(f"expected a shape of (rows, columns) for a sphere; got {tuple(shape)}")
        return Grid(sizes)

    def grid(self, shape: Sequence[int]) -> Tensor:
        """Return the unit vectors of a rendering with `shape` (rows, columns), float32 `[N, 3]`."""
        return self.coordinates_of(shape, slice(0, self.grid_of(shape).size))

    def coordinates_of(self, shape: Sequence[int], index: Tensor | slice) -> Tensor:
        """Return the unit vectors, float32 `[B, 3]`, of points of a rendering with (rows, columns)."""
        lattice = self.lattice.resampled(self.grid_of(shape).shape)
        vectors = self._vectors if lattice is self.lattice else UnitVectors(lattice)
        return vectors.at(index)

    def to_coordinates(self, points: ArrayLike | Tensor) -> Tensor:
        """Return unit vectors, float32 `[..., 3]`, of `points` `[..., 2]`: (latitude, longitude) in degrees.

        >>> sphere = Sphere.from_array([[1.0, 2.0], [3.0, 4.0]], [-45, 45], [0, 180])
        >>> sphere.to_coordinates([[0, 0], [90, 0]]).round(decimals=6).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
        """
        return unit_vectors(self._checked_points(points))

    def to_units(self, values: Tensor) -> Tensor:
        """Return `values` `[..., 1]` of the field in the unit of the source, such as kelvins."""
        low, high = self.bounds
        return low + values * (high - low)

    def metadata(self) -> dict[str, Any]:
        """Return a JSON-able description: places, ranges and what the source says."""
        return {
            **super().metadata(),
            "coordinates": "(cos lat cos lon, cos lat sin lon, sin lat), longitude fastest",
            "axes": ["latitude", "longitude"],
            "latitudes": list(self.lattice.latitudes),
            "longitudes": list(self.lattice.longitudes),
            "range": [0.0, 1.0],
            "minimum": self.bounds[0],
            "maximum": self.bounds[1],
            "weighted": self.weights is not None,
            **self.about,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the sphere, without its values, that `metadata` describes."""
        axes = (described_numbers(metadata, cls.kind, axis) for axis in ("latitudes", "longitudes"))
        return cls(
            described(metadata, cls.kind, "shape", list),
            lattice=Lattice(*axes),
            bounds=(
                described(metadata, cls.kind, "minimum", float),
                described(metadata, cls.kind, "maximum", float),
            ),
            about={word: described(metadata, cls.kind, word, str) for word in _WORDS},
        )

    def to_array(
        self, values: Tensor | None = None, shape: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Return `values` `[N, 1]` (by default the own ones) in the unit of the source, `[rows, columns]`.

        Not clipped. Of the sphere's own values, those that are missing are NaN.
        """
        own = values is None
        found = self._checked_rendering(
            self.values if values is None else values, self.shape if shape is None else shape
        )
        table = self.to_units(found[..., 0].double())
        if own and self.weights is not None:
            table[self.weights.reshape(self.shape) == 0] = math.nan
        return table.float().numpy()

    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write `values` `[N, 1]` with `shape` (rows, columns), in the source's unit, as NetCDF 4 (``.nc``).

        Latitudes and longitudes are those of `lattice`, resampled (`Lattice.resampled`); the field has a
        value everywhere, also where the source had none. The file is complete or absent, never partial.

        Raises:
            InputError: another suffix, shapes that do not agree, or a place that cannot be written.
            RunError: the disk is full or failed.
        """
        table = self.to_array(values, shape).astype(np.float64)
        name, long_name, unit, time, source = (self.about[word] for word in _WORDS)
        lattice = self.lattice.resampled(table.shape)
        write_table(Table(table, lattice, name or "values", long_name, unit, time, source), path)
