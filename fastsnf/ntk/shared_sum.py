"""The eNTK that IGA's released image code computes: of sums of gradients, not of single points.

Its indexing ``a[:, max_indices, :]`` takes, for every group, the points at the offsets of ALL groups' largest
residuals, each as often as groups have it (github.com/LabShuHangGU/IGA-INR, image_fitting/fitting.py). With
m_k groups having their largest residual at offset k, and s the outputs' sum over sqrt(C),

    J_j = sum_k m_k ds(x_jk)/dparameters,      K = J J^T.

No identity spares these sums: a layer's J is a sum of outer products D A^T over the group's points.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fastsnf import ops
from fastsnf.nn import LayeredField
from fastsnf.nn.plain import is_plain
from fastsnf.ntk.groups import Members
from fastsnf.ntk.module import underlying
from fastsnf.ntk.size import check_fits
from fastsnf.ops.exact import full_float32

CHUNK_POINTS = 1 << 14
"""Points traced at once."""

MOST_NUMBERS = 1 << 28
"""Numbers of J held at once; more layers than that are done in turns."""


def shared_sum_gram(
    field: nn.Module, x: Tensor, members: Members, offsets: Tensor, w: Tensor | None = None
) -> Tensor:
    """Return K [n, n] of the trainable parameters.

    Args:
        field: the network.
        x: arranged points [M, D] in n groups.
        members: how they lie.
        offsets: [n], the offset of each group's largest residual.
        w: weights [M]; a point of weight 0, and one that a group does not have, adds nothing.

    Raises:
        InputError: when the matrix does not fit in memory, and for a module that `empirical_ntk` refuses.
    """
    layout = members.layout
    if not is_plain(field):
        underlying(field)  # batch normalisation: no group has a gradient of its own
    check_fits(field, layout.groups)
    often = torch.zeros(layout.offsets, dtype=x.dtype, device=x.device)
    often.index_add_(0, offsets, torch.ones_like(offsets, dtype=x.dtype))
    used = often.nonzero().squeeze(1)
    groups = torch.arange(layout.groups, device=x.device)
    slots = groups[:, None] + used * layout.groups  # [n, U]
    times = often[used].expand_as(slots)
    if layout.slots is None:
        rows = slots
    else:
        rows = torch.searchsorted(layout.slots, slots).clamp(max=len(layout.slots) - 1)
        times = times * (layout.slots[rows] == slots)
    if w is not None:
        times = times * (w[rows] != 0)
    with full_float32(x):
        if is_plain(field):
            return _by_layers(field, x, rows, times)
        return _by_autograd(field, x, rows, times)


def _by_layers(field: LayeredField, x: Tensor, rows: Tensor, times: Tensor) -> Tensor:
    """Return K of a field's layers; rows and times are [n, U]."""
    weights, biases = field.layer_tensors()
    trained = [*zip(*field.layer_parameters(), strict=True)]
    gram = x.new_zeros(len(rows), len(rows))
    channels = weights[-1].shape[0]
    step = max(1, CHUNK_POINTS // rows.shape[1])
    for layers in _turns([len(rows) * w.numel() for w in weights]):
        jacobians: dict[int, list[Tensor]] = {layer: [] for layer in layers}
        for chunk, often in zip(rows.split(step), times.split(step), strict=True):
            points = field.encode(x[chunk.reshape(-1)])
            d_out = (often.reshape(-1, 1) * channels**-0.5).expand(-1, channels)
            traced = ops.layer_trace(points, weights, biases, spec=field.spec, d_out=d_out)
            for layer in layers:
                a, d = (tensors[layer].reshape(*chunk.shape, -1) for tensors in traced)
                jacobians[layer].append(_sums(field.parameter_inputs(layer, a), d, *trained[layer]))
        for layer in layers:
            jacobian = torch.cat(jacobians.pop(layer))
            gram += (jacobian @ jacobian.mH).real
    return gram


def _sums(a: Tensor, d: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return a layer's summed gradients [g, P], of what is trainable, from A and D [g, U, fan]."""
    parts = [a.new_zeros(len(a), 0)]
    if weight.requires_grad:
        parts.append((d.mT @ a).flatten(start_dim=1))
    if bias is not None and bias.requires_grad:
        parts.append(d.sum(dim=1))
    return torch.cat(parts, dim=1)


def _by_autograd(field: nn.Module, x: Tensor, rows: Tensor, times: Tensor) -> Tensor:
    """Return K of any field, one group's gradient after another."""
    parameters = [p for p in field.parameters() if p.requires_grad]
    jacobian = []
    for chunk, often in zip(rows, times, strict=True):
        with torch.enable_grad():
            out = field(x[chunk])
            out = out[0] if isinstance(out, tuple) else out
            scalar = (often[:, None] * out).sum() * out.shape[-1] ** -0.5
            grads = torch.autograd.grad(scalar, parameters, allow_unused=True)
        parts = [torch.view_as_real(g) if g.is_complex() else g for g in grads if g is not None]
        jacobian.append(torch.cat([part.detach().reshape(-1) for part in parts]))
    j = torch.stack(jacobian)
    return j @ j.mT


def _turns(numbers: list[int]) -> Iterator[list[int]]:
    """Yield layers together as long as their numbers fit."""
    layers: list[int] = []
    held = 0
    for layer, count in enumerate(numbers):
        if layers and held + count > MOST_NUMBERS:
            yield layers
            layers, held = [], 0
        layers.append(layer)
        held += count
    yield layers
