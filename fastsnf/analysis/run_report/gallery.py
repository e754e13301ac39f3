"""What a report shows of a signal: pictures of target, reconstruction and error, and the error's spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fastsnf.analysis.run_report.picture import Picture

if TYPE_CHECKING:
    from fastsnf.analysis.frequencies import Spectrum
    from fastsnf.signals.signal import Signal
    from fastsnf.train import FitResult

GALLERIES = {
    "image": "of_image",
    "audio": "of_sound",
    "occupancy": "of_solid",
    "sphere": "of_map",
    "video": "of_video",
    "points": "of_points",
}
"""The module of this package whose ``gallery`` shows a kind of signal; `of_grid` shows any other."""

SPECTRUM_POINTS = 1 << 20
"""Points whose spectrum is taken at most: the middle of what is larger."""


@dataclass(frozen=True)
class Group:
    """Pictures side by side, under a heading."""

    title: str
    pictures: Sequence[Picture]
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """All that is shown.

    Attributes:
        groups: the pictures.
        spectra: spectra by name, of the error and of the target beside it; empty where there is none.
        spectrum_of: what they were taken of, in words.
    """

    groups: Sequence[Group]
    spectra: Mapping[str, Spectrum] = field(default_factory=dict)
    spectrum_of: str = ""


def gallery(result: FitResult, signal: Signal) -> Gallery:
    """Return what is shown of a fit of `signal`: of what it is measured on, where that is another."""
    signal = signal.evaluation
    module = import_module(f"{__package__}.{GALLERIES.get(signal.kind, 'of_grid')}")
    found: Gallery = module.gallery(result, signal)
    return found


def error_spectra(error: Tensor, target: Tensor) -> dict[str, Spectrum]:
    """Return the spectra of an error and its target `[*shape, C]`; none of one point, or where not finite."""
    from fastsnf.analysis.frequencies import function_spectrum

    if error[..., 0].numel() < 2 or not bool(error.isfinite().all() and target.isfinite().all()):
        return {}
    return {"target": function_spectrum(target), "error": function_spectrum(error)}


def middle(shape: Sequence[int], most: int = SPECTRUM_POINTS) -> tuple[slice, ...]:
    """Return the middle of a grid, of at most `most` points, every axis shortened to one length at most.

    >>> middle((100, 10), most=200)
    (slice(40, 60, None), slice(0, 10, None))
    """
    side = max(shape)
    while _points(shape, side) > most:
        side -= max(1, side // 50) if _points(shape, side) > 2 * most else 1
    kept = [min(n, side) for n in shape]
    return tuple(slice((n - k) // 2, (n - k) // 2 + k) for n, k in zip(shape, kept, strict=True))


def middle_words(shape: Sequence[int], part: Sequence[slice], unit: str) -> str:
    """Return which part of a grid `middle` chose, in words; empty for all of it."""
    sizes = [piece.stop - piece.start for piece in part]
    return "" if list(shape) == sizes else f" of the middle {' x '.join(map(str, sizes))} {unit}"


def known(error: Tensor, weights: Tensor | None) -> Tensor:
    """Return `error` `[N, C]` with 0 at points of weight 0, where nothing is known."""
    return error if weights is None else torch.where((weights > 0)[:, None], error, 0.0)


def _points(shape: Sequence[int], side: int) -> int:
    product = 1
    for n in shape:
        product *= min(n, side)
    return product
