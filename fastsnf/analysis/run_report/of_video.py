"""What a report shows of a video: first, middle and last frame, and the spectrum of the middle's error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.analysis.run_report import reconstructed
from fastsnf.analysis.run_report.gallery import Gallery, Group, error_spectra
from fastsnf.analysis.run_report.picture import block_means, errors, factor_of, grey, reduced_note

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.train import FitResult

MOST_SIDE = 480
"""Longest side of a frame that is shown."""


def gallery(result: FitResult, signal: Signal) -> Gallery:
    """Return the pictures of a fitted video `[T, H, W]`."""
    frames, height, width = signal.shape
    groups, spectra = [], {}
    for number in sorted({0, frames // 2, frames - 1}):
        index = torch.arange(number * height * width, (number + 1) * height * width)
        shape = (height, width, signal.out_features)
        target = signal.targets(index).reshape(shape)
        found = reconstructed.at(result, signal, index).reshape(shape)
        groups.append(_frame(f"Frame {number + 1:,} of {frames:,}", target, found))
        if number == frames // 2:
            spectra = error_spectra(found - target, target)
    return Gallery(groups, spectra, "radial means of the middle frame")


def _frame(title: str, target: Tensor, found: Tensor) -> Group:
    height, width = target.shape[:2]
    factor = factor_of(height, width, MOST_SIDE)
    error = (found - target).abs().mean(dim=2, keepdim=True)

    def reduced(values: Tensor) -> NDArray[np.float32]:
        return block_means(lambda first, last: values[first:last].numpy(), height, width, factor)

    return Group(
        title,
        [
            grey("before: the target", reduced(target)),
            grey("after: the reconstruction", reduced(found)),
            errors("absolute error, mean of the channels", reduced(error)[:, :, 0]),
        ],
        reduced_note(factor),
    )
