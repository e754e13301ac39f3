"""The metrics of a fit: those of its signal, over the training points and over those held out."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsnf.signals.signal import Signal
from fastsnf.train.meters import METRICS, Meter, Psnr

HOLDOUT = "_holdout"
"""What follows the name of a metric over the held-out points."""


class Score:
    """What is measured of a field, chunk by chunk.

    Args:
        signal: what it is fitted to; ``psnr`` and `Signal.metrics` are measured.
        train, held: masks [N] from `fastsnf.train.points.split`; None for every point, and for no point.
        published: add the weight-scaling paper's PSNR.
    """

    def __init__(
        self,
        signal: Signal,
        *,
        train: Tensor | None = None,
        held: Tensor | None = None,
        published: bool = False,
    ) -> None:
        names = dict.fromkeys(("psnr", *signal.metrics))
        self._masks = [(train, "")] + ([] if held is None else [(held, HOLDOUT)])
        self._meters: list[dict[str, Meter]] = [
            {name + suffix: METRICS[name](signal) for name in names} for _, suffix in self._masks
        ]
        self._published = published

    def add(self, index: Tensor | slice, prediction: Tensor, target: Tensor) -> None:
        """Add a chunk of points: their values and those of the signal, [B, C] on one device."""
        for (mask, _), meters in zip(self._masks, self._meters, strict=True):
            weight = None
            if mask is not None:
                weight = mask[index].to(prediction.device, torch.float32)
            for meter in meters.values():
                meter.add(index, prediction, target, weight)

    def metrics(self) -> dict[str, float]:
        """Return the figures of all chunks by name."""
        found = {name: meter.value for meters in self._meters for name, meter in meters.items()}
        psnr = self._meters[0]["psnr"]
        if self._published and isinstance(psnr, Psnr):
            found["psnr_published"] = psnr.errors.psnr_published
        return found
