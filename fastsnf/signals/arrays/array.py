"""`Array`: one array of a file, its slabs read when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.arrays.unnamed import copied
from fastsnf.signals.faults import reading

SLAB_BYTES = 1 << 26
"""How much `Array.slabs` reads at once, unless told otherwise."""

IN_MEMORY = 1 << 26
"""Bytes up to which `Array.whole` copies into memory what cannot be mapped."""


class Array:
    """A numeric array of `shape` in a file, last axis fastest whatever the order in the file.

    Args:
        path: the file, for the errors.
        name: what the file calls the array, or an empty string.
        shape: its sizes.
        dtype: its type: bool, integers or floats of up to 8 bytes, in the byte order of the machine.
        read: returns the entries ``[first:last]`` of the first axis; its errors become `InputError`.
        close: lets go of the file.
        rows: entries of the first axis that cost no more than one: a chunk, or all if transposed.
        spacing: the distance of neighbours along each axis in the file's own unit, where it says so.
        view: the whole array as a read-only memory map, in its byte order, where the file allows one.
        source: the format, for the metadata.
    """

    def __init__(
        self,
        path: str,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        read: Callable[[int, int], NDArray[Any]],
        *,
        close: Callable[[], None] | None = None,
        rows: int = 1,
        spacing: tuple[float, ...] | None = None,
        view: NDArray[Any] | None = None,
        source: str = "array",
    ) -> None:
        self.path, self.name, self.shape, self.dtype = path, name, shape, dtype.newbyteorder("=")
        self.rows, self.spacing, self.view, self.source = max(1, rows), spacing, view, source
        self._read, self._close = read, close

    def __repr__(self) -> str:
        return f"Array({self.path!r}, name={self.name!r}, shape={self.shape}, dtype={self.dtype})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of all entries."""
        return math.prod(self.shape) * self.dtype.itemsize

    def slab(self, first: int, last: int) -> NDArray[Any]:
        """Return the entries ``[first:last]`` of the first axis, `[last - first, ...]`, perhaps read-only.

        Raises:
            InputError: a range outside of the array, or a file that is damaged there.
        """
        if not 0 <= first < last <= self.shape[0]:
            raise InputError(f"expected a range within 0 to {self.shape[0]}; got {first} to {last}")
        expected = (last - first, *self.shape[1:])
        with reading(self.path, self.source):
            slab = self._read(first, last)
            if slab.shape != expected:
                raise ValueError(f"{list(slab.shape)} entries where {list(expected)} were promised")
            return slab.astype(self.dtype, copy=False)

    def slabs(self, limit: int = SLAB_BYTES) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (first, slab) over the whole array, in order, each of about `limit` bytes at most.

        A slab has at least one entry of the first axis, and whole chunks of the file where they fit: a
        transposed file is read again for every slab.
        """
        entry = max(1, self.nbytes // self.shape[0])
        rows = max(1, limit // entry)
        if rows > self.rows:
            rows -= rows % self.rows
        for first in range(0, self.shape[0], rows):
            yield first, self.slab(first, min(first + rows, self.shape[0]))

    def whole(self) -> NDArray[Any]:
        """Return all entries: of a large array as a memory map, of the file where that allows one.

        Other large arrays are copied into a temporary file without a name. A map has the byte order and the
        order of axes of the file.

        Raises:
            InputError: the file is damaged.
            RunError: no room in the temporary folder.
        """
        if self.view is not None:
            return self.view
        if self.nbytes > IN_MEMORY:
            return copied(self.path, self.shape, self.dtype, (slab for _, slab in self.slabs()))
        out = np.empty(self.shape, self.dtype)
        for first, slab in self.slabs():
            out[first : first + len(slab)] = slab
        return out

    def close(self) -> None:
        """Let go of the file; what was read stays."""
        if self._close is not None:
            self._close()
            self._close = None


@dataclass(frozen=True)
class Entry:
    """An array that a file lists: its name and what its header says, and how to open it.

    Attributes:
        name: what the file calls it.
        shape: its sizes, positive.
        dtype: its type.
        open: opens it; the file has to stay open until then.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    open: Callable[[], Array]

    def __str__(self) -> str:
        return f"{self.name or 'the array'} {list(self.shape)} {self.dtype.newbyteorder('=')}"


def checked_spacing(steps: Sequence[object]) -> tuple[float, ...] | None:
    """Return the distances `steps` as a file tells them, None unless all are finite and above 0."""
    found = tuple(float(step) for step in steps if isinstance(step, int | float) and 0 < step < math.inf)
    return found if found and len(found) == len(steps) else None


def mapped(
    path: str,
    name: str,
    view: NDArray[Any],
    *,
    spacing: tuple[float, ...] | None = None,
    source: str,
) -> Array:
    """Return the array whose entries a memory map has, in whatever order and byte order."""
    rows = 1 if view.flags.c_contiguous else view.shape[0]
    return Array(
        path,
        name,
        view.shape,
        view.dtype,
        lambda first, last: view[first:last],
        rows=rows,
        spacing=spacing,
        view=view,
        source=source,
    )
