"""Naming an unknown elementwise function: which activation, with which omega and scale, it is.

The function is probed with chosen pre-activations and compared with candidates. Their parameters come from
the numbers that the module holds, under whatever names, or are read off the function near 0 when it holds
none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from fastsnf import ops
from fastsnf.spec import (
    Activation,
    Finer,
    Gabor,
    Gaussian,
    Identity,
    RealGabor,
    ReLU,
    Sigmoid,
    Sinc,
    Sine,
    Tanh,
)

Function = Callable[[Tensor], Tensor]

TOLERANCE = 1e-8
"""Relative and absolute difference, in float64, under which two activations are the same one."""

_SMALLEST = 1e-9
"""Omegas and scales are taken to lie between this and its inverse."""

_POINTS = (0.0, 1e-3, 0.01, 0.03, 0.07, 0.11, 0.2, 0.3, 0.5, 0.7, 1.0, 1.3, 1.9, 2.9, 4.1, 7.3, 25.0, 300.0)
"""Where functions are compared, on both signs: near 0 for large omegas, far out for clipped functions."""


def identify(function: Function, values: Iterable[float], *, complex_input: bool) -> Activation | None:
    """Return the activation that `function` is, None when it is none of them.

    A sinc that is written as a quotient may be NaN at 0, where the activation has the limit.

    Args:
        function: pre-activations [M] in float64 or complex128 to activations [M].
        values: numbers that may be its omega or scale.
        complex_input: whether pre-activations are complex.
    """
    grid = _grid(complex_input)
    wanted = function(grid)
    given = _candidates([v for v in values if _SMALLEST < v < 1.0 / _SMALLEST])
    complex_only = (c for c in given if c.is_complex or c == Identity())
    for candidate in complex_only if complex_input else itertools.chain(given, _estimates(function)):
        got = ops.activate(grid, activation=candidate)
        if got.dtype != wanted.dtype:
            continue
        if isinstance(candidate, Sinc):
            got = torch.where(wanted.isnan() & (grid == 0.0), wanted, got)
        if torch.allclose(got, wanted, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            return candidate
    return None


def numbers(module: nn.Module) -> list[float]:
    """Return the positive numbers that `module` and its parts hold, as attributes, parameters or buffers."""
    found: dict[float, None] = {}
    for part in module.modules():
        held = [*vars(part).values(), *part.parameters(recurse=False), *part.buffers(recurse=False)]
        for value in held:
            if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
                value = value.item()
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
                found[float(value)] = None
    return list(found)


def _grid(complex_input: bool) -> Tensor:
    points = torch.tensor([*(-p for p in reversed(_POINTS)), *_POINTS], dtype=torch.float64)
    if not complex_input:
        return points
    near = points[points.abs() <= 1.0]  # a Gabor activation of 20/10 has overflowed at 25 i
    return torch.complex(*torch.meshgrid(near, near, indexing="ij")).flatten()


def _candidates(values: list[float]) -> Iterator[Activation]:
    """Yield the activations whose parameters are among `values`, in the forms that papers write."""
    yield from (Identity(), ReLU(), Tanh(), Sigmoid())
    for v in values:
        yield from (Sine(v), Gaussian(v), Sinc(v), Finer(v))
        yield from (Gaussian.from_sigma(v), Gaussian(1.0 / v), Sinc.from_pi(v), Sinc.unnormalized(v))
    for omega, scale in itertools.product(values, repeat=2):
        yield from (Gabor(omega, scale), RealGabor(omega, scale), Sinc(omega, amplitude=scale))


def _estimates(function: Function) -> Iterator[Activation]:
    """Yield activations of one hard-coded parameter, solved from the values of `function` near 0."""
    h_odd, h_even = 1e-4, 1e-2
    values = function(torch.tensor([h_odd, h_even], dtype=torch.float64))
    if values.is_complex():
        return
    odd, even = values.tolist()
    guesses: list[tuple[Callable[[float], Activation], float]] = []
    if 0.0 < odd < 1.0:
        phase = math.asin(odd)
        square = 6.0 * (1.0 - odd)  # sin(v)/v = 1 - v^2/6 + v^4/120 - ... gives v^2 = y + y^2/20 + ...
        guesses += [(Sine, phase / h_odd), (Finer, phase / (h_odd * (1.0 + h_odd)))]
        guesses += [(Sinc, math.sqrt(square * (1.0 + square / 20.0)) / h_odd)]
    if 0.0 < odd * h_odd < 1.0:
        guesses += [(Sinc.unnormalized, math.asin(odd * h_odd) / h_odd)]
    if 0.0 < even < 1.0:
        guesses += [(Gaussian, math.sqrt(-math.log(even)) / h_even)]
    for activation, guess in guesses:
        yield activation(float(f"{guess:.6g}"))  # 30 and not 29.9999999998 where 30 was typed
        yield activation(guess)
