"""The values of a field at all points of a signal, and how well they match."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsnf.nn import Field, LayeredField
from fastsnf.signals.signal import Signal
from fastsnf.train.losses import VALUES, to_values
from fastsnf.train.metrics import SquaredError
from fastsnf.train.storage import GridCoordinates, on_grid

CHUNK_POINTS = 1 << 18
"""Points evaluated at once, at most: bounds the memory on top of the result."""
FUSED_FEATURES = 32
"""Features a point that may lie in memory for that many points; fields with more take fewer at once."""


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


def points_at_once(field: Field) -> int:
    """Return how many points to evaluate at once: fewer where a point's features lie in memory.

    A fused field keeps those of its layers to itself; its encoding, and the layers of a field in plain
    operations, are tensors [B, E].
    """
    features = field.hidden_features
    if isinstance(field, LayeredField):
        features = 1 if field.encoding is None else field.encoding.out_features
    return max(1, CHUNK_POINTS // max(1, features // FUSED_FEATURES))


@contextlib.contextmanager
def evaluation_mode(field: Field) -> Iterator[None]:
    """Put a field into evaluation mode, where a value depends on its own point alone, and back."""
    training = [module for module in field.modules() if module.training]
    field.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def predict(
    field: Field, signal: Signal, *, outputs: str = VALUES, stop: Callable[[], bool] | None = None
) -> Tensor | None:
    """Return the field's values [N, C], float32 on the CPU, at every point of a signal, in chunks.

    The field computes them in evaluation mode.

    Args:
        field: the field, wherever it is.
        signal: its points.
        outputs: what the field returns, `fastsnf.train.losses.VALUES` or ``LOGITS``.
        stop: asked before each chunk; the result is None once it returns True.
    """
    parameter = next(field.parameters())
    device = parameter.device
    coordinates = _coordinates(signal, device, parameter.dtype.to_real())
    values = _host_memory(signal.size, signal.out_features, device)
    with torch.no_grad(), evaluation_mode(field):
        step = points_at_once(field)
        for start in range(0, signal.size, step):
            if stop is not None and stop():
                return None
            chunk = slice(start, min(start + step, signal.size))
            out = to_values(values_at(field, coordinates(chunk)), outputs).to(torch.float32)
            values[chunk].copy_(out, non_blocking=True)
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()  # once, for all chunks
    return values


def _coordinates(signal: Signal, device: torch.device, dtype: torch.dtype) -> Callable[[slice], Tensor]:
    """Return what gives the coordinates [B, D] of a chunk: on a GPU they are computed there."""
    grid = on_grid(signal) if device.type == "cuda" else None
    if grid is not None:
        return GridCoordinates(grid, None, device, dtype).at
    return lambda chunk: signal.batch(chunk)[0].to(device=device, dtype=dtype)


def _host_memory(rows: int, columns: int, device: torch.device) -> Tensor:
    """Return memory [rows, columns] of the CPU; that of a GPU's results is pinned, where there is enough."""
    if device.type == "cuda":
        with contextlib.suppress(RuntimeError):
            return torch.empty(rows, columns, pin_memory=True)
    return torch.empty(rows, columns)


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
