"""What a report shows of a picture: before, after, the absolute error, and the spectrum of the error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.analysis.run_report.gallery import Gallery, Group, error_spectra, known, middle, middle_words
from fastsnf.analysis.run_report.picture import block_means, errors, factor_of, grey, reduced_note

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.train import FitResult


def gallery(result: FitResult, signal: Signal) -> Gallery:
    """Return the pictures of a fitted image; of a large one reduced, row by row."""
    height, width = signal.shape
    shape = (height, width, signal.out_features)
    assert result.values is not None, "images are held"
    before, after = signal.values.reshape(shape), result.values.reshape(shape)
    weights = None if signal.weights is None else signal.weights.reshape(height, width)
    factor = factor_of(height, width)
    note = reduced_note(factor)

    def rows(values: Tensor) -> NDArray[np.float32]:
        return block_means(lambda first, last: values[first:last].numpy(), height, width, factor)

    def error(first: int, last: int) -> NDArray[np.float32]:
        mean = (after[first:last] - before[first:last]).abs().mean(dim=2, keepdim=True)
        if weights is not None:
            mean = torch.where((weights[first:last] > 0)[:, :, None], mean, torch.nan)
        return np.asarray(mean)

    shown = [
        grey("before: the target", rows(before), note=note),
        grey("after: the reconstruction", rows(after), note=note),
        errors("absolute error, mean of the channels",
               block_means(error, height, width, factor)[:, :, 0], note=note),
    ]  # fmt: skip
    part = middle((height, width))
    target = before[part]
    hole = None if weights is None else weights[part].reshape(-1)
    difference = known((after[part] - target).reshape(-1, shape[2]), hole).reshape(target.shape)
    spectra = error_spectra(difference, known(target.reshape(-1, shape[2]), hole).reshape(target.shape))
    return Gallery([Group("", shown)], spectra, f"radial means{middle_words(signal.shape, part, 'pixels')}")
