"""The values of a field at the points of a signal, in chunks, and what `fastsnf.train.measure` finds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fastsnf.nn import Field, LayeredField
from fastsnf.signals.progress import Progress
from fastsnf.signals.rendering import Rendering
from fastsnf.signals.signal import Signal
from fastsnf.train.chunks import with_chunks
from fastsnf.train.losses import VALUES, to_values
from fastsnf.train.metrics import Measured
from fastsnf.train.storage import GridCoordinates, on_grid

CHUNK_POINTS = 1 << 18
"""Points evaluated at once, at most: bounds the memory on top of the result."""
FUSED_FEATURES = 32
"""Features a point that may lie in memory for that many points; fields with more take fewer at once."""


@dataclass(frozen=True)
class Evaluation(Measured):
    """How well a field matches a signal.

    Attributes:
        metrics: by name: ``psnr``, then those of `Signal.metrics`; with a hold-out the same of the held-out
            points as ``psnr_holdout`` and so on; ``psnr_published`` where it was asked for.
        rendering: the field's values at every point, or what the signal keeps of them; None for a sample.
        sampled: how many points were measured, where it was not all of them.
    """

    metrics: dict[str, float]
    rendering: Rendering | None
    sampled: int | None = None

    @property
    def values(self) -> Tensor | None:
        """The values [N, C], float32 on the CPU, unclipped; None of a sample, and of a signal not held."""
        if self.rendering is None or not self.rendering.signal.held:
            return None
        return self.rendering.values


def values_at(field: Field, x: Tensor) -> Tensor:
    """Return the outputs [B, C] of a field at x [B, D], also where it returns coordinates beside them."""
    out = field(x)
    return out[0] if isinstance(out, tuple) else out


def points_at_once(field: Field, samples: int = 1) -> int:
    """Return how many points, of `samples` places each, to evaluate at once.

    They are fewer where a point's features lie in memory.

    A fused field keeps those of its layers to itself; its encoding, and the layers of a field in plain
    operations, are tensors [B, E].
    """
    features = field.hidden_features
    if isinstance(field, LayeredField):
        features = 1 if field.encoding is None else field.encoding.out_features
    return max(1, CHUNK_POINTS // samples // max(1, features // FUSED_FEATURES))


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
    field: Field,
    signal: Signal,
    *,
    outputs: str = VALUES,
    stop: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> Tensor | None:
    """Return the field's values [N, C], float32 on the CPU, at every point of a signal, in chunks.

    The field computes them in evaluation mode.

    Args:
        field: the field, wherever it is.
        signal: its points.
        outputs: what the field returns, `fastsnf.train.losses.VALUES` or ``LOGITS``.
        stop: asked before each chunk; the result is None once it returns True.
        progress: called with (points done, all of them) after each chunk.
    """
    parameter = next(field.parameters())
    device = parameter.device
    coordinates = _coordinates(signal, device, parameter.dtype.to_real())
    values = _host_memory(signal.size, signal.out_features, device)

    def work(chunk: slice) -> None:
        out = to_values(values_at(field, coordinates(chunk)), outputs).to(torch.float32)
        values[chunk].copy_(signal.reduce(out), non_blocking=True)
        if progress is not None:
            progress(chunk.stop, signal.size)

    at_once, key = points_at_once(field, signal.samples), ("measure", field.hidden_features)
    with torch.no_grad(), evaluation_mode(field):
        if not with_chunks(signal.size, at_once, work, key=key, stop=stop):
            return None
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
