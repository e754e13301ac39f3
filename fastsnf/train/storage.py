"""Points held on a GPU in as few bytes as give them back bit for bit, decoded batch by batch.

Values that are k / 255 take a byte, values of one channel that are all 0 or 1 a bit, values that a half holds
two bytes, all others their four. Coordinates of a large grid are computed from the point's number. Decoding
consists of gathers and integer operations alone: no rounding, so that every device gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from fastsnf.signals.grid import Grid
from fastsnf.signals.signal import Signal

CHECK_POINTS = 1 << 20
"""Points that are checked at once: it bounds the memory on top of the values."""


class Column(Protocol):
    """One of the things that every point has: coordinates [N, D], values [N, C] or weights [N]."""

    def at(self, index: Tensor | slice) -> Tensor:
        """Return the rows `index`: int64 [B] on the column's device, or a slice of bounds in [0, N]."""
        ...


class Plain:
    """Rows held as they are; a slice is a view."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def at(self, index: Tensor | slice) -> Tensor:
        """Return the rows `index`."""
        return self.rows[index] if isinstance(index, slice) else torch.index_select(self.rows, 0, index)


class Halves(Plain):
    """Rows held as float16, given as `dtype`."""

    def __init__(self, rows: Tensor, dtype: torch.dtype) -> None:
        super().__init__(rows)
        self._dtype = dtype

    def at(self, index: Tensor | slice) -> Tensor:
        """Return the rows `index`."""
        return super().at(index).to(self._dtype)


class Codes(Plain):
    """Rows of uint8 k that stand for ``table[k]``; a GPU may divide by 255 with another last bit."""

    def __init__(self, rows: Tensor, table: Tensor) -> None:
        super().__init__(rows)
        self._table = table

    def at(self, index: Tensor | slice) -> Tensor:
        """Return the rows `index`."""
        codes = super().at(index)
        return torch.index_select(self._table, 0, codes.reshape(-1).to(torch.int32)).reshape(codes.shape)


class Bits:
    """One channel of zeros and ones, point n in bit n mod 8 of byte n div 8."""

    def __init__(self, packed: Tensor, dtype: torch.dtype) -> None:
        self.packed = packed
        self._dtype = dtype

    def at(self, index: Tensor | slice) -> Tensor:
        """Return the rows `index`, [B, 1]."""
        places = numbers(index, self.packed.device)
        octets = torch.index_select(self.packed, 0, places >> 3).to(torch.int64)
        return ((octets >> (places & 7)) & 1).to(self._dtype)[:, None]


class GridCoordinates:
    """Coordinates of a subset of a grid's points, computed as `Grid.at` does from tables of the axes.

    Args:
        grid: the grid.
        subset: the numbers of its points, integers [N]; None for all.
        device, dtype: of the coordinates.
    """

    def __init__(self, grid: Grid, subset: Tensor | None, device: torch.device, dtype: torch.dtype) -> None:
        self._shape, self._columns = grid.shape, grid.columns
        self._axes = [axis.to(device, dtype) for axis in grid.axes()]
        self._subset = None if subset is None else subset.to(device)
        self._device = device

    def at(self, index: Tensor | slice) -> Tensor:
        """Return the coordinates [B, D] of the points `index` of the subset."""
        if self._subset is None:
            place = numbers(index, self._device)
        else:
            place = Plain(self._subset).at(index)
        columns = []
        for size, axis in zip(reversed(self._shape), reversed(self._axes), strict=True):
            columns.append(torch.index_select(axis, 0, place % size))
            place = torch.div(place, size, rounding_mode="floor")
        columns.reverse()
        return torch.stack([columns[axis] for axis in self._columns], dim=-1)


def on_grid(signal: Signal) -> Grid | None:
    """Return the grid on which the points of a signal lie, None for a signal with coordinates of its own."""
    kind = type(signal)
    regular = kind.batch is Signal.batch and kind.coords is Signal.coords
    return signal.grid_of(signal.shape) if regular else None


def numbers(index: Tensor | slice, device: torch.device) -> Tensor:
    """Return the numbers of the points `index`, int64 [B]."""
    return torch.arange(index.start, index.stop, device=device) if isinstance(index, slice) else index


def compact(values: Tensor, device: torch.device, dtype: torch.dtype) -> Column:
    """Return a column on `device` that gives `values`, float32 [N, C] on the CPU, bit for bit as `dtype`."""
    if values.shape[1] == 1 and _all(values, _is_bit):
        return Bits(_packed(values[:, 0]).to(device), dtype)
    if _all(values, _is_code):
        codes = torch.cat([_codes(part) for part in values.split(CHECK_POINTS)])
        return Codes(codes.to(device), _table().to(device, dtype))
    if _all(values, _is_half):
        return Halves(values.half().to(device), dtype)
    return Plain(values.to(device, dtype).contiguous())


def _all(values: Tensor, holds: Callable[[Tensor], bool]) -> bool:
    return all(holds(part) for part in values.split(CHECK_POINTS))


def _table() -> Tensor:
    """Return the 256 values k / 255, correctly rounded: computed on the CPU, tensor by tensor."""
    return torch.arange(256, dtype=torch.float32) / torch.full((256,), 255.0)


def _codes(part: Tensor) -> Tensor:
    return (part * 255.0).round().to(torch.uint8)


def _same(a: Tensor, b: Tensor) -> bool:
    """Return whether two float32 tensors hold the same bits: -0 is not 0."""
    return torch.equal(a.contiguous().view(torch.int32), b.contiguous().view(torch.int32))


def _is_bit(part: Tensor) -> bool:
    return bool(((part == 0) | (part == 1)).all()) and not bool(part.signbit().any())


def _is_code(part: Tensor) -> bool:
    if not bool(((part >= 0) & (part <= 1)).all()):
        return False
    return _same(_table()[_codes(part).long()], part)


def _is_half(part: Tensor) -> bool:
    return _same(part.half().float(), part)


def _packed(bits: Tensor) -> Tensor:
    """Return the bits [N] in bytes [ceil(N / 8)]."""
    packed = torch.zeros(-(-len(bits) // 8), dtype=torch.uint8)
    for place in range(8):
        octets = bits[place::8].to(torch.uint8)
        packed[: len(octets)] |= octets << place
    return packed
