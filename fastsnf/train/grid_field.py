"""`GridField`: a field at the points of a rendering, asked for by their numbers."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fastsnf import ops
from fastsnf.nn import Field
from fastsnf.nn.plain import only_layers
from fastsnf.signals.signal import Signal
from fastsnf.train.evaluate import values_at
from fastsnf.train.losses import LOGITS, VALUES, to_values


class GridField:
    """The values of a field at points of a signal's grid; it computes as it is, without autograd.

    A field that is its layers alone leaves the coordinates to the engine, so that they are never in memory.

    Args:
        field: wherever it is, in evaluation mode.
        signal: whose points they are.
        shape: points along each of its axes.
        outputs: what the field returns, `fastsnf.train.losses.VALUES` or ``LOGITS``.
    """

    def __init__(self, field: Field, signal: Signal, shape: tuple[int, ...], outputs: str = VALUES) -> None:
        parameter = next(field.parameters())
        self._device, self._dtype = parameter.device, parameter.dtype.to_real()
        self._field, self._signal, self._shape, self._outputs = field, signal, shape, outputs
        on_grid = type(signal).coordinates_of is Signal.coordinates_of
        self._tables: tuple[Tensor, ...] | None = None
        if on_grid and only_layers(field) and field.encoding is None:
            grid = signal.grid_of(shape)
            axes = [axis.to(self._device, self._dtype) for axis in grid.axes()]
            self._tables = tuple(axes[axis] for axis in grid.columns)
            self._strides = tuple(grid.strides[axis] for axis in grid.columns)

    @property
    def gives_bits(self) -> bool:
        """Whether `above` can be asked: the engine makes coordinates and compares the one value itself."""
        return self._tables is not None and self._signal.out_features == 1

    def values(self, index: range | Tensor) -> Tensor:
        """Return the signal's values, float32 `[B, C]` on the field's device, at the points `index`.

        Args:
            index: consecutive numbers, or int64 `[B]`.
        """
        return to_values(self.out(index), self._outputs).to(torch.float32)

    def out(self, index: range | Tensor) -> Tensor:
        """Return what the field returns, `[B, C]`: `values`, or logits of them."""
        with torch.no_grad():
            if self._tables is not None:
                return self._at(index)
            return values_at(self._field, self._coordinates(index))

    def level(self, threshold: float) -> float:
        """Return what the field returns where the value is `threshold`."""
        if self._outputs != LOGITS:
            return threshold
        return (
            math.log(threshold / (1 - threshold))
            if 0 < threshold < 1
            else math.copysign(math.inf, threshold - 0.5)
        )

    def above(self, index: range, threshold: float) -> Tensor:
        """Return which values are at least `threshold`, in bits as `fastsnf.ops.field_at` gives them."""
        return self._at(index, _before(self.level(threshold), self._dtype))

    def _at(self, index: range | Tensor, threshold: float | None = None) -> Tensor:
        assert self._tables is not None, "`gives_bits`, or as `values` asks"
        assert only_layers(self._field), "as there are tables"
        points = ops.GridPoints(self._tables, self._strides, self._moved(index))
        weights, biases = self._field.layer_tensors()
        return ops.field_at(points, weights, biases, spec=self._field.spec, threshold=threshold)

    def _coordinates(self, index: range | Tensor) -> Tensor:
        part = slice(index.start, index.stop) if isinstance(index, range) else index.cpu()
        return self._signal.coordinates_of(self._shape, part).to(device=self._device, dtype=self._dtype)

    def _moved(self, index: range | Tensor) -> range | Tensor:
        return index if isinstance(index, range) else index.to(self._device)


def _before(threshold: float, dtype: torch.dtype) -> float:
    """Return the largest number below `threshold`: an engine compares with "above", which is then "at least".

    Numbers that are not normal count as 0, as the engines have it.
    """
    kind = np.float64 if dtype == torch.float64 else np.float32
    below, tiny = np.nextafter(kind(threshold), kind(-math.inf)), np.finfo(kind).tiny
    return float(-tiny if abs(below) < tiny else below)
