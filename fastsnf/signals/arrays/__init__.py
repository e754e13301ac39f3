"""Arrays in files, read slab by slab: npy, npz, MATLAB 5 and 7.3, HDF5, zarr and NRRD, alone or in a zip.

Every reader checks what a header promises against the size of the file or a limit before it allocates,
follows no link and no name out of its file, runs no code that a file holds, and ends in `InputError` for a
file that is damaged or cut short, where the format lets that be seen.
"""

from __future__ import annotations

from fastsnf.signals.arrays.array import Array
from fastsnf.signals.arrays.occupied import holds_occupancy
from fastsnf.signals.arrays.read import read_array

__all__ = ["Array", "holds_occupancy", "read_array"]
