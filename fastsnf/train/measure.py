"""How well a field matches a signal: at every point of it, in a stream, or at a sample of its points."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fastsnf.nn import Field
from fastsnf.signals.progress import Progress
from fastsnf.signals.signal import Signal
from fastsnf.train.chunks import with_chunks
from fastsnf.train.evaluate import (
    CHUNK_POINTS,
    Evaluation,
    evaluation_mode,
    points_at_once,
    predict,
    values_at,
)
from fastsnf.train.grid_field import GridField
from fastsnf.train.losses import VALUES, to_values
from fastsnf.train.score import Score
from fastsnf.train.storage import Bits, on_grid


def measure(
    field: Field,
    signal: Signal,
    score: Score,
    *,
    outputs: str = VALUES,
    stop: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> Evaluation | None:
    """Return the metrics and the rendering of a field at every point of a signal.

    A signal that is held in memory has the values of its field there too. One that is not is evaluated in a
    stream: each chunk is measured, given to the signal's rendering, which keeps what it needs, and forgotten.

    Args:
        field: wherever it is; it computes in evaluation mode.
        signal: its points and values, held in memory or not.
        score: what is measured.
        outputs: what the field returns, `fastsnf.train.losses.VALUES` or ``LOGITS``.
        stop: asked before each chunk; the result is None once it returns True.
        progress: called with (points done, all of them) after each chunk.
    """
    rendering = signal.rendering(signal.shape)
    if signal.held:
        values = predict(field, signal, outputs=outputs, stop=stop, progress=progress)
        if values is None:
            return None
        rendering.add(0, values)
        for start in range(0, signal.size, CHUNK_POINTS):
            chunk = slice(start, min(start + CHUNK_POINTS, signal.size))
            score.add(chunk, values[chunk], signal.targets(chunk))
        return Evaluation(score.metrics(), rendering)

    source = _source(field, signal, outputs)

    def work(chunk: slice) -> None:
        values = source(chunk)
        # All that needs memory is there: a chunk that is taken again in halves has added nothing.
        score.add(chunk, values, _targets(signal, chunk, values.device))
        rendering.add(chunk.start, values)
        if progress is not None:
            progress(chunk.stop, signal.size)

    at_once = max(8, points_at_once(field) // 8 * 8)  # bits start an octet
    with evaluation_mode(field):
        whole = with_chunks(signal.size, at_once, work, key=("measure", field.hidden_features), stop=stop)
    return Evaluation(score.metrics(), rendering) if whole else None


def measure_sample(
    field: Field, signal: Signal, score: Score, index: Tensor, *, outputs: str = VALUES
) -> Evaluation:
    """Return the metrics of a field at the points `index` [n] int64 alone, without a rendering."""
    parameter = next(field.parameters())
    device, dtype = parameter.device, parameter.dtype.to_real()
    with torch.no_grad(), evaluation_mode(field):
        for part in index.split(points_at_once(field, signal.samples)):
            x, y, _ = signal.batch(part)
            out = to_values(values_at(field, x.to(device, dtype)), outputs).to(torch.float32)
            score.add(part, signal.reduce(out), y.to(device))
    return Evaluation(score.metrics(), None, len(index))


def _source(field: Field, signal: Signal, outputs: str) -> Callable[[slice], Tensor]:
    """Return what gives the values, float32 [B, C] on the field's device, of a chunk of a signal's points."""
    if on_grid(signal) is not None:
        grid = GridField(field, signal, signal.shape, outputs)
        return lambda chunk: grid.values(range(chunk.start, chunk.stop))
    parameter = next(field.parameters())
    device, dtype = parameter.device, parameter.dtype.to_real()

    def at_batches(chunk: slice) -> Tensor:
        with torch.no_grad():
            out = values_at(field, signal.batch(chunk)[0].to(device, dtype))
            return signal.reduce(to_values(out, outputs).to(torch.float32))

    return at_batches


def _targets(signal: Signal, chunk: slice, device: torch.device) -> Tensor:
    """Return the values [B, C] of a chunk on a device; those of a signal of bits go there as bits."""
    octets = None if device.type == "cpu" else signal.packed()
    if octets is None:
        return signal.targets(chunk).to(device)
    first, last = chunk.start // 8, -(-chunk.stop // 8)
    bits = Bits(octets[first:last].to(device), torch.float32)
    return bits.at(slice(chunk.start - 8 * first, chunk.stop - 8 * first))
