"""The gate of every fused engine: its error against float64 is at most twice that of eager float32.

Eager's own error depends on the order in which it adds: on a handful of numbers one order may hit the exact
result by luck. The same field with its points and hidden units in another order is the same function and as
good an eager evaluation, so eager's error is the largest over a few of those.
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

ORDERS = 16
"""Orders of eager at most; more are drawn only while the result stands outside of twice what eager has shown.
Of 3,800 tensors eager itself fails against one other order 36 times, against eight once."""


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


class Order(NamedTuple):
    """A permutation of the points and of the units of every hidden layer."""

    points: Tensor
    units: list[Tensor]
    """One index per boundary between layers; the coordinates and the channels stay."""

    @classmethod
    def random(cls, points: int, weights: Sequence[Tensor], gen: torch.Generator) -> Order:
        hidden = [torch.randperm(w.shape[0], generator=gen) for w in weights[:-1]]
        ends = torch.arange(weights[0].shape[1]), torch.arange(weights[-1].shape[0])
        return cls(torch.randperm(points, generator=gen), [ends[0], *hidden, ends[1]])

    def inverse(self) -> Order:
        return Order(self.points.argsort(), [unit.argsort() for unit in self.units])

    def apply(
        self, rows: Sequence[Tensor], weights: Sequence[Tensor], biases: Sequence[Tensor | None]
    ) -> tuple:
        """Return the reordered ``(rows, weights, biases)``; also for their gradients."""
        u = self.units
        moved = [w[u[layer + 1]][:, u[layer]] for layer, w in enumerate(weights)]
        shifts = [None if b is None else b[u[layer + 1]] for layer, b in enumerate(biases)]
        return [row[self.points] for row in rows], moved, shifts


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

    Returns the error of each tensor over that of eager's first order, for statistics over many cases.
    """
    found = ours(rows, weights, biases).named()
    exact = eager(cases.as_double(rows), cases.as_double(weights), cases.as_double(biases)).named()
    first = eager(rows, weights, biases).named()
    assert list(found) == list(exact)
    shown = [first]
    gen = cases.generator(len(rows[0]))
    while failures(found, shown, exact, ratio) and len(shown) < ORDERS:
        order = Order.random(len(rows[0]), weights, gen)
        back = order.inverse()
        moved = eager(*order.apply(rows, weights, biases))
        shown.append(Result(moved.scalars, *back.apply(moved.rows, moved.weights, moved.biases)).named())
    wrong = failures(found, shown, exact, ratio)
    assert not wrong, "\n".join(wrong)
    return [
        error(found[k], exact[k]) / error(first[k], exact[k]) for k in found if error(first[k], exact[k]) > 0
    ]


def failures(
    found: dict[str, Tensor], shown: list[dict[str, Tensor]], exact: dict[str, Tensor], ratio: float
) -> list[str]:
    """Return a line for every tensor that is further from `exact` than all that eager has shown allows."""
    lines = []
    for name, value in found.items():
        allowed = max(bound(one[name], exact[name], ratio) for one in shown)
        if not error(value, exact[name]) <= allowed:
            lines.append(
                f"{name} {tuple(value.shape)}: error {error(value, exact[name]):.3e}, allowed {allowed:.3e} "
                f"from {len(shown)} orders of eager, largest entry {largest(exact[name]):.3e}"
            )
    return lines
