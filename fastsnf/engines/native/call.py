"""What a call hands to the extension: pointers, sizes and codes, and the tensors that own them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastsnf.engines.native.extension import missing
from fastsnf.spec import FieldSpec, Sinc

ACTIVATION_CODES = {
    name: code
    for code, name in enumerate(
        ("identity", "sine", "gaussian", "sinc", "gabor", "gabor-real", "finer", "relu", "tanh", "sigmoid")
    )
}
"""The order of ``enum class Act`` in csrc/cpu/field.h."""

MOST_UNITS = 4096
"""The widest layer: wider ones would put more memory a thread into gradients than a cache can hold."""


def reasons(device: str, dtype: torch.dtype, shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """Return why the engine cannot take a call on `device` with weights of `shapes`, nothing when it can."""
    why = reasons_of(device, dtype)
    widest = max(max(shape) for shape in shapes)
    if widest > MOST_UNITS:
        why.append(f"a layer has {widest} inputs or outputs, it takes at most {MOST_UNITS}")
    return why


def reasons_of(device: str, dtype: torch.dtype) -> list[str]:
    """Return why no kernel can take tensors of a real `dtype` on `device`, nothing when one can."""
    why = [missing()] if missing() else []
    if device != "cpu":
        why.append(f"tensors are on {device}, it runs on the CPU")
    if dtype != torch.float32:
        why.append(f"tensors are {dtype}, it computes in torch.float32")
    return why


def prepare(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    spec: FieldSpec,
    d_weights: Sequence[Tensor] = (),
    d_biases: Sequence[Tensor | None] = (),
) -> tuple[Tensor, list[tuple[Any, ...]], list[Tensor | None]]:
    """Return contiguous x, one tuple a layer for the extension, and the tensors that own its pointers."""
    kept: list[Tensor | None] = []
    layers = []
    for i, act in enumerate(spec.activations):
        weight, bias = dense(weights[i]), biases[i]
        bias = None if bias is None else dense(bias)
        kept += [weight, bias]
        layers.append(
            (
                weight.shape[1],
                weight.shape[0],
                spec.complex_weights(i),
                ACTIVATION_CODES[act.name],
                getattr(act, "omega", 0.0),
                act.amplitude if isinstance(act, Sinc) else getattr(act, "scale", 0.0),
                weight.data_ptr(),
                address(bias),
                address(d_weights[i]) if d_weights else 0,
                address(d_biases[i]) if d_biases else 0,
            )
        )
    return x.contiguous(), layers, kept


def empty_gradients(
    weights: Sequence[Tensor], biases: Sequence[Tensor | None]
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Return tensors shaped as the parameters, to be overwritten."""
    contiguous = torch.contiguous_format
    return (
        [torch.empty_like(weight, memory_format=contiguous) for weight in weights],
        [None if bias is None else torch.empty_like(bias, memory_format=contiguous) for bias in biases],
    )


def dense(tensor: Tensor) -> Tensor:
    """Return a tensor whose memory is what it says, row by row.

    A lazily conjugated or negated one is contiguous and still is not.
    """
    return tensor.resolve_conj().resolve_neg().contiguous()


def address(tensor: Tensor | None) -> int:
    """Return where a tensor's memory begins, 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()
