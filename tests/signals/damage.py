"""Damaged files, cut short or with a bit flipped: the same ones in every run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def lengths(size: int, number: int, *more: int) -> list[int]:
    """Where a file of `size` bytes is cut: hardly, almost wholly, at `more`, and at `number` random ones."""
    places = np.random.default_rng(0).integers(0, size, number).tolist()
    return sorted({size - 1, size - 2, 0, 1, 8, *more, *places})


def flips(whole: bytes, number: int, *, head: int | None = None) -> Iterator[bytes]:
    """The file with one bit changed, `number` times; half of them among the first `head` bytes, if given.

    Sizes and types are there.
    """
    rng = np.random.default_rng(1)
    for _ in range(number):
        data = bytearray(whole)
        anywhere = head is None or rng.random() < 0.5
        place = rng.integers(0, len(whole) if anywhere else min(head or 0, len(whole)))
        data[place] ^= 1 << rng.integers(0, 8)
        yield bytes(data)
