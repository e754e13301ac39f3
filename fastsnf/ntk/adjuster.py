"""`Adjuster`: inductive gradient adjustment of one fit, step by step."""

from __future__ import annotations

import torch
from torch import Tensor

from fastsnf import ops
from fastsnf.nn import Field
from fastsnf.ntk.config import IGA
from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.ntk.groups import Groups, Members
from fastsnf.ntk.spectrum import leading


class Adjuster:
    """Adjusts the gradients of the MSE, step by step.

    Args:
        iga: the settings.
        groups: the partition of the points.
        optimizer: the name of the optimizer, which chooses the form where the settings leave it open.
        device: of the batches.
    """

    def __init__(
        self, iga: IGA, groups: Groups, *, optimizer: str = "adam", device: torch.device | str = "cpu"
    ) -> None:
        self.iga, self.groups = iga, groups
        self.failures = 0
        self._target, self._pairs = iga.target_of(optimizer), iga.pairs(optimizer)
        self._everything = groups.members()
        self._rows: Tensor | None = None

    def arrange(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return tensors [N, ...] of all points in the order in which the adjuster takes them."""
        return tuple(tensor[self._everything.points] for tensor in tensors)

    def value_and_grad(
        self, field: Field, x: Tensor, y: Tensor, w: Tensor | None = None, *, members: Members | None = None
    ) -> Tensor:
        """Fill in the adjusted gradients at arranged points x [M, D], y [M, C]; return the plain MSE, 0-d."""
        members = members or self._everything
        weights, biases = field.layer_tensors()
        adjustment = self.adjustment(field, x, members)
        loss, d_weights, d_biases, largest = ops.adjusted_mse_value_and_grad(
            x, y, weights, biases, spec=field.spec, adjustment=adjustment, sample_weight=w
        )
        self._rows = largest
        for tensors, gradients in ((weights, d_weights), (biases, d_biases)):
            for tensor, gradient in zip(tensors, gradients, strict=True):
                if tensor is not None and tensor.requires_grad:
                    tensor.grad = gradient
        return loss.detach()

    def adjustment(self, field: Field, x: Tensor, members: Members) -> ops.Adjustment:
        """Return S at the current weights."""
        layout = members.layout
        rows = self._rows
        if rows is None:
            rows = layout.offsets // 2 * layout.groups + torch.arange(layout.groups)
        values, vectors = leading(empirical_ntk(field, x[rows]), self._pairs)
        start, end = self.iga.start, self.iga.end
        coefficients = 1.0 - values[self._target] / values[start:end]
        return ops.Adjustment(layout, vectors[:, start:end], coefficients)
