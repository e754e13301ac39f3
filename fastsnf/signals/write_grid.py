"""Writing occupancy grids as arrays: NumPy's npz of bits and npy of bools, and zarr."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_folder, atomic_write
from fastsnf.signals.grid import Grid
from fastsnf.signals.optional import require

if TYPE_CHECKING:
    from fastsnf.signals.bits import BitGrid

GRIDS = (".npz", ".npy", ".zarr")
"""Suffixes of occupancy grids."""

CHUNK = 64
"""Voxels of a chunk of zarr along each axis."""
SHARD = 256
"""Voxels of a file of zarr along each axis, of grids that have more: 512^3 is 8 files."""


def write_grid(bits: BitGrid, grid: Grid, path: str | os.PathLike[str]) -> None:
    """Write the occupied points of a grid of three axes in the format of the suffix, whole or not at all.

    ``.npz`` holds ``bits`` (uint8, 8 points each, the first in the lowest bit), ``shape`` `[3]` and
    ``bounds`` `[3, 2]`; ``.npy`` bools `[*shape]`; ``.zarr`` a folder (zarr v3) with bools, compressed with
    checksums, and the bounds as an attribute. None of them is ever unpacked as a whole in memory.

    Raises:
        InputError: another suffix, zarr is missing, a place that cannot be written, or a folder in the place
            of ``.zarr`` that is none.
        RunError: the disk is full or failed.
    """
    path = Path(path)
    writers = dict(zip(GRIDS, (_write_npz, _write_npy, _write_zarr), strict=True))
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise InputError(f"expected a grid file ending in {', '.join(GRIDS)}; got {str(path)!r}; name it so")
    writer(bits, grid, path)


def _write_npz(bits: BitGrid, grid: Grid, path: Path) -> None:
    with atomic_write(path) as file:
        np.savez(
            file,
            bits=np.asarray(bits.octets),
            shape=np.array(bits.shape, dtype=np.int64),
            bounds=np.array(grid.bounds),
        )


def _write_npy(bits: BitGrid, grid: Grid, path: Path) -> None:
    header = {"descr": "|b1", "fortran_order": False, "shape": bits.shape}
    with atomic_write(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _first, slab in bits.slabs():
            file.write(slab.tobytes())


def _write_zarr(bits: BitGrid, grid: Grid, path: Path) -> None:
    zarr = require("zarr", "arrays", "zarr files")
    if path.exists() and not any((path / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup")):
        raise InputError(
            f"expected no file or folder that is not zarr in the place of {str(path)!r}; got one: "
            "choose another name"
        )
    sharded = max(bits.shape) > SHARD
    with atomic_folder(path) as folder:
        array = zarr.create_array(
            str(folder),
            shape=bits.shape,
            dtype="bool",
            chunks=(CHUNK,) * 3,
            shards=(SHARD,) * 3 if sharded else None,
            compressors=zarr.codecs.ZstdCodec(level=3, checksum=True),
            fill_value=False,
            attributes={"bounds": [list(ends) for ends in grid.bounds]},
        )
        side = SHARD if sharded else CHUNK
        for i in range(0, bits.shape[0], side):
            for j in range(0, bits.shape[1], side):
                planes, rows = (
                    range(first, min(first + side, size))
                    for first, size in zip((i, j), bits.shape[:2], strict=True)
                )
                array[planes.start : planes.stop, rows.start : rows.stop] = bits.rows(planes, rows)
