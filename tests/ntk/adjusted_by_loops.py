"""Inductive gradient adjustment in float64, with S as a matrix and loops over points: what is judged against.

Nothing of `fastsnf.ntk` is used but the partition that it is given.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from fastsnf.nn import Field
from fastsnf.ntk.config import IGA
from fastsnf.ntk.groups import Groups

Places = list[dict[int, int]]
"""Of every group, the point at each offset that it has."""


class Update(NamedTuple):
    """The loss, the gradient of every parameter (a complex one as it is), and the points that K is of."""

    loss: Tensor
    grads: list[Tensor]
    chosen: list[int]


def places_of(groups: Groups) -> Places:
    """Return which point is where."""
    members = groups.members()
    found: Places = [{} for _ in range(groups.count)]
    slots = members.layout.slots
    every = range(groups.size) if slots is None else slots.tolist()
    for slot, point in zip(every, members.points.tolist(), strict=True):
        found[slot % groups.count][slot // groups.count] = point
    return found


def exact_field(field: Field) -> Field:
    """Return a copy in float64."""
    return copy.deepcopy(field).to(torch.float64)


def outputs(field: Field, x: Tensor) -> Tensor:
    """Return the outputs [N, C] by the layers' modules."""
    out = field(x)
    return out[0] if isinstance(out, tuple) else out


def gradient(field: Field, scalar: Tensor) -> Tensor:
    """Return the gradient of a scalar as one vector; a complex parameter is two real ones."""
    params = [p for p in field.parameters() if p.requires_grad]
    grads = torch.autograd.grad(scalar, params, retain_graph=True)
    return torch.cat([(torch.view_as_real(g) if g.is_complex() else g).reshape(-1) for g in grads])


def kernel(field: Field, x: Tensor, points: list[list[int]]) -> Tensor:
    """Return K [n, n] of the sums of the outputs' sums over sqrt(C) at some points of each group."""
    out = outputs(field, x).sum(dim=1) / outputs(field, x).shape[1] ** 0.5
    rows = []
    for some in points:
        total = gradient(field, out[0] * 0.0)
        for point in some:
            total = total + gradient(field, out[point])
        rows.append(total)
    jacobian = torch.stack(rows)
    return jacobian @ jacobian.T


def matrix(gram: Tensor, iga: IGA, target: int) -> Tensor:
    """Return S by Eq. 5 and 6 as the released code means it: the rest of the spectrum keeps a factor of 1."""
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0), vectors.flip(1)
    s = torch.eye(len(gram), dtype=gram.dtype)
    for i in range(iga.start, iga.end):
        if values[i] <= 0:
            break
        s -= (1.0 - values[target] / values[i]) * torch.outer(vectors[:, i], vectors[:, i])
    return s


def center(place: dict[int, int], shape: tuple[int, ...], w: Tensor) -> int:
    """Return the point in the middle of a group, along each axis of an image."""
    points = [place[offset] for offset in sorted(place)]
    chosen = points[len(points) // 2]
    if len(shape) == 2:
        rows, columns = sorted({p // shape[1] for p in points}), sorted({p % shape[1] for p in points})
        chosen = rows[len(rows) // 2] * shape[1] + columns[len(columns) // 2]
    if w[chosen] == 0:
        points = [point for point in points if w[point] != 0] or points
        chosen = points[len(points) // 2]
    return chosen


def largest(place: dict[int, int], residual: Tensor, w: Tensor) -> int:
    """Return the point of the largest residual of a group."""
    points = [point for point in place.values() if w[point] != 0] or list(place.values())
    return max(points, key=lambda point: float(residual[point].abs().sum()))


def shared(places: Places, chosen: list[int], w: Tensor) -> list[list[int]]:
    """Return the points of the released code's ``a[:, max_indices, :]``, one that is not there left out."""
    offsets = [
        next(offset for offset, point in place.items() if point == one)
        for place, one in zip(places, chosen, strict=True)
    ]
    return [
        [place[offset] for offset in offsets if offset in place and w[place[offset]] != 0] for place in places
    ]


def update(
    field: Field,
    x: Tensor,
    y: Tensor,
    groups: Groups,
    iga: IGA,
    target: int,
    w: Tensor | None = None,
    chosen: list[int] | None = None,
) -> Update:
    """Return a step's gradients for points x [N, D], y [N, C] in their own order, all in float64.

    `chosen` are the points that K is of, where the settings do not say.
    """
    places = places_of(groups)
    w = torch.ones(len(x), dtype=x.dtype) if w is None else w
    y = torch.where(w[:, None] > 0, y, 0.0)
    out = outputs(field, x)
    residual = torch.sqrt(w)[:, None] * (out.detach() - y)
    if iga.sample == "center":
        chosen = [center(place, groups.shape, w) for place in places]
    elif iga.sample in ("argmax", "argmax_shared_sum"):
        chosen = [largest(place, residual, w) for place in places]
    assert chosen is not None
    points = shared(places, chosen, w) if iga.sample == "argmax_shared_sum" else [[one] for one in chosen]
    s = matrix(kernel(field, x, points), iga, target)
    changed = torch.zeros_like(residual)
    for j, place in enumerate(places):
        for offset, point in place.items():
            for i, other in enumerate(places):
                if offset in other:
                    changed[point] += s[j, i] * residual[other[offset]]
    norm = out.shape[1] * w.sum()
    surrogate = (2.0 * out * torch.sqrt(w)[:, None] * changed).sum() / norm
    params = [p for p in field.parameters() if p.requires_grad]
    loss = (w[:, None] * (out - y).square()).sum() / norm
    return Update(loss.detach(), list(torch.autograd.grad(surrogate, params)), chosen)
