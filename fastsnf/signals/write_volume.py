"""Writing volumes as arrays: npz, npy, zarr and NRRD, block by block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_folder, atomic_write
from fastsnf.signals.optional import require

VOLUMES = (".npz", ".npy", ".zarr", ".nrrd")
"""Suffixes of volumes."""

BLOCK_BYTES = 1 << 26
"""About what is read at once of a volume that is mapped."""

CHUNK = 64
"""Points of a chunk of zarr along each axis."""


def write_volume(
    numbers: NDArray[Any], path: str | os.PathLike[str], *, spacing: Sequence[float] | None = None
) -> None:
    """Write `numbers` `[X, Y, Z, C]` in the format of the suffix, whole or not at all; C = 1 has three axes.

    ``.npz`` holds ``values`` and, where it is known, ``spacing``; ``.npy`` the numbers alone; ``.zarr`` a
    folder (zarr v3) compressed with checksums, the spacing an attribute; ``.nrrd`` raw little-endian
    numbers, first axis fastest, the channels before it as NRRD has them.

    Args:
        numbers: of any real type, perhaps mapped.
        path: the file.
        spacing: distance of neighbours along each axis.

    Raises:
        InputError: another suffix, zarr is missing, or a place that cannot be written.
        RunError: the disk is full or failed.
    """
    path = Path(path)
    writers = dict(zip(VOLUMES, (_write_npz, _write_npy, _write_zarr, _write_nrrd), strict=True))
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise InputError(
            f"expected a volume file ending in {', '.join(VOLUMES)}; got {str(path)!r}; name it so"
        )
    writer(numbers, path, spacing)


def _plain(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return `numbers` without the axis of a single channel."""
    return numbers[..., 0] if numbers.shape[-1] == 1 else numbers


def _write_npz(numbers: NDArray[Any], path: Path, spacing: Sequence[float] | None) -> None:
    arrays: dict[str, Any] = {"values": _plain(numbers)}
    if spacing is not None:
        arrays["spacing"] = np.array(spacing, np.float64)
    with atomic_write(path) as file:
        np.savez(file, **arrays)


def _write_npy(numbers: NDArray[Any], path: Path, spacing: Sequence[float] | None) -> None:
    with atomic_write(path) as file:
        np.save(file, _plain(numbers))


def _write_zarr(numbers: NDArray[Any], path: Path, spacing: Sequence[float] | None) -> None:
    zarr = require("zarr", "arrays", "zarr stores")
    if path.exists() and not any((path / name).is_file() for name in ("zarr.json", ".zarray", ".zgroup")):
        raise InputError(
            f"expected nothing but a zarr store in the place of {str(path)!r}; got something else: choose "
            "another name"
        )
    plain = _plain(numbers)
    with atomic_folder(path) as folder:
        array = zarr.create_array(
            str(folder),
            shape=plain.shape,
            dtype=plain.dtype,
            chunks=(*(min(CHUNK, size) for size in plain.shape[:3]), *plain.shape[3:]),
            compressors=zarr.codecs.ZstdCodec(level=3, checksum=True),
            attributes={} if spacing is None else {"spacing": list(spacing)},
        )
        for first in range(0, len(plain), CHUNK):
            array[first : first + CHUNK] = plain[first : first + CHUNK]


def _write_nrrd(numbers: NDArray[Any], path: Path, spacing: Sequence[float] | None) -> None:
    plain = _plain(numbers.astype(np.dtype("<f4"), copy=False))
    vector = plain.ndim == 4
    sizes = (*plain.shape[3:], *plain.shape[:3])
    lines = [
        "NRRD0004",
        "type: float",
        f"dimension: {plain.ndim}",
        f"sizes: {' '.join(map(str, sizes))}",
        "endian: little",
        "encoding: raw",
        f"kinds: {'vector ' if vector else ''}domain domain domain",
    ]
    if spacing is not None:
        lines.append(f"spacings: {'nan ' if vector else ''}{' '.join(f'{step:.17g}' for step in spacing)}")
    with atomic_write(path) as file:
        file.write(("\n".join(lines) + "\n\n").encode("ascii"))
        for block in _last_axis_first(plain):
            file.write(block.data)


def _last_axis_first(plain: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the numbers `[X, Y, Z]` or `[X, Y, Z, C]` in the order of NRRD, X fastest, behind C alone."""
    plane = plain.nbytes // plain.shape[2]
    count = max(1, BLOCK_BYTES // plane)
    for first in range(0, plain.shape[2], count):
        block = plain[:, :, first : first + count]
        yield np.ascontiguousarray(np.moveaxis(block, (0, 1, 2), (2, 1, 0)))
