"""What may be wrong with an HDF5 file before xarray opens it: promises beyond memory, and links out of it."""

from __future__ import annotations

import math
import os
from typing import Any

from fastsnf.signals.optional import require

MAX_AXIS = 1 << 24
"""Entries of a variable of one axis: xarray reads them all when it opens a file."""
MAX_CHUNK = 1 << 30
"""Bytes of a chunk, which is decompressed as a whole."""


def check_hdf5(path: str | os.PathLike[str]) -> None:
    """Raise `ValueError` for an HDF5 file that points elsewhere or promises what cannot be held.

    Raises whatever h5py does on a damaged file, too.
    """
    h5py = require("h5py", "sphere", "NetCDF 4 files")
    with h5py.File(path, "r") as file:
        for name in file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{name!r} is a link out of the file")
        file.visititems(lambda name, item: _check(h5py, name, item))


def _check(h5py: Any, name: str, item: Any) -> None:
    if not isinstance(item, h5py.Dataset):
        return
    if item.external or item.is_virtual:
        raise ValueError(f"the values of {name!r} lie in another file")
    if len(item.shape or ()) == 1 and item.shape[0] > MAX_AXIS:
        raise ValueError(f"{name!r} promises {item.shape[0]} entries")
    if item.chunks and math.prod(item.chunks) * item.dtype.itemsize > MAX_CHUNK:
        raise ValueError(f"{name!r} promises chunks of {item.chunks} entries")
