"""Which points of a signal are trained on, which are held out, and their batches on the device."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.signals.signal import CACHED_POINTS, Signal
from fastsnf.train.storage import Bits, Column, GridCoordinates, Plain, compact, on_grid

DEVICE_BYTES = 4 << 30
"""Bytes that the values of a larger signal may take on a GPU, before they are read batch by batch."""


MOST_MARKED = 1 << 30
"""Points of a signal of which some can be held out: two bytes each, and eight for each that is left."""

Batch = tuple[Tensor | ops.GridPoints, Tensor | ops.Bits, Tensor | None]
"""Coordinates [B, D] or points of a grid by number, values [B, C] or the grid's bits, weights [B] or None."""


def as_tensors(x: Tensor | ops.GridPoints, y: Tensor | ops.Bits) -> tuple[Tensor, Tensor]:
    """Return the coordinates [B, D] and values [B, C] of a batch that may name points by number."""
    if isinstance(y, ops.Bits):
        assert isinstance(x, ops.GridPoints), "bits belong to points by number"
        y = y.at(x)
    return x.coordinates() if isinstance(x, ops.GridPoints) else x, y


class Points:
    """A subset of a signal's points, ready for training.

    Up to `CACHED_POINTS` the subset lies gathered on the device, so that a batch is one gather or a view;
    larger signals are read batch by batch through `Signal.batch`. On a GPU values lie compact
    (`fastsnf.train.storage`), also those of a larger signal on a grid, whose coordinates are then computed.

    Args:
        signal: what is fitted.
        mask: bool [N], or None for every point.
        device, dtype: of the batches, the field's.
        packed: whether values lie compact; by default on a GPU, where memory counts and decoding is free.

    Attributes:
        count: the points of the subset.
        by_number: whether batches name points of the grid by number instead of giving their coordinates, for
            an engine that makes these itself; set by who knows the engine, where `numbered` allows it.
        resident: whether a batch needs nothing but the device: no copy, no wait.
    """

    def __init__(
        self,
        signal: Signal,
        mask: Tensor | None,
        device: torch.device,
        dtype: torch.dtype,
        *,
        packed: bool | None = None,
    ) -> None:
        self._signal = signal
        self._device, self._dtype = device, dtype
        self._subset = None if mask is None else mask.nonzero().squeeze(1)
        self.count = signal.size if self._subset is None else len(self._subset)
        packed = device.type == "cuda" if packed is None else packed
        self.by_number = False
        self._last: tuple[Tensor, Batch] | None = None
        self._columns: tuple[Column, Column, Column | None] | None = None
        self._tables: tuple[tuple[Tensor, ...], tuple[int, ...]] | None = None
        if signal.held and signal.size <= CACHED_POINTS:
            self._columns = self._gathered(packed)
        elif packed and _bytes_of(signal) <= DEVICE_BYTES:
            self._columns = self._computed()

    @property
    def resident(self) -> bool:
        """Whether batches are made on the device alone."""
        return self._columns is not None

    @property
    def chosen_bytes(self) -> int:
        """The bytes of what says which points of the signal these are, beside masks."""
        return 0 if self._subset is None else self._subset.nbytes

    @property
    def numbered(self) -> bool:
        """Whether batches can name points by number: of a whole grid that is not gathered, on the CPU."""
        grid = on_grid(self._signal)
        return (
            grid is not None and self._columns is None and self._device.type == "cpu" and self._subset is None
        )

    def batch(self, index: Tensor | slice) -> Batch:
        """Return (x [B, D], y [B, C], w [B] or None) of the subset's points `index`.

        On the CPU the very tensor of indices of the last call gives that call's batch again: fits that take
        turns on one sampler gather it once. On a GPU a recorded step may own it.
        """
        if self._last is not None and index is self._last[0]:
            return self._last[1]
        batch = self._batch(index)
        if isinstance(index, Tensor) and self._device.type == "cpu":
            self._last = index, batch
        return batch

    def tensors(self, index: Tensor | slice) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return `batch` with coordinates and values that are there."""
        x, y, w = self.batch(index)
        return *as_tensors(x, y), w

    def _batch(self, index: Tensor | slice) -> Batch:
        if self.by_number:
            return self._named(index)
        if self._columns is None:
            return self._read(index)
        x, y, w = self._columns
        return x.at(index), y.at(index), None if w is None else w.at(index)

    def _gathered(self, packed: bool) -> tuple[Column, Column, Column | None]:
        """Return the subset's columns, coordinates included."""
        x, y, w = self._signal.batch(slice(0, self.count) if self._subset is None else self._subset)
        values = compact(y, self._device, self._dtype) if packed else Plain(self._move(y).contiguous())
        return Plain(self._move(x).contiguous()), values, self._weights(w)

    def _computed(self) -> tuple[Column, Column, Column | None] | None:
        """Return the subset's columns with coordinates computed from the index; None off a grid."""
        grid, subset = on_grid(self._signal), self._subset
        if grid is None:
            return None
        w = self._signal.weights
        octets = self._signal.packed()
        if octets is not None and subset is None:
            coordinates = GridCoordinates(grid, None, self._device, self._dtype)
            return coordinates, Bits(octets.to(self._device), self._dtype), self._weights(w)
        y = self._signal.values if octets is None else self._signal.targets(slice(0, self._signal.size))
        if subset is not None:
            y, w = y[subset], None if w is None else w[subset]
        x = GridCoordinates(grid, subset, self._device, self._dtype)
        return x, compact(y, self._device, self._dtype), self._weights(w)

    def _named(self, index: Tensor | slice) -> Batch:
        """Return a batch of points by number, with values that are bits where the signal has bits."""
        if self._tables is None:
            grid = self._signal.grid_of(self._signal.shape)
            axes = [axis.to(self._dtype) for axis in grid.axes()]
            self._tables = (
                tuple(axes[axis] for axis in grid.columns),
                tuple(grid.strides[axis] for axis in grid.columns),
            )
        numbers = range(*index.indices(self.count)) if isinstance(index, slice) else index
        bits, weights = self._signal.packed(), self._signal.weights
        y = ops.Bits(bits) if bits is not None else self._signal.targets(index).to(self._dtype)
        w = None if weights is None else weights[index].to(self._dtype)
        return ops.GridPoints(*self._tables, numbers), y, w

    def _weights(self, w: Tensor | None) -> Column | None:
        return None if w is None or bool((w == 1).all()) else Plain(self._move(w).contiguous())

    def _read(self, index: Tensor | slice) -> tuple[Tensor, Tensor, Tensor | None]:
        if self._subset is not None:
            index = self._subset[index if isinstance(index, slice) else index.to("cpu")]
        elif isinstance(index, Tensor):
            index = index.to("cpu")
        x, y, w = self._signal.batch(index)
        return self._send(x), self._send(y), None if w is None else self._send(w)

    def _move(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._device, self._dtype)

    def _send(self, tensor: Tensor) -> Tensor:
        if self._device.type != "cuda":
            return self._move(tensor)
        # From pinned memory the copy does not hold up the host.
        return tensor.pin_memory().to(self._device, non_blocking=True).to(self._dtype)


