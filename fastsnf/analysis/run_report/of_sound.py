"""What a report shows of a sound: waves, spectrograms of the first channel, and the error's spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.analysis.run_report import reconstructed
from fastsnf.analysis.run_report.gallery import Gallery, Group, error_spectra, known
from fastsnf.analysis.run_report.of_grid import MOST_LINE
from fastsnf.analysis.run_report.picture import Picture, levels
from fastsnf.analysis.run_report.wave import wave_group

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.train import FitResult

WINDOW = 1024
"""Samples of a spectrogram's window at most."""
COLUMNS = 600
"""Windows of a spectrogram."""
FLOOR = -100.0
"""Decibels below the loudest of the target that are shown."""
SPECTRUM_SAMPLES = 1 << 18


def gallery(result: FitResult, signal: Signal) -> Gallery:
    """Return the pictures of a fitted sound, of a long one its start."""
    index = torch.arange(min(signal.size, MOST_LINE))
    target, found = signal.targets(index), reconstructed.at(result, signal, index)
    error = known(found - target, None if signal.weights is None else signal.weights[index])
    rate = float(getattr(signal, "rate", 0) or 0)
    length = f"{len(index) / rate:.2f} s at {rate:g} Hz" if rate else f"{len(index):,} samples"
    note = length if len(index) == signal.size else f"the first {length}"
    part = slice(0, min(len(index), SPECTRUM_SAMPLES))
    groups = [wave_group(target, found, error, note=note), *_spectrograms(target, found, error, rate)]
    of = "every frequency" + ("" if part.stop == signal.size else f" of the first {part.stop:,} samples")
    return Gallery(groups, error_spectra(error[part], target[part]), of)


def _spectrograms(target: Tensor, found: Tensor, error: Tensor, rate: float) -> list[Group]:
    """Return the group of spectrograms in decibels below the loudest of the target; none of a short sound."""
    if len(target) < 64:
        return []
    powers = [spectrogram(values[:, 0]) for values in (target, found, error)]
    loudest = float(powers[0].max())
    top = f"{rate / 2:g} Hz" if rate else "half the rate"
    names = ("before: the target", "after: the reconstruction", "the difference")
    pictures = [
        _decibels(name, power, loudest, f"time to the right, frequency up to {top}")
        for name, power in zip(names, powers, strict=True)
    ]
    return [Group("Spectrograms of the first channel", pictures)]


def _decibels(name: str, power: NDArray[np.float64], loudest: float, note: str) -> Picture:
    with np.errstate(divide="ignore"):
        level = (
            np.maximum(10 * np.log10(power / loudest), FLOOR) if loudest > 0 else np.full(power.shape, FLOOR)
        )
    return levels(name, level[::-1], FLOOR, 0.0, unit="dB", note=note)


def spectrogram(values: Tensor, window: int = WINDOW, columns: int = COLUMNS) -> NDArray[np.float64]:
    """Return the power `[w / 2 + 1, at most columns]` of `values` `[n]` in Hann windows of w samples."""
    width = min(window, 1 << max(3, (len(values) // 8).bit_length() - 1))
    hop = max(1, -(-(len(values) - width) // columns))
    frames = torch.nan_to_num(values.double()).unfold(0, width, hop)
    shaped = frames * torch.hann_window(width, dtype=torch.float64)
    return np.asarray(torch.fft.rfft(shaped, dim=1).abs().square().T)
