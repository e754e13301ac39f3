"""Comparing a network with the field made of its parts: values and gradients at random coordinates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fastsnf.errors import InputError
from fastsnf.nn.field import Field

POINTS = 32
"""Random coordinates at which the two modules are compared."""

TOLERANCE = 1e-7
"""Largest difference in float64, relative to the largest entry, of equal outputs or gradients: what rounding
becomes behind a few layers of omega 30, and far less than any difference between two formulas."""


def compare(original: nn.Module, field: Field) -> bool:
    """Check that both compute the same; return whether `original` answers with (values, coordinates).

    Args:
        original, field: on the CPU, in double precision, with shared parameters; all are set to require grad.

    Raises:
        InputError: when the values or the gradients of a parameter differ, or cannot be compared.
    """
    generator = torch.Generator().manual_seed(0)
    x = 2.0 * torch.rand(POINTS, field.in_features, dtype=torch.float64, generator=generator) - 1.0
    field.requires_grad_(True)
    names, parameters = zip(*field.named_parameters(), strict=True)
    with torch.enable_grad():
        wanted, pair = _values(original, x)
        got = field(x)
        _check_close(original, "values", wanted, got)
        d_out = torch.rand(got.shape, dtype=torch.float64, generator=generator)
        d_wanted = torch.autograd.grad(wanted, parameters, d_out, materialize_grads=True)
        d_got = torch.autograd.grad(got, parameters, d_out)
    for name, theirs, ours in zip(names, d_wanted, d_got, strict=True):
        _check_close(original, f"gradients of {name}", theirs, ours)
    return pair


def _values(original: nn.Module, x: Tensor) -> tuple[Tensor, bool]:
    """Return the values of `original` and whether they came with coordinates."""
    name = type(original).__name__
    try:
        result: Any = original(x)
    except Exception as error:  # the user's code: whatever it raises is why it cannot be compared
        cause = f"{type(error).__name__}: {error}"
        raise InputError(f"expected {name} to take coordinates {list(x.shape)}; it raised {cause}") from error
    is_tuple = isinstance(result, tuple) and len(result) == 2
    pair = is_tuple and isinstance(result[1], Tensor) and result[1].shape == x.shape
    values = result[0] if pair else result
    if not isinstance(values, Tensor) or values.is_complex():
        got = f"a {values.dtype} tensor" if isinstance(values, Tensor) else type(values).__name__
        raise InputError(f"expected {name} to return real values, or values and coordinates; got {got}")
    if not values.isfinite().all():
        raise InputError(f"expected finite values of {name} to compare with; got NaN or infinity")
    if not values.requires_grad:
        raise InputError(
            f"expected the values of {name} to be differentiable in its parameters; they are not"
        )
    return values, pair


def _check_close(original: nn.Module, what: str, wanted: Tensor, got: Tensor) -> None:
    """Raise unless two tensors agree to `TOLERANCE` of the largest entry."""
    name = type(original).__name__
    if wanted.shape != got.shape:
        raise InputError(
            f"expected {name} to be a chain of its layers, with {what} of shape {list(got.shape)}; "
            f"got {list(wanted.shape)}"
        )
    size, error = wanted.abs().max().item(), (wanted - got).abs().max().item()
    if not error <= TOLERANCE * size:
        raise InputError(
            f"expected {name} to be a chain of its layers in the order of registration; the {what} differ "
            f"by {error:.3g} where the largest is {size:.3g}"
        )
