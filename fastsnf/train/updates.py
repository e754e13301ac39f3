"""One update after another: the batch, the loss and its gradients, the optimizer; on a GPU as one CUDA graph.

A step of a small batch is many short kernels, and launching them takes longer than running them. A CUDA
graph launches all of them at once: the gather of the batch, loss and gradients, the optimizer. It reads the
batch's indices and the learning rate from memory that stays where it is, so that each step first copies those
there. A graph holds the very kernels that it replaces: its steps give the same bits.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from fastsnf.nn import Field
from fastsnf.nn.plain import is_plain
from fastsnf.train.config import PUBLISHED, FitConfig
from fastsnf.train.metrics import psnr_of
from fastsnf.train.optimizers import recordable
from fastsnf.train.parts import Parts, length
from fastsnf.train.points import Batch, Points
from fastsnf.train.published_iou import PublishedIou
from fastsnf.train.step import Step

WARM_UP = 3
"""Steps of a batch size before it is recorded: they compile kernels and make the optimizer's state."""

RECORDED_ENGINES = ("triton",)
"""Engines whose single pass neither waits for the device nor decides anything on the host."""

T = TypeVar("T")


class Graphs(Protocol):
    """What records work on a device without doing it, and replays it: CUDA graphs, or a test's stand-in."""

    def aside(self) -> AbstractContextManager[object]:
        """Return a context whose work is done as usual, where recordings are made."""
        ...

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """Call `work`, whose kernels are recorded and not run; return what runs them, and its result.

        Tensors of the result hold nothing before the first replay, and each replay overwrites them.
        """
        ...


class Updates:
    """The updates of a fit.

    Args:
        points: where batches come from.
        step: loss, gradients and optimizer.
        parts: how batches are divided; by default not at all.

    Attributes:
        batch: (x, y, w) of the last gradients; where the batch was taken in parts, of the last part.
        watch: what looks at every batch before its update; None for nothing.
    """

    batch: Batch
    watch: PublishedIou | None = None
    _index: Tensor | slice

    def __init__(self, points: Points, step: Step, parts: Parts | None = None) -> None:
        self._points, self._step = points, step
        self._parts = Parts(points, step) if parts is None else parts

    def gradients(self, index: Tensor | slice) -> Tensor:
        """Fill in the gradients for the training points `index`; return their loss, 0-d."""
        self._index = index
        loss = self._parts.gradients(index)
        self.batch = self._parts.batch
        return loss

    def batch_psnr(self, loss: float) -> float:
        """Return the PSNR of the last batch before its update, whose loss is given."""
        if self._parts.error is not None:
            return psnr_of(float(self._parts.error))
        return self._step.batch_psnr(loss, *self.batch[1:])

    def batches(self, *, share: bool = False) -> Iterator[Batch]:
        """Yield all of the last batch, or this process's share, as much as memory has room for at a time."""
        yield from self._parts.batches(self._index, share=share)

    def update(self) -> None:
        """Update the field by its gradients."""
        if self.watch is not None:
            self.watch.add(self.batches(share=True))
        self._step.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what the next step depends on beside the field and the optimizer."""
        return {} if self.watch is None else {"watch": self.watch.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put the state of `state_dict` back in place."""
        if self.watch is not None:
            self.watch.load_state_dict(state["watch"])

    def report(self) -> dict[str, Any] | None:
        """Return the summary of the adjustment of gradients; None without one."""
        return None


@dataclass(frozen=True)
class Recording:
    """A recorded step: `replay` reads the points of `index` and overwrites the rest."""

    replay: Callable[[], None]
    index: Tensor | None
    batch: Batch
    loss: Tensor
    gradients: list[Tensor | None]


