"""The rule of thumb for alpha: from the resolution of the signal and the depth of the field.

With weight scaling by alpha, a wide sine field of L hidden layers after the first has pre-activations in its
last hidden layer whose slope along an axis of [-1, 1]^D is

    S(alpha) = omega_0 alpha^(L + 1) / (D sqrt(3))      radians per unit, root mean square:

the first layer's weights U(+-alpha / D) give omega_0 alpha / (D sqrt(3)), and each further layer multiplies
by ``omega sqrt(fan_in Var(W) E cos^2) = alpha``, its cosines being spread evenly. The signal's fastest
change that n points of an axis resolve is the Nyquist frequency, pi (n - 1) / 2 radians per unit. A field
whose slopes reach a share c of it starts with the details of the signal within reach:

    alpha = max(1, (c pi (n - 1) / 2 * D sqrt(3) / omega_0)^(1 / (L + 1))).

It grows with the resolution, falls with the depth and does not know the width: the signs of the
weight-scaling paper's Fig. 6, whose numbers are not printed. c is the paper's own for each kind of signal:
the one that its grid search implies (Table 2). It is a place to start a search, not its result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastsnf.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastsnf.nn import Field


@dataclass(frozen=True)
class Tuned:
    """A grid search of the paper: its alpha, points along an axis, axes D, hidden layers L, first omega."""

    alpha: float
    points: int
    axes: int
    hidden_layers: int
    first_omega: float

    @property
    def share(self) -> float:
        """c: the slope that this alpha gives over the Nyquist frequency."""
        return slope(self.alpha, self.axes, self.hidden_layers, self.first_omega) / nyquist(self.points)


TABLE_2 = {
    "image": Tuned(2.37, 512, 2, 3, 30.0),
    "occupancy": Tuned(3.7, 512, 3, 3, 10.0),
    "audio": Tuned(2.0, 308_207, 1, 3, 3000.0),
}
"""Table 2 of the weight-scaling paper with Sec. 5.1's sizes: five linear layers, 512^2 pixels, 512^3 voxels,
the 7 s of the released recording. Its sphere has no printed resolution; other kinds take the image's c."""


def slope(alpha: float, axes: int, hidden_layers: int, first_omega: float) -> float:
    """Return S(alpha), radians per unit of a coordinate; see the head of this module."""
    return first_omega * alpha ** (hidden_layers + 1) / (axes * math.sqrt(3.0))


def nyquist(points: int) -> float:
    """Return the highest frequency of `points` points over [-1, 1], both ends included, radians per unit."""
    return math.pi * (points - 1) / 2.0


def rule_of_thumb(
    *,
    points_per_axis: int,
    axes: int,
    hidden_layers: int,
    first_omega: float = 30.0,
    kind: str = "image",
) -> float:
    """Return the alpha that the module's formula gives, 1 or more (the paper's range, Eq. 5).

    Args:
        points_per_axis: n, of the points that are trained on; the finest axis.
        axes: D.
        hidden_layers: L, after the first.
        first_omega: omega_0.
        kind: of `TABLE_2`, for its share of the Nyquist frequency; another kind takes the image's.

    >>> round(rule_of_thumb(points_per_axis=512, axes=2, hidden_layers=3), 2)
    2.37

    Raises:
        InputError: for sizes below 1 or an omega that is not above 0.
    """
    sizes = (points_per_axis, axes, hidden_layers + 1)
    if not all(1 <= size < math.inf for size in sizes) or not 0 < first_omega < math.inf:
        raise InputError(
            "expected points_per_axis and axes of at least 1, hidden_layers of at least 0 and first_omega "
            f"above 0; got {points_per_axis}, {axes}, {hidden_layers} and {first_omega}"
        )
    share = TABLE_2.get(kind, TABLE_2["image"]).share
    wanted = share * nyquist(points_per_axis) * axes * math.sqrt(3.0) / first_omega
    return float(max(1.0, wanted ** (1.0 / (hidden_layers + 1))))


def training_grid(shape: Sequence[int], holdout: int | None) -> list[int]:
    """Return the grid of the points that are trained on: every `holdout`-th of each axis, None for all.

    >>> training_grid((512, 511), 2)
    [256, 256]
    """
    return [-(-size // (holdout or 1)) for size in shape]


def rule_for(field: Field, shape: Sequence[int], kind: str = "image") -> float | None:
    """Return the rule of thumb for a field on a grid of training points, None where it does not apply.

    Args:
        field: of sine or FINER layers, on the coordinates themselves; any other has no alpha or another
            frequency scale.
        shape: the grid of the points that are trained on.
        kind: as `rule_of_thumb`.
    """
    from fastsnf.nn import LayeredField
    from fastsnf.nn.init.weight_scaling import takes_weight_scaling

    if not isinstance(field, LayeredField) or field.encoding is not None:
        return None
    if not takes_weight_scaling(field.spec):
        return None
    return rule_of_thumb(
        points_per_axis=max(shape),
        axes=field.in_features,
        hidden_layers=max(0, field.spec.layers - 2),
        first_omega=field.spec.activations[0].omega,  # type: ignore[attr-defined]  # it takes weight scaling
        kind=kind,
    )
