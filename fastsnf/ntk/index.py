"""Groups of points as a user writes them down: read, checked, and brought to one form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastsnf.errors import InputError


class Lists(NamedTuple):
    """`order` [N] int64: the points of group 0, then those of group 1, ...; `sizes` [count]: of each."""

    order: Tensor
    sizes: Tensor


def lists_of(index: Any, size: int | None = None) -> Lists:
    """Return the points of every group.

    Args:
        index: the group of every point, integers [N] from 0 without gaps; or the points of every group, a
            sequence of one-dimensional index tensors.
        size: how many points there are; None: as many as the index names.

    Raises:
        InputError: unless every point is in one group and no group is empty.
    """
    if _is_nested(index):
        return _from_lists([_whole_numbers(group, "the points of each group") for group in index], size)
    return _from_assignment(_whole_numbers(index, "the group of every point"), size)


def _from_assignment(group: Tensor, size: int | None) -> Lists:
    if len(group) == 0:
        raise InputError("expected the group of at least one point; got none")
    if size is not None and len(group) != size:
        raise InputError(f"expected the groups of {size} points; got {len(group)}: groups must cover them")
    if int(group.min()) < 0:
        raise InputError(f"expected groups numbered from 0; got {int(group.min())}")
    if int(group.max()) >= len(group):
        raise InputError(
            f"expected groups numbered from 0 without gaps, at most {len(group)} of them; "
            f"got number {int(group.max())}"
        )
    sizes = torch.bincount(group)
    empty = (sizes == 0).nonzero()
    if len(empty):
        raise InputError(f"expected no empty group; got none of the points in group {int(empty[0])}")
    return Lists(torch.argsort(group, stable=True), sizes)


def _from_lists(groups: Sequence[Tensor], size: int | None) -> Lists:
    empty = [number for number, group in enumerate(groups) if len(group) == 0]
    if empty:
        raise InputError(f"expected no empty group; got group {empty[0]} without points")
    order = torch.cat(list(groups))
    low, high = int(order.min()), int(order.max())
    points = high + 1 if size is None else size
    if low < 0 or high >= points:
        raise InputError(f"expected points 0 to {points - 1} in the groups; got {low} to {high}")
    if len(order.unique()) < len(order):
        twice = int(order.mode().values)
        raise InputError(f"expected groups that do not overlap; got point {twice} in two places")
    if len(order) < points:
        seen = torch.zeros(points, dtype=torch.bool)
        seen[order] = True
        missing = int((~seen).nonzero()[0])
        raise InputError(f"expected groups that cover all {points} points; got point {missing} in none")
    return Lists(order, torch.tensor([len(group) for group in groups]))


def _is_nested(index: Any) -> bool:
    """Return whether `index` is a sequence of indices rather than one of numbers."""
    if isinstance(index, Tensor) or not isinstance(index, Sequence) or isinstance(index, str):
        return False
    return len(index) > 0 and getattr(index[0], "ndim", hasattr(index[0], "__len__")) > 0


def _whole_numbers(index: Any, what: str) -> Tensor:
    """Return an index as int64 [n] on the CPU."""
    try:
        tensor = torch.as_tensor(index)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"expected {what} as integers [n]; got {type(index).__name__}: {error}") from error
    if tensor.dim() == 1 and tensor.numel() == 0:
        return tensor.to(torch.int64)
    wrong = tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool
    if wrong or tensor.dim() != 1:
        raise InputError(f"expected {what} as integers [n]; got {tensor.dtype} {list(tensor.shape)}")
    return tensor.detach().to("cpu", torch.int64)
