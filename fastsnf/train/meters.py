"""What a fit reports, figure by figure: PSNR, IoU, SNR, SSIM, ... of a whole signal.

A `Meter` adds a figure up chunk by chunk, so that no signal has to be in memory as a whole; sums stay on the
device of the chunks until somebody reads them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.signal import Signal
from fastsnf.train.metrics import SquaredError, ssim

OCCUPIED = 0.5
"""A value of at least this much is occupied; one that the signal holds is above it."""


class Meter(ABC):
    """One figure of how well a field matches a signal, added up chunk by chunk.

    Args:
        signal: whose values the targets are.
    """

    def __init__(self, signal: Signal) -> None:
        self._signal = signal

    @abstractmethod
    def add(
        self, index: Tensor | slice, prediction: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> None:
        """Add a chunk.

        Args:
            index: which points of the signal it is.
            prediction, target: [B, C], values of the signal, on one device.
            weight: [B], 0 where a point does not count; None when all do.
        """

    @property
    @abstractmethod
    def value(self) -> float:
        """The figure of all chunks; NaN before the first point that counts."""


class Psnr(Meter):
    """PSNR in dB for values in [0, 1], unclipped: `SquaredError.psnr`; its `errors` know more."""

    def __init__(self, signal: Signal) -> None:
        super().__init__(signal)
        self.errors = SquaredError()

    def add(
        self, index: Tensor | slice, prediction: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> None:
        """Add a chunk."""
        self.errors.add(prediction, target, weight)

    @property
    def value(self) -> float:
        """The PSNR."""
        return self.errors.psnr


class AreaPsnr(Psnr):
    """PSNR in dB in which each point counts with the area around it, ``signal.areas(index)`` [B]."""

    def add(
        self, index: Tensor | slice, prediction: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> None:
        """Add a chunk."""
        areas = self._signal.areas(index).to(prediction.device)  # type: ignore[attr-defined]
        super().add(index, prediction, target, areas if weight is None else areas * weight)


class Iou(Meter):
    """Intersection over union of what is occupied in prediction and target, in exact counts.

    ``prediction >= 0.5`` is occupied, as WIRE's code has it, and so is ``target > 0.5``; NaN is not. 1 where
    nothing is occupied in either. With several channels their values count alike. A signal of other values
    says itself what is inside: ``signal.inside(values)``, as signed distances do.
    """

    def __init__(self, signal: Signal) -> None:
        super().__init__(signal)
        self._both: Tensor | int = 0
        self._any: Tensor | int = 0
        self._seen = False

    def add(
        self, index: Tensor | slice, prediction: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> None:
        """Add a chunk."""
        inside = getattr(self._signal, "inside", None)
        here = prediction >= OCCUPIED if inside is None else inside(prediction)
        there = target > OCCUPIED if inside is None else inside(target)
        if weight is not None:
            counts = (weight > 0)[:, None]
            here, there = here & counts, there & counts
        self._both = self._both + torch.count_nonzero(here & there)
        self._any = self._any + torch.count_nonzero(here | there)
        self._seen = True

    @property
    def value(self) -> float:
        """The ratio, in [0, 1]."""
        if not self._seen:
            return math.nan
        both, either = int(self._both), int(self._any)
        return both / either if either else 1.0


class Snr(Meter):
    """Signal-to-noise ratio in dB: ``10 log10(sum y^2 / sum (y - prediction)^2)``, in float64."""

    def __init__(self, signal: Signal) -> None:
        super().__init__(signal)
        self._power, self._noise = SquaredError(), SquaredError()

    def add(
        self, index: Tensor | slice, prediction: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> None:
        """Add a chunk."""
        self._noise.add(prediction, target, weight)
        self._power.add(torch.zeros_like(target), target, weight)

    @property
    def value(self) -> float:
        """The ratio; that of a silent signal is minus infinity."""
        return self._noise.psnr + 10.0 * math.log10(self._power.mse) if self._power.mse else -math.inf


class Mae(Meter):
    """Mean absolute error over points and channels, in float64."""

    def __init__(self, signal: Signal) -> None:
        super().__init__(signal)
        self._error: Tensor | float = 0.0
        self._weight: Tensor | float = 0.0

    def add(
        self, index: Tensor | slice, prediction: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> None:
        """Add a chunk."""
        if weight is not None:
            seen = weight > 0
            prediction, target, weight = prediction[seen], target[seen], weight[seen]
        errors = (prediction.detach().double() - target.double()).abs().mean(dim=1)
        self._error = self._error + (errors if weight is None else errors * weight.double()).sum()
        self._weight = self._weight + (float(len(errors)) if weight is None else weight.double().sum())

    @property
    def value(self) -> float:
        """The error."""
        weight = float(self._weight)
        return float(self._error) / weight if weight else math.nan


class Ssim(Meter):
    """Mean structural similarity of a whole picture, see `ssim`; it keeps the picture.

    NaN where that is not defined: for a sample of the pixels, a side of less than 7, or without scikit-image.
    """

    def __init__(self, signal: Signal) -> None:
        super().__init__(signal)
        self._parts: list[tuple[Tensor, Tensor]] = []
        self._next = 0

    def add(
        self, index: Tensor | slice, prediction: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> None:
        """Add a chunk."""
        if isinstance(index, slice) and index.start == self._next and weight is None:
            self._parts.append((prediction.detach().cpu(), target.cpu()))
            self._next += len(target)

    @property
    def value(self) -> float:
        """The similarity."""
        if self._next != self._signal.size:
            return math.nan
        first, second = (torch.cat(rows) for rows in zip(*self._parts, strict=True))
        shape = (*self._signal.shape, self._signal.out_features)
        try:
            return ssim(first.reshape(shape), second.reshape(shape))
        except InputError:
            return math.nan


METRICS: dict[str, type[Meter]] = {
    "psnr": Psnr,
    "iou": Iou,
    "snr": Snr,
    "psnr_area": AreaPsnr,
    "ssim": Ssim,
    "mae": Mae,
}
"""What a fit may report: ``psnr`` of every signal, the others of those that name them (`Signal.metrics`)."""
