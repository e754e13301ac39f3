"""The pictures that ``fastsnf fit`` leaves beside the curve: maps of a sphere, slices of a volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsnf.errors import InputError

if TYPE_CHECKING:
    from fastsnf.signals import Signal
    from fastsnf.train import FitResult

MAP, ERROR_MAP, SLICES = "map.png", "error.png", "slices.png"


def draw_pictures(result: FitResult, signal: Signal, folder: Path) -> list[tuple[str, Path]]:
    """Draw what there is to draw of a fit and return (what, path) of each picture.

    Of a sphere the map of the reconstruction and that of its error, of a volume the slices through the
    middle: original, reconstruction and error. Without matplotlib there are none; the curve has told of it.
    """
    drawers = DRAWERS.get(signal.kind)
    if drawers is None:
        return []
    try:
        return drawers(result, signal, folder)
    except InputError:
        return []


def _maps(result: FitResult, signal: Any, folder: Path) -> list[tuple[str, Path]]:
    from fastsnf.analysis.maps import draw_error_map, draw_map

    if result.values is None:
        return []
    projection = "mollweide" if signal.lattice.goes_round else "plate-carree"
    found, error = folder / MAP, folder / ERROR_MAP
    draw_map(signal, result.values, signal.shape, found, projection=projection, title="reconstruction")
    draw_error_map(signal, result.values, error, projection=projection, title="error of the reconstruction")
    return [("map", found), ("error map", error)]


def _slices(result: FitResult, signal: Any, folder: Path) -> list[tuple[str, Path]]:
    from fastsnf.analysis.run_report import reconstructed
    from fastsnf.analysis.slices import draw_slices

    path = folder / SLICES
    draw_slices(signal, lambda index: reconstructed.at(result, signal, index), path)
    return [("slices", path)]


DRAWERS: dict[str, Callable[[FitResult, Any, Path], list[tuple[str, Path]]]] = {
    "sphere": _maps,
    "volume": _slices,
}
"""What draws the pictures of a kind of signal."""
