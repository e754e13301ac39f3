"""What a report shows of a solid: it and its reconstruction from two sides, and slices with what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fastsnf.analysis.run_report import reconstructed
from fastsnf.analysis.run_report.gallery import Gallery, Group, error_spectra
from fastsnf.analysis.run_report.picture import Picture, picture
from fastsnf.analysis.run_report.slices import Slice, middle_slices
from fastsnf.analysis.run_report.solid import Surface, shaded, thinned

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.train import FitResult

SIDES = {"From one side": 35.0, "From the other side": 215.0}
"""Degrees to the side from which a solid is seen."""
OUTSIDE, INSIDE, MISSING, EXTRA = (
    *((250, 250, 250), (120, 130, 145)),
    *((33, 102, 172), (214, 48, 39)),
)
"""Colours of slices: neither, both, the target alone, the reconstruction alone."""
HALF = 0.5


def gallery(result: FitResult, signal: Signal) -> Gallery:
    """Return the pictures of a fitted occupancy grid; of a large one every k-th voxel."""
    slices = middle_slices(signal.shape)
    pairs = [(signal.targets(cut.index), reconstructed.at(result, signal, cut.index)) for cut in slices]
    shown = [_slice(cut, *pair) for cut, pair in zip(slices, pairs, strict=True)]
    groups = [*_solids(result, signal), *_legend(shown)]
    target, found = pairs[0]
    plane = (*slices[0].shape, 1)
    spectra = error_spectra((found - target).reshape(plane), target.reshape(plane))
    return Gallery(groups, spectra, f"radial means of the slice of {slices[0].title}")


def _solids(result: FitResult, signal: Signal) -> list[Group]:
    """Return target and reconstruction side by side, from each side, all from the same distance."""
    bits, found = getattr(signal, "bits", None), getattr(result.rendering, "bits", None)
    if bits is None:
        return []
    named = [("before: the target", Surface.of(thinned(bits)))]
    box = named[0][1].box
    if found is not None:
        named.append(("after: the reconstruction", Surface.of(thinned(found))))
    return [
        Group(title, [picture(name, shaded(solid, box, azimuth=azimuth)) for name, solid in named])
        for title, azimuth in SIDES.items()
    ]


def _slice(cut: Slice, target: Tensor, found: Tensor) -> Picture:
    """Return a slice in four colours, with what share of it differs."""
    inside, held = (_bools(values, cut) for values in (target, found))
    pixels = np.empty((*cut.shape, 3), dtype=np.uint8)
    for colour, where in (
        (OUTSIDE, ~inside & ~held),
        (INSIDE, inside & held),
        (MISSING, inside & ~held),
        (EXTRA, held & ~inside),
    ):
        pixels[where] = colour
    differs = f"{100 * float((inside != held).mean()):.3f} % differ"
    return picture(cut.title, pixels, note=", ".join(filter(None, (differs, cut.note))))


def _bools(values: Tensor, cut: Slice) -> NDArray[np.bool_]:
    return (values[:, 0] >= HALF).numpy().reshape(cut.shape)


def _legend(slices: list[Picture]) -> list[Group]:
    note = "grey: inside both; blue: the target alone; red: the reconstruction alone"
    return [Group("Slices through the middle", slices, note)]
