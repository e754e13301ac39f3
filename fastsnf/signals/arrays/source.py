"""Open files that readers read: on disk, or expanded out of an archive into a file without a name."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import InputError, RunError
from fastsnf.signals.arrays.limits import Limits, check_limit

_BLOCK = 1 << 20
_ZEROS = bytes(_BLOCK)


class Stream(Protocol):
    """What yields bytes in order."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


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


def expanded(stream: Stream, nbytes: int, outer: Source) -> Source:
    """Return the `nbytes` bytes that `stream` yields, in a temporary file that has no name and no rest.

    Args:
        stream: what decompresses; it is read to its end, so that it checks its checksum.
        nbytes: how many bytes it has to yield: no more and no less.
        outer: the file that it comes from.

    Raises:
        ValueError: it yields more or fewer, or what the decompressor raises.
        InputError: `nbytes` is beyond the limit.
        RunError: the temporary folder has no room.
    """
    check_limit(outer.name, nbytes, outer.limits.expanded)
    with _disk(outer.name):
        file = tempfile.TemporaryFile()  # noqa: SIM115, lives as long as what is mapped from it
    try:
        _copy(stream, nbytes, file, outer.name)
    except BaseException:
        file.close()
        raise
    return Source(file, outer.name, nbytes, outer.limits)


def _copy(stream: Stream, nbytes: int, file: BinaryIO, name: str) -> None:
    """Copy exactly `nbytes` bytes; runs of zeros become holes, so that an empty grid takes no disk."""
    done = 0
    while done < nbytes:
        block = stream.read(min(_BLOCK, nbytes - done))
        if not block:
            raise ValueError(f"{done} bytes when decompressed, where {nbytes} are promised")
        done += len(block)
        with _disk(name):
            if block == _ZEROS[: len(block)]:
                file.seek(len(block), os.SEEK_CUR)
            else:
                file.write(block)
    if stream.read(1):
        raise ValueError(f"more than the {nbytes} bytes that are promised when decompressed")
    with _disk(name):
        file.truncate(nbytes)
        file.flush()


@contextlib.contextmanager
def _disk(name: str) -> Iterator[None]:
    """Turn a failure of the temporary folder's disk into `RunError`."""
    try:
        yield
    except OSError as cause:
        raise RunError(
            f"expected room in the temporary folder {tempfile.gettempdir()!r} to expand {name!r}; got: "
            f"{cause.strerror or cause}; free some space or set TMPDIR to another disk"
        ) from cause
