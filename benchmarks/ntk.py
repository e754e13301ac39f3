"""The whole empirical NTK of a field, beside Jacobians by `torch.func` and the formula in eager PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from benchmarks import child, turns
from benchmarks.baselines import EagerField, activate
from benchmarks.cases import IN_FEATURES, OUT_FEATURES
from benchmarks.gate import Comparison, GateError, relative_error
from benchmarks.sides import EAGER, FASTSNF, Run
from fastsnf.nn import SNF
from fastsnf.ntk import empirical_ntk

SUITE = "ntk"
JACOBIANS = "torch.func"
SIDES = (FASTSNF, JACOBIANS, EAGER)
ROUNDS = 9


@dataclass(frozen=True)
class NtkCase:
    """The eNTK `[points, points]` of 2 inputs, `hidden_layers` + 2 linear layers of `width`, 3 outputs.

    `floor_ratio` is the least ratio of medians, Jacobians over fastsnf; None: reported, not bound.
    """

    points: int = 384
    width: int = 256
    hidden_layers: int = 2
    floor_ratio: float | None = 50.0

    @property
    def name(self) -> str:
        """The name of the case in records."""
        return f"ntk-{self.width}-{self.points}"

    @property
    def title(self) -> str:
        """What to say while it is measured."""
        return f"NTK of {self.points} points"

    @property
    def flops(self) -> int:
        """Useful FLOPs: both products of half a symmetric matrix, and a forward and a backward pass."""
        widths = [IN_FEATURES, *[self.width] * (self.hidden_layers + 1), OUT_FEATURES]
        pairs = list(pairwise(widths))
        return self.points**2 * sum(a + b for a, b in pairs) + 4 * self.points * sum(a * b for a, b in pairs)

    def scaled(self) -> NtkCase:
        """Return the case for a quick look, without a floor."""
        return replace(self, points=24, width=32, floor_ratio=None)


CASES = (NtkCase(),)


@dataclass(frozen=True)
class Problem:
    """A field and the points x `[n, 2]` of its NTK."""

    case: NtkCase
    field: SNF
    x: Tensor

    @classmethod
    def of(cls, case: NtkCase, seed: int = 0) -> Problem:
        """Return the problem of a case; the same seed gives the same weights and points."""
        generator = torch.Generator().manual_seed(seed)
        field = SNF(IN_FEATURES, OUT_FEATURES, case.width, case.hidden_layers, generator=generator)
        return cls(case, field, torch.rand(case.points, IN_FEATURES, generator=generator) * 2 - 1)

    def eager(self, dtype: torch.dtype = torch.float32) -> EagerField:
        """Return the eager field with copies of the weights."""
        return EagerField(*self.field.layer_tensors(), self.field.spec).to(dtype)

    def run(self, side: str) -> Run:
        """Return one computation of the whole NTK on `side`."""
        if side == FASTSNF:
            return lambda: empirical_ntk(self.field, self.x)
        eager = self.eager()
        by: Callable[[EagerField, Tensor], Tensor] = by_jacobians if side == JACOBIANS else by_formula
        return lambda: by(eager, self.x)


def by_jacobians(field: EagerField, x: Tensor) -> Tensor:
    """Return the NTK of the outputs' sum over sqrt(C) as ``J J^T``, one gradient a point by `torch.func`."""
    params = {name: parameter.detach() for name, parameter in field.named_parameters()}

    def scalar(params: dict[str, Tensor], point: Tensor) -> Tensor:
        out = functional_call(field, params, (point.unsqueeze(0),))
        return out.sum() / out.shape[-1] ** 0.5

    gradients = vmap(grad(scalar), in_dims=(None, 0))(params, x)
    jacobian = torch.cat([g.flatten(start_dim=1) for g in gradients.values()], dim=1)  # [n, P]
    return jacobian @ jacobian.T


def by_formula(field: EagerField, x: Tensor) -> Tensor:
    """Return the same as ``sum_l (A A^T + 1) * (D D^T)``, a layer at a time, D by autograd."""
    inputs, pre_activations, h = [], [], x
    for linear, act in zip(field.linears, field.spec.activations, strict=True):
        inputs.append(h.detach())
        u = linear(h)
        pre_activations.append(u)
        h = activate(act, u)
    cotangents = torch.autograd.grad(h.sum() / h.shape[-1] ** 0.5, pre_activations)
    with torch.no_grad():
        gram = torch.zeros(len(x), len(x), dtype=x.dtype)
        for a, d in zip(inputs, cotangents, strict=True):
            gram += (a @ a.T + 1.0) * (d @ d.T)
    return gram


def check(case: NtkCase) -> Comparison:
    """Return the errors of fastsnf and of the eager formula against Jacobians in float64.

    Raises:
        GateError: fastsnf's is more than twice eager's.
    """
    problem = Problem.of(case)
    exact = by_jacobians(problem.eager(torch.float64), problem.x.double())
    errors = [
        relative_error(value, exact)
        for value in (empirical_ntk(problem.field, problem.x), by_formula(problem.eager(), problem.x))
    ]
    row = Comparison("gram", *errors)
    if not row.holds:
        raise GateError(
            f"{case.name}: the eNTK is {row.fused:.1e} from float64, more than twice eager's "
            f"{row.eager:.1e}; no time is taken of a wrong result"
        )
    return row


def measure(case: dict[str, Any], rounds: int = ROUNDS) -> dict[str, Any]:
    """Check a case, measure its sides in turn, and return the record."""
    row = NtkCase(**case)
    gate = check(row)
    return {
        "suite": SUITE,
        "case": row.name,
        **asdict(row),
        "layers": row.hidden_layers + 2,
        "flops": row.flops,
        "error": gate.fused,
        "eager_error": gate.eager,
        "allocator": child.KEPT,
        **turns.figures(Problem.of(row), SIDES, row.flops, rounds=rounds),
    }


def tasks(quick: bool) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the names of the cases with calls that measure them."""
    return turns.tasks("benchmarks.ntk", CASES, ROUNDS, quick)


if __name__ == "__main__":
    child.serve(measure)
