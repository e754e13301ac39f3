"""How much a file may promise, and whether its headers stay within that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsnf.errors import InputError, check_whole

MAX_BYTES = 1 << 36
"""Arrays that are read in place or chunk by chunk have at most this many bytes (64 GiB: 2048³ of 8 bytes)."""

MAX_EXPANDED = (1 << 33) + (1 << 20)
"""What must be decompressed as a whole has at most this many bytes (8 GiB: 2048³ of one byte)."""

MAX_ENTRIES = 10_000
"""Arrays that a file may list."""

MAX_AXES = 32


@dataclass(frozen=True)
class Limits:
    """Bytes that an array may have.

    Attributes:
        lazy: where it is read in place or chunk by chunk.
        expanded: where it must be decompressed as a whole.
    """

    lazy: int = MAX_BYTES
    expanded: int = MAX_EXPANDED

    @classmethod
    def of(cls, max_bytes: int | None) -> Limits:
        """Return the limits of `max_bytes` for both, or those by default."""
        if max_bytes is None:
            return cls()
        check_whole("max_bytes", max_bytes, 1)
        return cls(max_bytes, max_bytes)


def check_numeric(dtype: np.dtype[Any]) -> None:
    """Raise `ValueError` unless `dtype` is bool, an integer or a float of up to 8 bytes."""
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or dtype.subdtype is not None:
        raise ValueError(f"numbers of type {dtype}, where real ones of up to 8 bytes are read")


def is_numeric(dtype: np.dtype[Any]) -> bool:
    """Whether `check_numeric` lets `dtype` pass."""
    return dtype.kind in "biuf" and dtype.itemsize <= 8 and dtype.subdtype is None


def check_sizes(shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    """Return the bytes of an array as a header promises them; raise `ValueError` for sizes that cannot be."""
    if not 1 <= len(shape) <= MAX_AXES or not all(type(size) is int and size >= 1 for size in shape):
        raise ValueError(f"sizes {list(shape)[:MAX_AXES]}, where one or more positive whole numbers belong")
    return math.prod(shape) * dtype.itemsize


def check_limit(path: str, nbytes: int, limit: int) -> None:
    """Raise `InputError` if an array of `nbytes` bytes is beyond `limit`."""
    if nbytes > limit:
        raise InputError(
            f"expected an array of at most {limit} bytes; got {nbytes} promised by {path!r}; the file is "
            "damaged or, if you trust it, raise max_bytes"
        )
