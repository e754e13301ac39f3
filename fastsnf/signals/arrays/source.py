"""Open files that readers read, with the limits of what they may promise."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastsnf.signals.arrays.limits import Limits
from fastsnf.signals.opened import opened


@dataclass(frozen=True)
class Source:
    """An open regular file.

    Attributes:
        file: the file.
        name: what errors call it: the path that the user gave.
        size: its bytes.
        limits: what its arrays may have.
    """

    file: BinaryIO
    name: str
    size: int
    limits: Limits

    @property
    def path(self) -> str:
        """A path to this very file, for libraries that open files themselves, while it is open."""
        return f"/proc/self/fd/{self.file.fileno()}"

    def start(self, size: int) -> bytes:
        """Return the first `size` bytes, or fewer."""
        self.file.seek(0)
        return self.file.read(size)

    def map(
        self, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int, order: str = "C"
    ) -> NDArray[Any]:
        """Return a read-only memory map of an array in the file; it keeps the file open by itself.

        Raises `ValueError` unless the file has all its bytes.
        """
        nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if offset < 0 or offset + nbytes > self.size:
            raise ValueError(f"{self.size} bytes, where its header promises {offset + nbytes}")
        view: Any = np.memmap(self.file, dtype, "r", offset, shape, order)  # type: ignore[call-overload]
        return view


@contextlib.contextmanager
def opened_source(name: str, limits: Limits) -> Iterator[Source]:
    """Open the file `name`; raises as `fastsnf.signals.opened.opened`."""
    with opened(name, "file of an array") as file:
        yield Source(file, name, os.fstat(file.fileno()).st_size, limits)
