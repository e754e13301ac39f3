"""The two-layer ReLU net whose NTK has a closed form, and gradient descent on adjusted residuals of it.

``f(x) = (1 / sqrt(m)) sum_r a_r relu((w_r . x + b_r) / sqrt(2))`` on the unit circle, where only w and b are
trained. With w normal and b = 0 at the start,  K(x, x') = (x . x' + 1) (pi - arccos(x . x')) / (4 pi).

Source: Ronen et al. 2019, Sec. 3, with the bias that IGA's Experiment 1 adds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fastsnf import ops
from fastsnf.nn import LayeredField
from fastsnf.nn.linear import Device
from fastsnf.ntk.coefficients import adjustment_of
from fastsnf.ntk.empirical import empirical_ntk
from fastsnf.ntk.groups import Groups, Members
from fastsnf.ntk.spectrum import leading
from fastsnf.spec import FieldSpec, Identity, ReLU

FREQUENCIES = (0.2, 0.4, 0.8, 1.6)
"""Of the target, in periods for each unit of the angle."""


def circle(points: int) -> tuple[Tensor, Tensor]:
    """Return x [N, 2] on the unit circle and the target [N, 1] of Eq. 8, angles from 0 to 2 pi inclusive."""
    theta = torch.linspace(0.0, 2.0 * math.pi, points, dtype=torch.float64)
    target = sum(torch.sin(2.0 * math.pi * k * theta) for k in FREQUENCIES)
    x = torch.stack([theta.cos(), theta.sin()], dim=1)
    assert isinstance(target, Tensor)
    return x.float(), target.unsqueeze(1).float()


def two_layer_field(width: int, generator: torch.Generator, device: Device = None) -> LayeredField:
    """Return the net as a field: w ~ N(0, 1), b = 0, and a frozen head of +-1 / sqrt(2 m).

    A factor before a ReLU may as well come after it, so that the head holds both constants.
    """
    first, head = nn.utils.skip_init(nn.Linear, 2, width), nn.utils.skip_init(nn.Linear, width, 1, bias=False)
    with torch.no_grad():
        first.weight.normal_(generator=generator)
        first.bias.zero_()
        signs = torch.randint(0, 2, (1, width), generator=generator) * 2 - 1
        head.weight.copy_(signs / math.sqrt(2.0 * width))
    head.weight.requires_grad_(False)
    return LayeredField(FieldSpec((ReLU(), Identity())), [first, head]).to(device)


def closed_form_ntk(x: Tensor) -> Tensor:
    """Return the NTK [N, N] of the infinitely wide net at unit vectors x [N, 2], in float64."""
    cosine = (x.double() @ x.double().T).clamp(-1.0, 1.0)
    return (cosine + 1.0) * (math.pi - torch.acos(cosine)) / (4.0 * math.pi)


@dataclass(frozen=True)
class Descent:
    """Gradient descent on residuals that S adjusts.

    Attributes:
        method: ``I``, ``S``, ``S~`` or ``S~e``.
        end: eigenvalues 1 .. end - 1, counted from 0, become lambda_0 (the form for plain gradient descent).
        group: points of a group for ``S~e``, whose middle point stands for it.
        lr: learning rate of the mean squared error. refresh: steps between two adjustments.
    """

    method: str
    end: int
    group: int
    lr: float
    refresh: int = 1

    def run(
        self, field: LayeredField, x: Tensor, y: Tensor, steps: int, observe: Callable[[int, Tensor], None]
    ) -> None:
        """Train `field` in place at x [N, 2], y [N, 1].

        Args:
            field: of `two_layer_field`. x, y: all points.
            steps: how many.
            observe: told the steps done and the loss before the last of them, 0-d.
        """
        members = Groups.runs(len(x), self.group if self.method == "S~e" else 1).members()
        order = members.points.to(x.device)
        x, y = x[order], y[order]
        adjustment: ops.Adjustment | None = None
        (weight, *_), (bias, *_) = weights, biases = field.layer_tensors()
        assert bias is not None
        start: Tensor | None = None
        for step in range(steps):
            if self.method != "I" and (adjustment is None or self._due(step)):
                adjustment, start = self._adjustment(field, x, members, start)
            with torch.no_grad():
                if adjustment is None:
                    loss, d_weights, d_biases = ops.mse_value_and_grad(x, y, weights, biases, spec=field.spec)
                else:
                    loss, d_weights, d_biases, _ = ops.adjusted_mse_value_and_grad(
                        x, y, weights, biases, spec=field.spec, adjustment=adjustment
                    )
                d_bias = d_biases[0]
                assert d_bias is not None
                weight -= self.lr * d_weights[0]
                bias -= self.lr * d_bias
            observe(step + 1, loss)

    def _due(self, step: int) -> bool:
        return self.method != "S" and step % self.refresh == 0

    def _adjustment(
        self, field: LayeredField, x: Tensor, members: Members, start: Tensor | None
    ) -> tuple[ops.Adjustment, Tensor | None]:
        """Return S at the current weights, and where the next search of eigenpairs may start."""
        layout = members.layout
        if self.method == "S":
            gram = closed_form_ntk(x)
        else:
            middle = layout.offsets // 2 * layout.groups  # row of the first group's middle point
            gram = empirical_ntk(field, x[middle : middle + layout.groups])
        pairs = leading(gram, self.end, start=start)
        vectors, coefficients = adjustment_of(pairs, 0, self.end, 0)
        return ops.Adjustment(layout, vectors.to(x.dtype), coefficients.to(x.dtype)), pairs.basis