def _bytes_of(signal: Signal) -> float:
    """Return the bytes of a signal's values on a GPU; infinite for one that has to be read batch by batch."""
    if signal.packed() is not None:
        return signal.size / 8
    return signal.size * 4 * signal.out_features if signal.held else math.inf


def known(signal: Signal) -> Tensor | None:
    """Return the mask [N] of the points that are there (weight above 0), or None when all are."""
    if signal.weights is None:
        return None
    mask = signal.weights > 0
    return None if bool(mask.all()) else mask


def split(signal: Signal, holdout: int | None) -> tuple[Tensor | None, Tensor | None]:
    """Return the masks [N] of the training points and of the held-out points.

    Args:
        signal: what is fitted; points of weight 0 are in neither mask.
        holdout: K trains on every K-th point of each axis; None holds nothing out (its mask is None).

    Raises:
        InputError: when nothing is left on one of the two sides, or the signal is too large to mark every
            point.
    """
    there = known(signal)
    if holdout is None:
        return there, None
    if signal.size > MOST_MARKED:
        raise InputError(
            f"expected at most {MOST_MARKED:,} points to hold some out, each of them marked in memory; got "
            f"{signal.size:,}: fit all of them, or a coarser grid"
        )
    lattice = torch.zeros(signal.shape, dtype=torch.bool)
    lattice[tuple(slice(None, None, holdout) for _ in signal.shape)] = True
    train = lattice.reshape(-1)
    held = ~train
    if there is not None:
        train, held = train & there, held & there
    if not train.any() or not held.any():
        raise InputError(
            f"expected points to train on and points to hold out; got holdout={holdout} for a signal of "
            f"{list(signal.shape)} points, which leaves {int(train.sum())} and {int(held.sum())}"
        )
    return train, held
