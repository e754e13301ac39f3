"""A double of an engine that keeps what its backward pass needs: the reference, and a copy of x as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.spec import FieldSpec


class Double:
    """Stands in ``registration.MODULES`` for the Triton engine, and notes its calls.

    Args:
        fits: whether what is kept fits in memory.
    """

    def __init__(self, *, fits: bool = True) -> None:
        self.fits = fits
        self.calls: list[str] = []

    def kept_bytes(
        self, rows: int, shapes: Sequence[tuple[int, int]], spec: FieldSpec, precision: str
    ) -> int:
        return rows * shapes[0][1] * 4

    def forward(self, x: Tensor, weights: Any, biases: Any, spec: FieldSpec, *, precision: str) -> Tensor:
        self.calls.append(f"forward {precision}")
        return reference.forward(x, weights, biases, spec)

    def forward_keep(
        self, x: Tensor, weights: Any, biases: Any, spec: FieldSpec, *, precision: str
    ) -> tuple[Tensor, Tensor]:
        self.calls.append(f"forward_keep {precision}")
        if not self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.")
        kept = x.detach().clone(memory_format=torch.contiguous_format).view(-1).view(torch.uint8)
        return reference.forward(x, weights, biases, spec), kept

    def backward(
        self,
        x: Tensor,
        weights: Any,
        biases: Any,
        spec: FieldSpec,
        d_out: Tensor,
        *,
        need_x: bool,
        need_params: bool,
        precision: str,
    ) -> tuple[Tensor | None, list[Tensor], list[Tensor | None]]:
        self.calls.append(f"backward {precision} {need_x} {need_params}")
        d_x, d_weights, d_biases = reference.vjp(x, weights, biases, spec, d_out)
        return (
            d_x.contiguous() if need_x else None,
            [d.contiguous() for d in d_weights] if need_params else [],
            d_biases if need_params else [],
        )

    def backward_kept(
        self, x: Tensor, weights: Any, biases: Any, kept: Tensor, spec: FieldSpec, d_out: Tensor, **needs: Any
    ) -> tuple[Tensor | None, list[Tensor], list[Tensor | None]]:
        result = self.backward(kept.view(torch.float32).view(x.shape), weights, biases, spec, d_out, **needs)
        self.calls[-1] = self.calls[-1].replace("backward", "backward_kept")
        return result
