"""Points of a signal to look at where all of them are too many: one from each cell of the grid, by seed."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fastsnf.errors import check_whole
from fastsnf.nn import Field
from fastsnf.signals.signal import Signal
from fastsnf.train.evaluate import evaluation_mode, points_at_once, values_at
from fastsnf.train.losses import VALUES, to_values


class Points(NamedTuple):
    """Coordinates [n, D] and values [n, C] of points, and their weights [n] or None."""

    x: Tensor
    y: Tensor
    weights: Tensor | None


def sampled_points(signal: Signal, count: int, *, seed: int = 0) -> Tensor:
    """Return the numbers of `count` distinct points of a signal, spread over its grid: int64, ascending.

    The grid is cut into cells of nearly equal size, as many as `count` has room for, and each gives one
    random point; the rest is drawn from all others. Points of weight 0 are not there: of a signal with such
    points each of `count` equal runs of the others gives one.

    Args:
        signal: its shape and weights are read, its values are not.
        count: n of at least 1; all points where it reaches their number.
        seed: the same one gives the same points on every machine.

    Raises:
        InputError: for another count.
    """
    check_whole("the number of points", count, 1)
    known = None
    if signal.weights is not None and not bool((signal.weights > 0).all()):
        known = (signal.weights > 0).nonzero().squeeze(1)
    total = signal.size if known is None else len(known)
    if count >= total:
        return torch.arange(total) if known is None else known
    generator = torch.Generator().manual_seed(seed)
    if known is not None:
        return known[_one_a_run(total, count, generator)]
    chosen = _one_a_cell(signal.shape, count, generator)
    return _filled(chosen, total, count, generator).sort().values


def data_at(field: nn.Module, signal: Signal, index: Tensor | slice) -> Points:
    """Return the points `index` of a signal, on the device and in the dtype of a field's parameters.

    Raises:
        InputError: for a signal without its data.
    """
    parameter = next(field.parameters())
    x, y, w = signal.batch(index)
    real, device = parameter.dtype.to_real(), parameter.device
    return Points(x.to(device, real), y.to(device, real), None if w is None else w.to(device, real))


def field_at(field: Field, signal: Signal, index: Tensor, *, outputs: str = VALUES) -> Tensor:
    """Return a field's values, float32 [n, C] on the CPU, at the points `index` int64 [n] of a signal.

    The signal may be without its data. Computed in evaluation mode, in chunks.

    Args:
        field, signal, index: the field, wherever it is, and the points.
        outputs: what the field returns, ``values`` or ``logits``.
    """
    parameter = next(field.parameters())
    dtype = parameter.dtype.to_real()
    parts = []
    with torch.no_grad(), evaluation_mode(field):
        for chunk in index.split(points_at_once(field)):
            x = signal.coordinates_of(signal.shape, chunk).to(parameter.device, dtype)
            parts.append(to_values(values_at(field, x), outputs).to("cpu", torch.float32))
    return torch.cat(parts)


def _one_a_run(size: int, count: int, generator: torch.Generator) -> Tensor:
    """Return one random number from each of `count` equal runs of 0 .. size - 1, ascending."""
    edges = torch.arange(count + 1) * size // count
    widths = edges[1:] - edges[:-1]
    return edges[:-1] + (torch.rand(count, generator=generator, dtype=torch.float64) * widths).long()


def _one_a_cell(shape: tuple[int, ...], count: int, generator: torch.Generator) -> Tensor:
    """Return one random point from each cell of the grid: at most `count` numbers."""
    cells = _cells(shape, count)
    grid = torch.meshgrid(*(torch.arange(c) for c in cells), indexing="ij")
    flat = torch.zeros(math.prod(cells), dtype=torch.int64)
    for size, c, cell in zip(shape, cells, grid, strict=True):
        low, high = cell.reshape(-1) * size // c, (cell.reshape(-1) + 1) * size // c
        draw = torch.rand(len(low), generator=generator, dtype=torch.float64)
        flat = flat * size + low + (draw * (high - low)).long()
    return flat


def _cells(shape: tuple[int, ...], count: int) -> list[int]:
    """Return into how many parts each axis is cut, so that their product is `count` at most."""
    cells = [1] * len(shape)
    room, points = count, math.prod(shape)
    order = sorted(range(len(shape)), key=shape.__getitem__)
    for left, axis in zip(range(len(shape), 0, -1), order, strict=True):
        even = shape[axis] * (room / points) ** (1.0 / left)
        cells[axis] = max(1, min(shape[axis], room, math.floor(even + 1e-9)))
        room, points = room // cells[axis], points // shape[axis]
    return cells


def _filled(chosen: Tensor, total: int, count: int, generator: torch.Generator) -> Tensor:
    """Return `chosen` and random others below `total`, `count` in all, distinct."""
    while len(chosen) < count:
        drawn = torch.randint(total, (2 * (count - len(chosen)) + 8,), generator=generator)
        fresh = drawn[~torch.isin(drawn, chosen)].unique()
        fresh = fresh[torch.randperm(len(fresh), generator=generator)]
        chosen = torch.cat([chosen, fresh[: count - len(chosen)]])
    return chosen
