"""What the tests of every engine share: activations, random fields, odd shapes, hostile memory."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastsnf.spec import (
    Activation,
    FieldSpec,
    Finer,
    Gabor,
    Gaussian,
    RealGabor,
    ReLU,
    Sigmoid,
    Sinc,
    Sine,
    Tanh,
)

ACTIVATIONS: tuple[Activation, ...] = (
    Sine(30.0),
    Gaussian(10.0),
    Sinc(30.0),
    Gabor(20.0, 10.0),
    RealGabor(20.0, 10.0),
    Finer(30.0),
    ReLU(),
    Tanh(),
    Sigmoid(),
)
"""Every hidden activation with its usual parameters."""

REAL_ACTIVATIONS = tuple(act for act in ACTIVATIONS if not act.is_complex)
SMOOTH_ACTIVATIONS = tuple(act for act in ACTIVATIONS if not isinstance(act, ReLU | Finer))
"""Those whose value is what its derivatives are of (FINER's are of a part of it) and that have no kink."""


class Shape(NamedTuple):
    """A field's sizes: N points, D coordinates, F features, L hidden layers after the first, C channels."""

    N: int
    D: int
    F: int
    L: int
    C: int

    @property
    def widths(self) -> list[int]:
        """``[D, F, ..., F, C]``: the sizes between which the L + 2 linear layers lie."""
        return [self.D, *[self.F] * (self.L + 1), self.C]


SHAPES: tuple[Shape, ...] = (
    Shape(N=1, D=1, F=1, L=0, C=1),
    Shape(N=5, D=2, F=3, L=1, C=3),
    Shape(N=17, D=3, F=16, L=2, C=1),
    Shape(N=63, D=2, F=31, L=3, C=4),
    Shape(N=130, D=2, F=100, L=1, C=3),
    Shape(N=257, D=2, F=181, L=1, C=2),
    Shape(N=33, D=512, F=15, L=0, C=64),
    Shape(N=20, D=1, F=513, L=1, C=1),
)
"""Odd, prime, one more and one less than the vector widths, and the extremes."""


def count(full: int) -> int:
    """Return how many cases to run: `full` with ``pytest --all`` or FASTSNF_TEST_ALL=1, a tenth otherwise."""
    return full if os.environ.get("FASTSNF_TEST_ALL") == "1" else max(1, full // 10)


def name(act: Activation) -> str:
    """Return the name of an activation, for ``ids=``."""
    return act.name


def generator(seed: int = 0) -> torch.Generator:
    """Return a seeded CPU generator."""
    return torch.Generator().manual_seed(seed)


def random_shapes(number: int, gen: torch.Generator) -> list[Shape]:
    """Return `number` shapes with widths 1...513, small ones more often so that the work stays small."""

    def draw(low: int, high: int) -> int:
        """Return an integer in [low, high], uniform in its logarithm."""
        u = float(torch.rand((), generator=gen, dtype=torch.float64))
        return min(high, int(low * ((high + 1) / low) ** u))

    return [Shape(draw(1, 300), draw(1, 16), draw(1, 513), draw(1, 4) - 1, draw(1, 8)) for _ in range(number)]


def random_field(
    spec: FieldSpec,
    widths: Sequence[int],
    bias: bool | Sequence[bool] = True,
    dtype: torch.dtype = torch.float32,
    gen: torch.Generator | None = None,
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Return ``(weights, biases)`` for `widths` [D, ..., C], in the range where the activations are alive.

    SIREN's bounds with each activation's own steepness in place of omega; `bias` is one flag or one a layer.
    Drawn in float64 and rounded, so that one seed gives the same field in every dtype.
    """
    if len(widths) != spec.layers + 1:
        raise ValueError(f"expected {spec.layers + 1} widths; got {len(widths)}")
    has_bias = [bias] * spec.layers if isinstance(bias, bool) else list(bias)
    weights: list[Tensor] = []
    biases: list[Tensor | None] = []
    for layer, act in enumerate(spec.activations):
        fan_in, fan_out = widths[layer], widths[layer + 1]
        w_bound = math.sqrt(6.0 / fan_in) / steepness(act)
        if layer == 0 and isinstance(act, Sine | Sinc | Finer):
            w_bound = 1.0 / fan_in  # SIREN's first layer: phases of some omega radians
        is_complex = spec.complex_weights(layer)
        weights.append(_uniform((fan_out, fan_in), w_bound, is_complex, dtype, gen))
        biases.append(
            _uniform((fan_out,), 1.0 / steepness(act), is_complex, dtype, gen) if has_bias[layer] else None
        )
    return weights, biases


def steepness(act: Activation) -> float:
    """Return the larger of omega and scale, 1 without either: what the pre-activation is multiplied by."""
    return max(getattr(act, "omega", 0.0), getattr(act, "scale", 0.0)) or 1.0


def random_points(
    *shape: int, dtype: torch.dtype = torch.float32, gen: torch.Generator | None = None
) -> Tensor:
    """Return coordinates in [-1, 1]."""
    return (2.0 * torch.rand(shape, generator=gen, dtype=torch.float64) - 1.0).to(dtype)


def random_cotangent(like: Tensor, gen: torch.Generator | None = None) -> Tensor:
    """Return normal entries shaped as `like`, complex where it is."""
    return torch.randn(like.shape, generator=gen, dtype=like.dtype)


def as_double(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return the same numbers in float64 or complex128, detached."""
    return [
        None if t is None else t.detach().to(_real_or_complex(t.is_complex(), torch.float64)) for t in tensors
    ]


def leaves(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return copies that require grad."""
    return [None if t is None else t.detach().clone().requires_grad_() for t in tensors]


def nan_filled(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a buffer in which an entry that nobody wrote is NaN."""
    return torch.full(shape, float("nan"), dtype=dtype)


def strided(tensor: Tensor) -> Tensor:
    """Return the same values as every second entry of rows of NaN: no dimension is dense."""
    buffer = nan_filled(*tensor.shape[:-1], 2 * tensor.shape[-1], dtype=tensor.dtype)
    view = buffer[..., ::2]
    view.copy_(tensor)
    return view


def transposed(tensor: Tensor) -> Tensor:
    """Return the same values with the last two dimensions stored the other way round."""
    return tensor.transpose(-1, -2).contiguous().transpose(-1, -2)


def offset(tensor: Tensor) -> Tensor:
    """Return the same values one element into a NaN buffer: dense, and aligned to nothing."""
    buffer = nan_filled(tensor.numel() + 1, dtype=tensor.dtype)
    view = buffer[1:].view(tensor.shape)
    view.copy_(tensor)
    return view


def _uniform(
    shape: tuple[int, ...], bound: float, is_complex: bool, dtype: torch.dtype, gen: torch.Generator | None
) -> Tensor:
    """Return U(-bound, bound), in both parts divided by sqrt(2) where complex."""
    parts = (
        2.0 * torch.rand((2 if is_complex else 1, *shape), generator=gen, dtype=torch.float64) - 1.0
    ) * bound
    draw = torch.complex(parts[0], parts[1]) / math.sqrt(2.0) if is_complex else parts[0]
    return draw.to(_real_or_complex(is_complex, dtype))


def _real_or_complex(is_complex: bool, dtype: torch.dtype) -> torch.dtype:
    """Return the complex partner of a real `dtype`, or `dtype` itself."""
    return dtype.to_complex() if is_complex else dtype
