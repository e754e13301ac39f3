"""The values of a fit at points of its signal: from what the rendering keeps, else from the field itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from fastsnf.signals.signal import Signal
    from fastsnf.train import FitResult


def at(result: FitResult, signal: Signal, index: Tensor) -> Tensor:
    """Return the fit's values, float32 `[B, C]` on the CPU, at the points `index` int64 `[B]` of `signal`."""
    if result.values is not None:
        return result.values[index]
    bits = getattr(result.rendering, "bits", None)
    if bits is not None:
        found: Tensor = bits.at(index)
        return found
    return evaluated(result, signal, index)


def evaluated(result: FitResult, signal: Signal, index: Tensor) -> Tensor:
    """Return what the fitted field has at those points, computed in chunks."""
    from fastsnf.analysis.points import field_at

    return field_at(result.field, signal, index, outputs=result.field.outputs)
