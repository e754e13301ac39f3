"""The gradient of a batch from those of its parts: chunks that memory has room for, shares of processes.

A loss is a weighted mean over points (`fastsnf.train.losses`), so that of a batch is the mean of those of its
parts, weighted by the sums of their points' weights; and so are gradients.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import torch
from torch import Tensor

from fastsnf.train import chunks
from fastsnf.train.parallel import World
from fastsnf.train.points import Batch, Points
from fastsnf.train.step import Step

LOSS, WEIGHT, ERROR = -3, -2, -1
"""Places at the end of `Total.values`."""


class Parts:
    """Gradients of batches that are taken in parts.

    Args:
        points: where batches come from.
        step: loss and gradients of a part.
        chunk: points taken at once, at most; None takes any number, and says so when memory runs out.
        key: names steps that need as much memory a point.

    Attributes:
        batch: the last part whose gradients were taken.
        error: mean squared error of the last batch's values, 0-d; None where `Step.batch_psnr` knows it.
    """

    batch: Batch

    def __init__(self, points: Points, step: Step, *, chunk: int | None = None, key: Hashable = None) -> None:
        self._points, self._step = points, step
        self._parameters = [p for group in step.optimizer.param_groups for p in group["params"]]
        self._chunk, self._key = chunk, key
        self._world = World.current()
        self._total: Total | None = None
        self.error: Tensor | None = None

    @property
    def chunk(self) -> int | None:
        """Points taken at once, after what memory had no room for; None for any number."""
        return None if self._chunk is None else chunks.remembered(self._chunk, self._key)

    def batches(self, index: Tensor | slice, *, share: bool = False) -> Iterator[Batch]:
        """Yield the points `index`, those of every process or this one's share, a chunk at a time."""
        size = length(index)
        first, last = self._world.part(size) if share else (0, size)
        for part in pieces(index, first, last, self.chunk or size):
            yield self._points.batch(part)

    def gradients(self, index: Tensor | slice) -> Tensor:
        """Fill in the gradients for the training points `index`; return their loss, 0-d.

        In several processes each takes its share of the points, and all have the gradients of the whole.
        """
        size = length(index)
        if self._chunk is None:
            loss = self._taken(index, size)
        else:
            loss = chunks.whole(
                min(self._chunk, size), lambda chunk: self._taken(index, chunk), key=self._key
            )
        if loss is not None:
            self.error = None
            return loss
        assert self._total is not None, "parts are added up"
        self._world.add_up(self._total.values)
        loss, self.error = self._total.give(self._parameters)
        return loss

    def _taken(self, index: Tensor | slice, chunk: int) -> Tensor | None:
        """Return the loss of a batch that is one part; otherwise add up this process's parts in `_total`."""
        size = length(index)
        if self._world.size == 1 and size <= chunk:
            return self._gradients(index)
        if self._total is None:
            self._total = Total(self._parameters)
        self._total.values.zero_()
        first, last = self._world.part(size)
        if first == last:  # one point shows which parameters have gradients; it counts for nothing
            self._gradients(next(pieces(index, first, first + 1, 1)))
        for part in pieces(index, first, last, chunk):
            loss = self._gradients(part)
            _, y, w = self.batch
            weight = torch.tensor(float(length(part)), device=loss.device) if w is None else w.sum()
            self._total.add(self._parameters, loss, self._step.batch_error(loss, y, w), weight)
        return None

    def _gradients(self, index: Tensor | slice) -> Tensor:
        self.batch = self._points.batch(index)
        return self._step.gradients(*self.batch)


class Total:
    """Weighted sums of gradients, losses and squared errors in one flat tensor.

    Args:
        parameters: of whose gradients; complex ones count as pairs of real ones.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        reals = [_real(parameter.detach()) for parameter in parameters]
        double = any(real.dtype == torch.float64 for real in reals)
        self._sizes = [*(real.numel() for real in reals), 3]
        self.values = torch.zeros(
            sum(self._sizes), dtype=torch.float64 if double else torch.float32, device=reals[0].device
        )

    def add(self, parameters: Sequence[Tensor], loss: Tensor, error: Tensor | float, weight: Tensor) -> None:
        """Add the gradients of `parameters`, the loss and the squared error of a part, times its weight."""
        weight = weight.to(self.values)
        for place, parameter in zip(self.values.split(self._sizes), parameters, strict=False):
            if parameter.grad is not None:
                place.addcmul_(_real(parameter.grad).reshape(-1).to(place), weight)
        self.values[LOSS] += loss * weight
        self.values[ERROR] += error * weight
        self.values[WEIGHT] += weight

    def give(self, parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Divide by the sum of weights, put gradients in place, and return loss and squared error, 0-d."""
        weight = self.values[WEIGHT].clone()
        self.values.div_(torch.where(weight == 0, 1.0, weight))
        for place, parameter in zip(self.values.split(self._sizes), parameters, strict=False):
            if parameter.grad is not None:
                real = _real(parameter.grad)
                real.copy_(place.view(real.shape))
        return self.values[LOSS].clone(), self.values[ERROR].clone()


def length(index: Tensor | slice) -> int:
    """Return how many points `index` names."""
    return index.stop - index.start if isinstance(index, slice) else len(index)


def pieces(index: Tensor | slice, first: int, last: int, chunk: int) -> Iterator[Tensor | slice]:
    """Yield the points number `first` to `last`, exclusive, of `index` in chunks."""
    for start in range(first, last, chunk):
        stop = min(start + chunk, last)
        if isinstance(index, slice):
            yield slice(index.start + start, index.start + stop)
        else:
            yield index[start:stop] if stop - start < len(index) else index


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
