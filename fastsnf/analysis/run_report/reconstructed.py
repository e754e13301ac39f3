"""The values of a fit at points of its signal: from what the rendering keeps, else from the field itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
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
    from fastsnf.train.evaluate import evaluation_mode, points_at_once, values_at
    from fastsnf.train.losses import to_values

    parameter = next(result.field.parameters())
    dtype = parameter.dtype.to_real()
    parts = []
    with torch.no_grad(), evaluation_mode(result.field):
        for chunk in index.split(points_at_once(result.field)):
            x = signal.batch(chunk)[0].to(parameter.device, dtype)
            out = to_values(values_at(result.field, x), result.field.outputs)
            parts.append(out.to("cpu", torch.float32))
    return torch.cat(parts)
