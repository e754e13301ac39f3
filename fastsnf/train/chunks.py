"""Work on many points in chunks that memory has room for: halved, and repeated, when it has not.

What a chunk size is good for is remembered for the process: the next call starts with the size that fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import torch

from fastsnf.errors import RunError, out_of_memory

FLOOR = 256
"""Points of the smallest chunk that is tried: where that does not fit, a smaller one would not either."""

T = TypeVar("T")

_fitting: dict[Hashable, int] = {}
"""The size that memory had room for, by the key of the work, where it once had none for the size asked."""


def with_chunks(
    total: int,
    chunk: int,
    work: Callable[[slice], object],
    *,
    floor: int = FLOOR,
    key: Hashable = None,
    stop: Callable[[], bool] | None = None,
) -> bool:
    """Call `work` for consecutive slices of ``range(total)``, of `chunk` points, in order and without gaps.

    When memory runs out in `work`, the same points are taken again in chunks half as large; so `work` must
    have changed nothing when it raises, or nothing that doing it again does not put right.

    Args:
        total: points.
        chunk: of a slice, at least 1; the last may be shorter.
        work: what is done with a slice.
        floor: points of the smallest chunk.
        key: names work of the same size a point, which then starts with the chunk that fitted the last time.
        stop: asked before each chunk.

    Returns:
        Whether all was done: False once `stop` returns True.

    Raises:
        RunError: when memory does not suffice for `floor` points.
    """
    chunk, start = remembered(chunk, key), 0
    while start < total:
        if stop is not None and stop():
            return False
        part = slice(start, min(start + chunk, total))
        failure = _tried(lambda part=part: work(part))  # type: ignore[misc]
        if failure is None:
            start = part.stop
        else:
            chunk = halved(part.stop - part.start, floor, key, failure)
    return True


def whole(chunk: int, work: Callable[[int], T], *, floor: int = FLOOR, key: Hashable = None) -> T:
    """Return ``work(chunk)``, done again from its start with half the chunk when memory runs out.

    Args:
        chunk, floor, key: as `with_chunks`.
        work: takes the chunk size; whatever it did before memory ran out, doing it again puts right.

    Raises:
        RunError: when memory does not suffice for chunks of `floor` points.
    """
    chunk = remembered(chunk, key)
    results: list[T] = []
    while True:
        failure = _tried(lambda chunk=chunk: results.append(work(chunk)))  # type: ignore[misc]
        if failure is None:
            return results[0]
        chunk = halved(chunk, floor, key, failure)


def remembered(chunk: int, key: Hashable) -> int:
    """Return the chunk to start with: `chunk`, or what memory had room for when it was asked for more."""
    return chunk if key is None else min(chunk, _fitting.get(key, chunk))


def halved(chunk: int, floor: int, key: Hashable, failure: str) -> int:
    """Return half of a chunk that memory had no room for, and remember it.

    Raises:
        RunError: when the chunk was the smallest, with what the allocator said.
    """
    if chunk <= floor:
        raise RunError(
            f"expected memory for {chunk:,} points at a time; got: {failure}: close other programs, or take "
            "a smaller field or batch"
        )
    chunk = max(floor, chunk // 2)
    if key is not None:
        _fitting[key] = chunk
    return chunk


def limit(chunk: int, key: Hashable) -> None:
    """Let work of that key start with `chunk` points at most, because memory is limited."""
    _fitting[key] = remembered(chunk, key)


def forget() -> None:
    """Forget every size that was found, as a new process would."""
    _fitting.clear()


def _tried(work: Callable[[], object]) -> str | None:
    """Do `work` and return None, or what the allocator said when memory ran out.

    Where this returns, the exception is gone, and with it the frames that held what had been made.
    """
    try:
        work()
        return None
    except Exception as error:
        if not out_of_memory(error):
            raise
        failure = " ".join(str(error).split())[:200] or "no memory left"
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return failure
