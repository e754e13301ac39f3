"""Work beside the large forward pass of a step, on a CUDA stream of its own; on a CPU all this is nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

PRIORITY = -1
"""Of the stream, above the 0 of torch's others: its small kernels take the next free multiprocessor, where
they would else wait until each large kernel has begun its last block."""


class SideStream:
    """A stream on which small kernels run while the current stream is busy.

    `mark` says when the inputs of that work are ready; `work` runs its body behind the mark, whatever was
    queued on the current stream since, and `join` makes the current stream wait for results.

    Args:
        device: of the work.
    """

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        self._stream: torch.cuda.Stream | None = None
        self._ready: torch.cuda.Event | None = None

    def mark(self) -> None:
        """Let the work depend on what is queued on the current stream so far, and on nothing later."""
        if self._device.type == "cuda":
            self._ready = torch.cuda.Event()
            self._ready.record(torch.cuda.current_stream(self._device))

    @contextlib.contextmanager
    def work(self, *read: Tensor) -> Iterator[None]:
        """Run the body on the stream; the tensors it reads stay until it has."""
        if self._device.type != "cuda" or self._ready is None:
            yield
            return
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device, priority=PRIORITY)
        self._stream.wait_event(self._ready)
        for tensor in read:
            tensor.record_stream(self._stream)
        with torch.cuda.stream(self._stream):
            yield

    def join(self, *results: Tensor) -> None:
        """Make the current stream wait for the work; its results may be used there from now on."""
        if self._stream is None:
            return
        current = torch.cuda.current_stream(self._device)
        current.wait_stream(self._stream)
        for tensor in results:
            tensor.record_stream(current)
