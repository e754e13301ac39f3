"""The linear layers of a field, before any initializer wrote their parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from fastsnf.errors import InputError, check_whole
from fastsnf.spec import FieldSpec

COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
"""The real dtypes that a field may have, and the dtype of a complex field's weights after the first."""

Device = torch.device | str | None


def linear_chain(
    spec: FieldSpec,
    widths: Sequence[int],
    *,
    bias: bool | Sequence[bool] = True,
    device: Device = None,
    dtype: torch.dtype | None = None,
) -> list[nn.Linear]:
    """Return the linear layers ``widths[l] -> widths[l + 1]`` of a field, their parameters not yet written.

    No random generator is read. `bias` is for all layers or has one entry a layer.

    Raises:
        InputError: for a dtype other than float32 and float64.
    """
    real = real_dtype(dtype)
    biases = [bias] * spec.layers if isinstance(bias, bool) else bias
    return [
        empty_linear(
            widths[layer],
            widths[layer + 1],
            bias=biases[layer],
            device=device,
            dtype=COMPLEX[real] if spec.complex_weights(layer) else real,
        )
        for layer in range(spec.layers)
    ]


def empty_linear(
    fan_in: int, fan_out: int, *, bias: bool = True, device: Device = None, dtype: torch.dtype
) -> nn.Linear:
    """Return a linear layer whose parameters are not yet written; no random generator is read."""
    place = torch.get_default_device() if device is None else device
    return nn.utils.skip_init(nn.Linear, fan_in, fan_out, bias=bias, device=place, dtype=dtype)


def real_dtype(dtype: torch.dtype | None) -> torch.dtype:
    """Return the dtype of a field's real parameters, torch's default for None.

    Raises:
        InputError: for a dtype other than float32 and float64.
    """
    real = torch.get_default_dtype() if dtype is None else dtype
    if real not in COMPLEX:
        raise InputError(f"expected dtype to be torch.float32 or torch.float64; got {real}")
    return real


def check_sizes(*, hidden_layers: object, **widths: object) -> None:
    """Raise `InputError` unless widths are integers of 1 or more and `hidden_layers` one of 0 or more."""
    for what, size, least in [
        ("hidden_layers", hidden_layers, 0),
        *((what, size, 1) for what, size in widths.items()),
    ]:
        check_whole(what, size, least)
