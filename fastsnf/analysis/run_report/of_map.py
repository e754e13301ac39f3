"""What a report shows of a field on the sphere: maps of latitude over longitude, in the units of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.analysis.run_report import reconstructed
from fastsnf.analysis.run_report.gallery import Gallery, Group, error_spectra, known, middle, middle_words
from fastsnf.analysis.run_report.picture import Picture, block_means, factor_of, levels, reduced_note, signed

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.train import FitResult

CLIPPED = 99.8
"""Percentile of the absolute differences at which their colours end."""


def gallery(result: FitResult, signal: Signal) -> Gallery:
    """Return the maps of a fitted field `[rows, columns]` on the sphere and what they differ by."""
    index = torch.arange(signal.size)
    target, found = signal.targets(index), reconstructed.at(result, signal, index)
    error = known(found - target, signal.weights)
    part = middle(signal.shape)
    shape = (*signal.shape, signal.out_features)
    spectra = error_spectra(error.reshape(shape)[part], known(target, signal.weights).reshape(shape)[part])
    of = f"radial means over latitude and longitude{middle_words(signal.shape, part, 'points')}"
    maps = [_maps(signal, target, found, channel) for channel in range(min(4, signal.out_features))]
    return Gallery(maps, spectra, of)


def _maps(signal: Signal, target: Tensor, found: Tensor, channel: int) -> Group:
    before, after = (_map(signal, signal.to_units(values)[:, channel]) for values in (target, found))
    difference = after - before
    there = before[np.isfinite(before)]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
    sizes = np.abs(difference[np.isfinite(difference)])
    top = float(np.percentile(sizes, CLIPPED)) if sizes.size else 1.0
    unit = _unit(signal)
    shown: list[Picture] = [
        levels("before: the target", before, low, high, unit=unit),
        levels("after: the reconstruction", after, low, high, unit=unit),
        signed("the difference", difference, top or 1.0, unit=unit),
    ]
    title = f"Channel {channel + 1}" if signal.out_features > 1 else ""
    return Group(title, shown, reduced_note(factor_of(*signal.shape)))


def _map(signal: Signal, values: Tensor) -> NDArray[np.float32]:
    """Return values `[N]` as a map `[rows, columns]`, north up, reduced; NaN where nothing is known."""
    if signal.weights is not None:
        values = torch.where(signal.weights > 0, values, torch.nan)
    height, width = signal.shape
    rows = values.reshape(height, width, 1)
    factor = factor_of(height, width)
    table = block_means(lambda first, last: rows[first:last].numpy(), height, width, factor)[:, :, 0]
    lattice = getattr(signal, "lattice", None)
    if lattice is not None and lattice.latitudes[0] < lattice.latitudes[-1]:
        table = table[::-1]
    if lattice is not None and lattice.longitudes[0] > lattice.longitudes[-1]:
        table = table[:, ::-1]
    return table


def _unit(signal: Signal) -> str:
    about = getattr(signal, "about", {})
    return str(about.get("unit", ""))
