"""Chunks: every point once and in order, halves when memory runs out, an end where even the least is too
much."""

from __future__ import annotations

import pytest
import torch

from fastsnf.errors import RunError, out_of_memory
from fastsnf.train import chunks
from tests.cases import count

FAILURES = (
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
)


@pytest.fixture(autouse=True)
def _new_process():
    chunks.forget()
    yield
    chunks.forget()


class Work:
    """Notes the slices that it was called with; the calls of `failing` run out of memory."""

    def __init__(self, failing=(), failure=None) -> None:
        self.parts: list[slice] = []
        self.calls = 0
        self._failing, self._failure = failing, failure or MemoryError()

    def __call__(self, part: slice) -> None:
        self.calls += 1
        if self.calls in self._failing:
            raise self._failure
        self.parts.append(part)

    def points(self) -> list[int]:
        return [point for part in self.parts for point in range(part.start, part.stop)]


@pytest.mark.parametrize(("total", "chunk"), [(0, 5), (1, 5), (10, 5), (11, 5), (4, 100)])
def test_chunks_cover_every_point_once(total, chunk):
    work = Work()
    assert chunks.with_chunks(total, chunk, work, floor=1)
    assert work.points() == list(range(total))
    assert all(part.stop - part.start <= chunk for part in work.parts)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("call", range(1, count(40) + 1))
def test_a_chunk_that_does_not_fit_is_done_again_in_halves(call, failure):
    work = Work({call, call + 1}, failure)
    assert chunks.with_chunks(3200, 64, work, floor=1)
    assert work.points() == list(range(3200))
    sizes = [part.stop - part.start for part in work.parts]
    assert set(sizes[: call - 1]) <= {64}
    assert set(sizes[call - 1 :]) == {16}


def test_below_the_floor_it_is_an_error_that_says_why():
    work = Work(set(range(1, 100)), RuntimeError("can't allocate memory: you tried to allocate 12 bytes"))
    with pytest.raises(RunError, match=r"expected memory for 4 points.*tried to allocate 12 bytes"):
        chunks.with_chunks(1000, 64, work, floor=4)
    assert work.calls == 5


def test_other_errors_pass():
    work = Work({2}, RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        chunks.with_chunks(1000, 64, work)
    assert work.calls == 2
    assert not out_of_memory(RunError("a loss that ran out of memory"))
    assert not out_of_memory(ValueError("out of memory"))


def test_what_fitted_is_remembered_by_key():
    chunks.with_chunks(1000, 64, Work({1}), floor=1, key=("decode", 256))
    again, other = Work(), Work()
    chunks.with_chunks(1000, 64, again, floor=1, key=("decode", 256))
    chunks.with_chunks(1000, 64, other, floor=1, key=("decode", 512))
    assert again.parts[0] == slice(0, 32)
    assert other.parts[0] == slice(0, 64)
    assert chunks.remembered(8, ("decode", 256)) == 8


def test_it_stops_between_chunks():
    work = Work()
    assert not chunks.with_chunks(1000, 64, work, stop=lambda: work.calls == 3)
    assert work.points() == list(range(192))


def test_the_frames_of_a_failure_are_gone_before_the_work_is_repeated():
    """What the failed call had made is freed: else the half would not fit either."""
    alive: list[int] = []

    class Big:
        held = 0

        def __init__(self) -> None:
            Big.held += 1

        def __del__(self) -> None:
            Big.held -= 1

    def work(chunk: int) -> int:
        alive.append(Big.held)
        big = Big()
        if chunk > 16:
            raise MemoryError
        return chunk + 0 * id(big)

    assert chunks.whole(64, work, floor=1) == 16
    assert alive == [0, 0, 0]
