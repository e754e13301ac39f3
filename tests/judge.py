"""The gate of every fused engine: its error against float64 is at most twice that of eager float32.

Eager's own error is a matter of luck where a tensor has few entries: the roundings of one evaluation may
cancel. A neighbour of a field, every number of it moved by some units in the last place, is conditioned alike
and rounds afresh, so eager's error is the largest over a few neighbours, each against its own exact result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastsnf import reference
from fastsnf.spec import FieldSpec
from tests import cases
from tests.tolerances import RATIO, bound, error, largest

NEIGHBOURS = 16
"""Evaluations of eager at most; more than one only while a result is outside of twice eager's so far."""

NUDGE = 2.0**-17
"""Relative size of the step to a neighbour: 64 units in the last place of float32, little in any phase."""


class Result(NamedTuple):
    """What is judged: scalars, tensors with one row a point, and gradients shaped as the parameters."""

    scalars: list[Tensor]
    rows: list[Tensor]
    weights: list[Tensor]
    biases: list[Tensor | None]

    def named(self) -> dict[str, Tensor]:
        """Return every tensor with a name for messages."""
        parts = {
            "rows": self.rows,
            "scalars": self.scalars,
            "d_weights": self.weights,
            "d_biases": self.biases,
        }
        return {f"{k}[{i}]": t for k, part in parts.items() for i, t in enumerate(part) if t is not None}


Run = Callable[[Sequence[Tensor], list[Tensor], list[Tensor | None]], Result]
"""``run(rows, weights, biases)``: `rows` are the points `x` [N, D] and what else has one row a point."""


def field_run(
    spec: FieldSpec, forward: Callable[[Tensor, list[Tensor], list[Tensor | None]], Tensor] | None = None
) -> Run:
    """Return the run of (x, d_out) that gives out, d_x and the gradients by autograd of `forward`.

    By default that of the reference: in float32 it is eager PyTorch, in float64 the exact result.
    """

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, d_out = rows
        (x,), w, b = cases.leaves([x]), cases.leaves(weights), cases.leaves(biases)
        out = forward(x, w, b) if forward else reference.forward(x, w, b, spec)
        given = [t for t in b if t is not None]
        d_x, *rest = torch.autograd.grad(out, [x, *w, *given], d_out)
        d_biases = iter(rest[len(w) :])
        return Result(
            [out.detach(), d_x], [], rest[: len(w)], [None if t is None else next(d_biases) for t in b]
        )

    return run


def mse_run(spec: FieldSpec, value_and_grad: Callable[..., Sequence] | None = None) -> Run:
    """Return the run of (x, target, sample_weight) that gives the loss and the gradients.

    `value_and_grad` takes (x, target, weights, biases, sample_weight); by default it is the reference's.
    """

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, target, weight = rows
        if value_and_grad:
            loss, d_weights, d_biases = value_and_grad(x, target, weights, biases, weight)
        else:
            loss, d_weights, d_biases = reference.mse_value_and_grad(x, target, weights, biases, spec, weight)
        return Result([loss], [], d_weights, d_biases)

    return run


def judge(
    ours: Run,
    eager: Run,
    rows: Sequence[Tensor],
    weights: list[Tensor],
    biases: list[Tensor | None],
    ratio: float = RATIO,
) -> list[float]:
    """Assert that `ours` is as good as `eager` (run in float32 and, for the exact result, in float64).

    Returns the error of each tensor over that of eager itself, for statistics over many cases.
    """
    found = ours(rows, weights, biases).named()
    exact, first = evaluate(eager, rows, weights, biases)
    assert list(found) == list(exact)
    allowed = {name: bound(first[name], exact[name], ratio) for name in found}
    gen = cases.generator(len(rows[0]))
    for _ in range(NEIGHBOURS - 1):
        if not failures(found, exact, allowed):
            break
        near = [[nudged(t, gen) for t in tensors] for tensors in (rows, weights, biases)]
        near_exact, near_eager = evaluate(eager, *near)
        for name in found:
            allowed[name] = max(allowed[name], bound(near_eager[name], near_exact[name], ratio))
    wrong = failures(found, exact, allowed)
    assert not wrong, "\n".join(wrong)
    eager_errors = {name: error(first[name], exact[name]) for name in found}
    return [error(found[name], exact[name]) / own for name, own in eager_errors.items() if own > 0]


def evaluate(
    eager: Run, rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the exact and the eager result by name."""
    doubles = [cases.as_double(tensors) for tensors in (rows, weights, biases)]
    return eager(*doubles).named(), eager(rows, weights, biases).named()


def nudged(tensor: Tensor | None, gen: torch.Generator) -> Tensor | None:
    """Return a neighbour of `tensor`; 0 and NaN stay."""
    return None if tensor is None else tensor * (1.0 + NUDGE * cases.random_cotangent(tensor.real, gen))


def failures(found: dict[str, Tensor], exact: dict[str, Tensor], allowed: dict[str, float]) -> list[str]:
    """Return a line for every tensor that is further from `exact` than allowed."""
    return [
        f"{name} {tuple(value.shape)}: error {error(value, exact[name]):.3e}, allowed {allowed[name]:.3e}, "
        f"largest entry {largest(exact[name]):.3e}"
        for name, value in found.items()
        if not error(value, exact[name]) <= allowed[name]
    ]
