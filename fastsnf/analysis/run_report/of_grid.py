"""What a report shows of values on any grid: a line, a plane, or slices through the middle of three axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.analysis.run_report import reconstructed
from fastsnf.analysis.run_report.gallery import Gallery, Group, error_spectra, known
from fastsnf.analysis.run_report.picture import Picture, errors, levels
from fastsnf.analysis.run_report.slices import Slice, middle_slices
from fastsnf.analysis.run_report.wave import wave_group

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.train import FitResult

ALIKE = 1e-4
"""Lengths that differ by less, of the longest, are the same but for rounding."""
MOST_LINE = 1 << 22
"""Points of a line that are shown at most: those at its start."""


def gallery(result: FitResult, signal: Signal) -> Gallery:
    """Return the pictures of a fitted grid; of more than three axes none."""
    if signal.in_features == 1 or len(signal.shape) == 1:
        return line(result, signal)
    if len(signal.shape) == 2:
        cut = Slice(0, 0, torch.arange(signal.size), (signal.shape[0], signal.shape[1]), 1)
        return planes(result, signal, [cut])
    return planes(result, signal, middle_slices(signal.shape)) if len(signal.shape) == 3 else Gallery([])


def line(result: FitResult, signal: Signal) -> Gallery:
    """Return the envelope of values along a line, channel by channel, and the error's."""
    index = torch.arange(min(signal.size, MOST_LINE))
    target, found = signal.targets(index), reconstructed.at(result, signal, index)
    error = known(found - target, None if signal.weights is None else signal.weights[index])
    return Gallery([wave_group(target, found, error)], error_spectra(error, target), "every frequency")


def planes(result: FitResult, signal: Signal, slices: list[Slice]) -> Gallery:
    """Return target, reconstruction and error of slices, and the spectrum of the first one's error.

    What is shown is in the user's units; the spectrum is that of the values that are fitted.
    """
    groups, spectra, of = [], {}, ""
    for number, cut in enumerate(slices):
        target, found = signal.targets(cut.index), reconstructed.at(result, signal, cut.index)
        weights = None if signal.weights is None else signal.weights[cut.index]
        title = f"Slice of {cut.title}" if len(slices) > 1 else ""
        before, after, said = comparable(signal.to_units(target), signal.to_units(found), weights)
        groups.append(
            Group(title, plane(before, after, weights, cut), "; ".join(filter(None, (said, cut.note))))
        )
        if number == 0:
            shape = (*cut.shape, signal.out_features)
            error = known(found - target, weights).reshape(shape)
            spectra = error_spectra(error, known(target, weights).reshape(shape))
            of = "radial means" + (f" of the slice of {cut.title}" if title else "")
    return Gallery(groups, spectra, of)


def plane(target: Tensor, found: Tensor, weights: Tensor | None, cut: Slice) -> list[Picture]:
    """Return before, after and error of values `[h w, C]` on a slice: of several channels their length."""
    before, after = strength(target, weights, cut), strength(found, weights, cut)
    error = strength(found - target, weights, cut, absolute=True)
    there = before[np.isfinite(before)]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
    return [
        levels("before: the target", before, low, high),
        levels("after: the reconstruction", after, low, high),
        errors("absolute error", error),
    ]


def comparable(target: Tensor, found: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor, str]:
    """Return values `[n, C]` of which a picture says something, and in words what it shows of them.

    Of vectors that is their length, unless all are as long: of normals and directions the first component.
    """
    if target.shape[1] == 1:
        return target, found, ""
    lengths = magnitudes(target, weights)
    known = lengths[np.isfinite(lengths)]
    if known.size and float(np.ptp(known)) <= ALIKE * float(known.max()):
        return target[:, :1], found[:, :1], "the first component of vectors that are all as long"
    return target, found, "the length of vectors"


def strength(
    values: Tensor, weights: Tensor | None, cut: Slice, *, absolute: bool = False
) -> NDArray[np.float32]:
    """Return `magnitudes` `[h, w]` of values `[h w, C]` on a slice."""
    return magnitudes(values, weights, absolute=absolute).reshape(cut.shape)


def magnitudes(
    values: Tensor, weights: Tensor | None = None, *, absolute: bool = False
) -> NDArray[np.float32]:
    """Return one number a point of values `[n, C]`: of vectors the length; NaN where nothing is known."""
    single = values.shape[1] == 1 and not absolute
    flat = values[:, 0] if single else torch.linalg.vector_norm(values, dim=1)
    if weights is not None:
        flat = torch.where(weights > 0, flat, torch.nan)
    return np.asarray(flat.float())
