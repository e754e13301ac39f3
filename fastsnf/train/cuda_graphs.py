"""CUDA graphs, as `fastsnf.train.updates` records them."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

T = TypeVar("T")


class CudaGraphs:
    """Records on a stream of its own, as CUDA asks for, and replays on the current one.

    All recordings share one pool of memory: they are never replayed at the same time, and what one of them
    returned is used before the next replay.

    Args:
        device: the GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Work on the recording stream, after all that was asked for before and before all that follows."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            current.wait_stream(self._stream)

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """Record the kernels of `work`; see `fastsnf.train.updates.Graphs.record`.

        Raises:
            RuntimeError: when something in it cannot be recorded, for example waits for the device.
        """
        graph = torch.cuda.CUDAGraph()
        cause: Exception | None = None
        try:
            with self._recording(graph):
                try:
                    result = work()
                except Exception as error:
                    cause = error
                    raise
        except BaseException:
            self._mend()
            if cause is not None:  # the end of the recording raises an error of its own, which says less
                raise cause from None
            raise
        return graph.replay, result

    @contextlib.contextmanager
    def _recording(self, graph: torch.cuda.CUDAGraph) -> Iterator[None]:
        # The outer context comes back from the stream where the end of a failed recording raises; other
        # threads of the caller may use the GPU meanwhile.
        with (
            _no_collection(),
            torch.cuda.device(self._device),
            torch.cuda.stream(self._stream),
            torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
        ):
            yield

    def _mend(self) -> None:
        """Leave torch as it was: its allocator and its random generator await the end of a broken recording.

        Where CUDA broke it off, torch tells neither. The allocator can be told; the generator is by the next
        recording that succeeds. What is in order already refuses, or does not mind.
        """
        broken, self._pool = self._pool, torch.cuda.graph_pool_handle()
        with contextlib.suppress(Exception):
            index = self._stream.device.index
            torch._C._cuda_endAllocateToPool(index, broken)  # type: ignore[arg-type]
        with contextlib.suppress(Exception):
            torch.cuda.synchronize(self._device)
            counter = torch.zeros(1, device=self._device)
            with self._recording(torch.cuda.CUDAGraph()):
                counter.add_(1)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from freeing what other fits left, graphs among it, during a recording."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
