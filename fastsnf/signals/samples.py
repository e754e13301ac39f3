"""Plain samples on a regular grid of any dimension: what synthetic signals are made of."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from fastsnf.errors import InputError
from fastsnf.signals.atomic import atomic_write
from fastsnf.signals.described import described
from fastsnf.signals.signal import Signal


class Samples(Signal):
    """Values of any range on a grid over [-1, 1]^D, without a file format behind them.

    Use `from_array`; the arguments of the constructor are those of `Signal`.
    """

    kind: ClassVar[str] = "samples"
    default_name: ClassVar[str] = "reconstruction.npz"

    @classmethod
    def from_array(cls, array: Tensor, weights: Tensor | None = None) -> Self:
        """Return the signal of an `array` `[*shape, C]` and of `weights` `[*shape]` or None."""
        if array.ndim < 2 or array.numel() == 0 or array.is_complex():
            raise InputError(
                f"expected real samples [*shape, C]; got {array.dtype} of shape {list(array.shape)}"
            )
        channels = array.shape[-1]
        flat = None if weights is None else weights.to(torch.float32).reshape(-1)
        return cls(tuple(array.shape[:-1]), channels, array.to(torch.float32).reshape(-1, channels), flat)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the signal, without its values, that `metadata` describes."""
        shape = described(metadata, cls.kind, "shape", list)
        return cls(shape, described(metadata, cls.kind, "out_features", int))

    def write(self, values: Tensor, shape: Sequence[int], path: str | os.PathLike[str]) -> None:
        """Write `values` `[prod(shape), C]` as the array ``values`` `[*shape, C]` of an ``.npz`` file.

        Raises:
            InputError: another suffix, shapes that do not agree, or a place that cannot be written.
            RunError: the disk is full or failed.
        """
        path = Path(path)
        if path.suffix.lower() != ".npz":
            raise InputError(f"expected a file ending in .npz for samples; got {str(path)!r}; name it so")
        array = self._checked_rendering(values, shape).numpy()
        with atomic_write(path) as file:
            np.savez(file, values=array)
