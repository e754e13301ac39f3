"""Open files that readers read, with the limits of what they may promise."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError
from fastsnf.signals.arrays.limits import Limits


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
def opened(name: str, limits: Limits) -> Iterator[Source]:
    """Open the regular, non-empty file `name`; anything else is an `InputError`."""
    try:
        status = Path(name).stat()
        # Opening a pipe would wait for its writer.
        file = Path(name).open("rb") if stat.S_ISREG(status.st_mode) else None  # noqa: SIM115, closed below
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise InputError(
            f"expected a readable file of an array; got {name!r}: {reason}; check the path"
        ) from cause
    if file is None:
        raise InputError(
            f"expected a file of an array; got {name!r}, not a regular file; give the file itself"
        )
    with file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise InputError(
                f"expected a file of an array; got {name!r}, which is empty; check how it was copied"
            )
        yield Source(file, name, size, limits)