class RecordedUpdates(Updates):
    """Updates of which each batch size is recorded after `WARM_UP` steps, and replayed from then on.

    A replay is the whole step, so that `gradients` has then updated the field already, and `update` does
    nothing. ``parameter.grad`` holds the gradients of the last step, which the next one overwrites. A field
    whose parameters were put elsewhere or frozen since is recorded anew. Where recording fails, a warning
    says why and all steps go on as `Updates` makes them, from the same state.

    Args:
        points, step, parts: as for `Updates`; `may_record` says whether they allow it.
        field: what the step updates.
        graphs: what records.
    """

    def __init__(
        self, points: Points, step: Step, field: Field, graphs: Graphs, parts: Parts | None = None
    ) -> None:
        super().__init__(points, step, parts)
        self._parameters = list(field.parameters())
        self._graphs: Graphs | None = graphs
        self._recordings: dict[int, Recording] = {}
        self._steps: dict[int, int] = {}
        self._memory = self._where()
        self._updated = False

    def gradients(self, index: Tensor | slice) -> Tensor:
        """Fill in the gradients of the training points `index`, and update the field if it is recorded."""
        self._index = index
        recording = self._recording(index)
        self._updated = recording is not None
        if recording is None:
            with self._aside():
                return super().gradients(index)
        if recording.index is not None:
            assert isinstance(index, Tensor), "a batch of that size is given by its indices"
            recording.index.copy_(index)
        recording.replay()
        for parameter, gradient in zip(self._parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        self.batch = recording.batch
        return recording.loss

    def update(self) -> None:
        """Update the field by its gradients, unless they came with their update."""
        if not self._updated:
            with self._aside():
                super().update()

    def _recording(self, index: Tensor | slice) -> Recording | None:
        """Return the recorded step for a batch of that size, recorded now if it is time to."""
        size = length(index)
        chunk = self._parts.chunk
        if self._graphs is None or (chunk is not None and size > chunk):
            return None
        if (memory := self._where()) != self._memory:
            self._memory = memory
            self._recordings.clear()
            self._steps.clear()
        if size not in self._recordings:
            self._steps[size] = self._steps.get(size, 0) + 1
            if self._steps[size] <= WARM_UP:
                return None
            self._record(size, index)
        return self._recordings.get(size)

    def _record(self, size: int, index: Tensor | slice) -> None:
        """Record the step of a batch of `size` points; nothing but ``parameter.grad`` changes."""
        assert self._graphs is not None
        static = index.clone() if isinstance(index, Tensor) else None
        before = [parameter.grad for parameter in self._parameters]

        def work() -> tuple[Batch, Tensor]:
            batch = self._points.batch(index if static is None else static)
            loss = self._step.gradients(*batch)
            self._step.optimizer.step()
            return batch, loss

        try:
            replay, (batch, loss) = self._graphs.record(work)
        except Exception as error:  # whatever it is, the steps that were made before can go on
            for parameter, gradient in zip(self._parameters, before, strict=True):
                parameter.grad = gradient
            self._graphs = None
            self._recordings.clear()
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            warnings.warn(
                f"the training step could not be recorded as a CUDA graph ({reason}); the fit goes on "
                "without it, more slowly for small batches",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        gradients = [parameter.grad for parameter in self._parameters]
        self._recordings[size] = Recording(replay, static, batch, loss, gradients)

    def _where(self) -> list[tuple[int, bool]]:
        """Return where the parameters lie and which are trained: what a recording relies on."""
        return [(parameter.data_ptr(), parameter.requires_grad) for parameter in self._parameters]

    def _aside(self) -> AbstractContextManager[object]:
        return contextlib.nullcontext() if self._graphs is None else self._graphs.aside()


def may_record(field: Field, config: FitConfig, points: Points, engine: str, device: torch.device) -> bool:
    """Return whether the steps of a fit can be recorded: nothing in them is a caller's, or on the host.

    That is the MSE, unadjusted, of a plain field whose parameters are all trained, with a named optimizer, on
    data that lie on the GPU and an engine of `RECORDED_ENGINES`. Every other fit launches one kernel after
    another.
    """
    parameters = list(field.parameters())
    return (
        device.type == "cuda"
        and engine in RECORDED_ENGINES
        and config.loss == "mse"
        and config.iga is None
        and config.iou != PUBLISHED
        and is_plain(field)
        and all(parameter.requires_grad for parameter in parameters)
        and recordable(config, parameters)
        and points.resident
    )
