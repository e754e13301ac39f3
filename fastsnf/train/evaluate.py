"""The values of a field at all points of a signal, and how well they match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsnf.nn import Field
from fastsnf.signals.signal import Signal
from fastsnf.train.losses import VALUES, to_values
from fastsnf.train.metrics import SquaredError

CHUNK_POINTS = 1 << 18
"""Points evaluated at once: bounds the memory on top of the result."""


@dataclass(frozen=True)
class Evaluation:
    """`values` [N, C] float32 on the CPU, unclipped, at every point of the signal, and their PSNRs."""

    values: Tensor
    psnr: float
    psnr_holdout: float | None = None
    psnr_published: float | None = None


def values_at(field: Field, x: Tensor) -> Tensor:
    """Return the outputs [B, C] of a field at x [B, D], also where it returns coordinates beside them."""
    out = field(x)
    return out[0] if isinstance(out, tuple) else out


def predict(
    field: Field, signal: Signal, *, outputs: str = VALUES, stop: Callable[[], bool] | None = None
) -> Tensor | None:
    """Return the field's values [N, C], float32 on the CPU, at every point of a signal, in chunks.

    Args:
        field: the field, wherever it is.
        signal: its points.
        outputs: what the field returns, `fastsnf.train.losses.VALUES` or ``LOGITS``.
        stop: asked before each chunk; the result is None once it returns True.
    """
    parameter = next(field.parameters())
    dtype = parameter.dtype.to_real()
    values = torch.empty(signal.size, signal.out_features)
    with torch.no_grad():
        for start in range(0, signal.size, CHUNK_POINTS):
            if stop is not None and stop():
                return None
            chunk = slice(start, min(start + CHUNK_POINTS, signal.size))
            x = signal.batch(chunk)[0].to(device=parameter.device, dtype=dtype)
            values[chunk] = to_values(values_at(field, x), outputs).to("cpu", torch.float32)
    return values


def evaluate(
    values: Tensor,
    signal: Signal,
    *,
    train: Tensor | None,
    held: Tensor | None = None,
    published: bool = False,
) -> Evaluation:
    """Return the metrics of `values` [N, C].

    Args:
        values: the field's, from `predict`.
        signal: what they should be.
        train, held: masks [N] from `fastsnf.train.points.split`; None for every point, and for no point.
        published: add the weight-scaling paper's variant.
    """

    errors = _squared_error(values, signal, train)
    return Evaluation(
        values,
        psnr=errors.psnr,
        psnr_holdout=None if held is None else _squared_error(values, signal, held).psnr,
        psnr_published=errors.psnr_published if published else None,
    )


def _squared_error(values: Tensor, signal: Signal, mask: Tensor | None) -> SquaredError:
    """Return the squared error of `values` at the points of a mask, each of weight 1."""
    errors = SquaredError()
    for start in range(0, signal.size, CHUNK_POINTS):
        chunk = slice(start, start + CHUNK_POINTS)
        weights = None if mask is None else mask[chunk].to(torch.float32)
        errors.add(values[chunk], signal.values[chunk], weights)
    return errors
