"""Fields whose solids are known exactly: octahedra out of ReLU layers."""

from __future__ import annotations

import torch

import fastsnf


def octahedron(radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> fastsnf.SNF:
    """Return a field of 1/2 + `radius` - |x - `centre`|_1: at least 1/2 within that distance of it."""
    field = fastsnf.SNF(3, 1, hidden_features=6, hidden_layers=0, activation="relu")
    first, last = field.linears()
    with torch.no_grad():
        first.weight.copy_(torch.cat([torch.eye(3), -torch.eye(3)]))
        first.bias.copy_(torch.cat([-torch.tensor(centre), torch.tensor(centre)]))
        last.weight.fill_(-1.0)
        last.bias.fill_(0.5 + radius)
    return field
