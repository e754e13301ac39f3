"""`field_on_grid`: a field on a regular grid, whose coordinates are made where they are needed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fastsnf.engines.triton.grid import Grid
from fastsnf.errors import InputError
from fastsnf.ops.check import check_field
from fastsnf.ops.dispatch import AUTO, choose
from fastsnf.ops.grid_points import GridPoints, check_threshold, field_at
from fastsnf.ops.registration import MODULES
from fastsnf.spec import FieldSpec

CHUNK = 65_536
"""Points whose coordinates are there at once; a multiple of 8, so that no byte of bits is shared."""

Bounds = Sequence[float] | Sequence[Sequence[float]]


def field_on_grid(
    shape: Sequence[int],
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    *,
    spec: FieldSpec,
    begin: int = 0,
    end: int | None = None,
    bounds: Bounds = (-1.0, 1.0),
    threshold: float | None = None,
    engine: str = AUTO,
    precision: str = AUTO,
) -> Tensor:
    """Return a field's values at the points `begin` to `end` of a grid, or which of them exceed a threshold.

    Point i of the grid lies at ``torch.linspace(low_a, high_a, shape[a])[i_a]`` on each axis a, where
    ``(i_a)`` unravels i with the last axis fastest; an axis of one point lies at its low end. In float32 it
    is what torch gives bit for bit on a processor with FMA instructions. Coordinates of all points are never
    in memory at once, and nothing is recorded for autograd.

    Args:
        shape: points along each of the D axes.
        weights, biases, spec, engine, precision: as in `fastsnf.ops.field`.
        begin, end: the range of row-major indices; None is the end of the grid.
        bounds: (low, high) of every axis, or one such pair an axis.
        threshold: of a field of one output.

    Returns:
        Values [end - begin, C] of the weights' dtype and device; with `threshold` uint8
        [ceil((end - begin) / 8)]: bit j of byte i says whether point ``begin + 8 i + j`` has a value above
        it, bits past the last point are 0 (``numpy.unpackbits(bits, bitorder="little")``).

    Raises:
        InputError: when the grid is not one of the field's D axes, or `threshold` meets several outputs.
        EngineError: when a named engine, or none in the precision, can take the call, with every reason.
    """
    grid = _checked_grid(shape, begin, end, bounds)
    like = weights[0].detach().new_empty(0, grid.axes)
    check_field(like, weights, biases, spec)
    check_threshold(threshold, weights[-1].shape[0])
    chosen = choose(engine, like, weights, spec, precision)
    with torch.no_grad():
        if chosen.engine == "triton" and not grid.reasons():
            return MODULES["triton"].forward_grid(
                grid, weights, biases, spec, precision=chosen.precision, threshold=threshold
            )
        result = _empty(grid.rows, weights[-1].shape[0], like, threshold is not None)
        points = _points(grid, like)
        for start in range(0, grid.rows, CHUNK):
            part = slice(start, min(start + CHUNK, grid.rows))
            rows = part if threshold is None else slice(start // 8, -(-part.stop // 8))
            result[rows] = field_at(
                points[part],
                weights,
                biases,
                spec=spec,
                threshold=threshold,
                engine=chosen.engine,
                precision=precision,
            )
        return result


def _points(grid: Grid, like: Tensor) -> GridPoints:
    """Return the points of a grid by number, with the coordinates along its axes."""
    tables = []
    for axis, size in enumerate(grid.shape):
        tables.append(_Axis(grid, axis, like).at(torch.arange(size, device=like.device)))
    strides = [math.prod(grid.shape[axis + 1 :]) for axis in range(grid.axes)]
    return GridPoints(tuple(tables), tuple(strides), range(grid.begin, grid.end))


def _empty(points: int, outputs: int, like: Tensor, bits: bool) -> Tensor:
    if bits:
        return like.new_empty(-(-points // 8), dtype=torch.uint8)
    return like.new_empty(points, outputs)


class _Axis:
    """One axis of a grid, as torch's linspace has it: from the nearer end, in steps of the dtype."""

    def __init__(self, grid: Grid, axis: int, like: Tensor) -> None:
        self.size, self.dtype = grid.shape[axis], like.dtype
        low, high = (torch.tensor(ends[axis], dtype=like.dtype) for ends in (grid.lows, grid.highs))
        high = high if self.size > 1 else low
        step = (high - low) / max(1, self.size - 1)  # on the CPU: a GPU may multiply by the reciprocal
        self.low, self.high, self.step = torch.stack([low, high, step]).double().to(like.device)

    def at(self, i: Tensor) -> Tensor:
        """Return the coordinates of the places i.

        Those of float32 are computed in float64, where the product is exact: rounded once, as by a fused
        multiply-add.
        """
        rising = i < self.size // 2
        steps = torch.where(rising, i, self.size - 1 - i).to(self.dtype).double()
        end = torch.where(rising, self.low, self.high)
        return (end + torch.where(rising, self.step, -self.step) * steps).to(self.dtype)


def _checked_grid(shape: Sequence[int], begin: int, end: int | None, bounds: Bounds) -> Grid:
    """Return the grid of a call, or raise `InputError`."""
    sizes = tuple(shape)
    if not sizes or not all(type(size) is int and size >= 1 for size in sizes):
        raise InputError(f"expected a shape of one or more positive whole numbers; got {sizes!r}")
    points = math.prod(sizes)
    if points >= 2**63:
        raise InputError(f"expected a grid of less than 2^63 points; got {sizes}, {points} points")
    last = points if end is None else end
    if type(begin) is not int or type(last) is not int or not 0 <= begin <= last <= points:
        raise InputError(f"expected 0 <= begin <= end <= {points}, the grid's points; got {begin!r}, {end!r}")
    pairs = _pairs(bounds, len(sizes))
    return Grid(sizes, tuple(low for low, _ in pairs), tuple(high for _, high in pairs), begin, last)


def _pairs(bounds: Bounds, axes: int) -> list[tuple[float, float]]:
    """Return (low, high) of every axis."""
    try:
        pairs = [tuple(float(end) for end in pair) for pair in bounds]  # type: ignore[union-attr]
    except TypeError:
        pairs = [tuple(float(end) for end in bounds)] * axes  # type: ignore[arg-type]
    ends = [end for pair in pairs for end in pair]
    if len(pairs) != axes or any(len(pair) != 2 for pair in pairs) or not all(map(math.isfinite, ends)):
        raise InputError(
            f"expected bounds as (low, high), or as one such pair for each of {axes} axes; got {bounds!r}"
        )
    return [(pair[0], pair[1]) for pair in pairs]
