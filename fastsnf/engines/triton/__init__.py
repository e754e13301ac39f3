"""The Triton engine: fused linear layers and activations on NVIDIA GPUs of compute capability 8.0 and newer.

Importable without triton and without a GPU; the device code loads when a call runs. Tensors are checked by
`fastsnf.ops`; calls run on the device of their tensors and on its current stream, and wait for nothing. With
TRITON_INTERPRET=1 Triton's interpreter runs the same kernels on CPU tensors, slowly.

Precisions: ``fp32`` (every product as three tf32 ones), ``tf32`` (operands rounded), ``fast`` (16-bit
operands and saved tensors). Sums are fp32 and in a fixed order: the same call gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fastsnf.engines.triton.availability import detail, interpreted, missing, reasons
from fastsnf.engines.triton.parameters import PRECISIONS
from fastsnf.engines.triton.plan import plan_of, use_phases
from fastsnf.spec import FieldSpec

if TYPE_CHECKING:
    from fastsnf.engines.triton.grid import Grid

__all__ = [
    "PRECISIONS",
    "backward",
    "backward_kept",
    "detail",
    "forward",
    "forward_grid",
    "forward_keep",
    "interpreted",
    "kept_bytes",
    "missing",
    "mse_value_and_grad",
    "reasons",
    "use_phases",
]

Biases = Sequence[Tensor | None]
Gradient = tuple[Tensor | None, list[Tensor], list[Tensor | None]]


def kept_bytes(rows: int, shapes: Sequence[tuple[int, int]], spec: FieldSpec, precision: str) -> int:
    """Return the bytes that `forward_keep` keeps of `rows` points."""
    return rows * plan_of(spec, tuple(shapes), precision).saved_bytes


def forward(
    x: Tensor, weights: Sequence[Tensor], biases: Biases, spec: FieldSpec, *, precision: str
) -> Tensor:
    """Return the field's output [N, C] at x [N, D], keeping nothing."""
    from fastsnf.engines.triton import field

    with _on(x):
        return field.forward(x, weights, biases, spec, precision)


def forward_grid(
    grid: Grid,
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    *,
    precision: str,
    threshold: float | None = None,
) -> Tensor:
    """Return the outputs [M, C] at the points of a grid, whose coordinates are never stored.

    With `threshold`, of a field of one output: bits uint8 [ceil(M / 8)] of the points above it, bit j of
    byte i for point 8 i + j.
    """
    from fastsnf.engines.triton import field

    with _on(weights[0]):
        return field.forward_grid(grid, weights, biases, spec, precision, threshold)


def forward_keep(
    x: Tensor, weights: Sequence[Tensor], biases: Biases, spec: FieldSpec, *, precision: str
) -> tuple[Tensor, Tensor]:
    """Return the output [N, C] and, as 1-D uint8, what `backward_kept` takes."""
    from fastsnf.engines.triton import field

    with _on(x):
        return field.forward_keep(x, weights, biases, spec, precision)


def backward(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    d_out: Tensor,
    *,
    precision: str,
    need_x: bool = True,
    need_params: bool = True,
) -> Gradient:
    """Return the gradients of x, the weights and the biases for the cotangent d_out [N, C].

    The forward pass is computed again, in chunks. Without `need_x` the first is None, without `need_params`
    the lists are empty.
    """
    from fastsnf.engines.triton import field

    with _on(x):
        return field.backward(
            x, weights, biases, spec, d_out, precision, need_x=need_x, need_params=need_params
        )


def backward_kept(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Biases,
    kept: Tensor,
    spec: FieldSpec,
    d_out: Tensor,
    *,
    precision: str,
    need_x: bool = True,
    need_params: bool = True,
) -> Gradient:
    """Return the same from what `forward_keep` kept, which stays as it is."""
    from fastsnf.engines.triton import field

    with _on(x):
        return field.backward(
            x, weights, biases, spec, d_out, precision, need_x=need_x, need_params=need_params, kept=kept
        )


def mse_value_and_grad(
    x: Tensor,
    target: Tensor,
    weights: Sequence[Tensor],
    biases: Biases,
    spec: FieldSpec,
    sample_weight: Tensor | None = None,
    *,
    precision: str,
) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Return the weighted MSE, 0-d on the device, and its gradients."""
    from fastsnf.engines.triton import field

    with _on(x):
        return field.mse_value_and_grad(x, target, weights, biases, spec, sample_weight, precision)


def _on(tensor: Tensor) -> AbstractContextManager[Any]:
    """Return a context in which kernels launch on the tensor's GPU."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()
