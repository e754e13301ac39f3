"""Temporary files without a name: what is expanded out of an archive, or copied out of chunks."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from fastsnf.errors import RunError
from fastsnf.signals.arrays.limits import check_limit
from fastsnf.signals.arrays.source import Source

_BLOCK = 1 << 20
_ZEROS = bytes(_BLOCK)


class Stream(Protocol):
    """What yields bytes in order."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


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
    with disk(outer.name):
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
        with disk(name):
            if block == _ZEROS[: len(block)]:
                file.seek(len(block), os.SEEK_CUR)
            else:
                file.write(block)
    if stream.read(1):
        raise ValueError(f"more than the {nbytes} bytes that are promised when decompressed")
    with disk(name):
        file.truncate(nbytes)
        file.flush()


@contextlib.contextmanager
def disk(name: str) -> Iterator[None]:
    """Turn a failure of the temporary folder's disk into `RunError`."""
    try:
        yield
    except OSError as cause:
        raise RunError(
            f"expected room in the temporary folder {tempfile.gettempdir()!r} to expand {name!r}; got: "
            f"{cause.strerror or cause}; free some space or set TMPDIR to another disk"
        ) from cause


def copied(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], slabs: Iterable[NDArray[Any]]
) -> NDArray[Any]:
    """Return a read-only map of an array whose `slabs` `[n, ...]` come in order; errors call it `name`.

    Slabs of zeros become holes: what a small file promises and never has takes no disk.

    Raises:
        RunError: the temporary folder has no room.
    """
    with disk(name):
        file = tempfile.TemporaryFile()  # noqa: SIM115, closed below
    with file:
        for slab in slabs:
            nothing = not slab.any()
            with disk(name):
                if nothing:
                    file.seek(slab.nbytes, os.SEEK_CUR)
                else:
                    file.write(np.ascontiguousarray(slab).data)
        with disk(name):
            file.truncate(file.tell())
            file.flush()
        return np.memmap(file, dtype, "r", 0, shape)
