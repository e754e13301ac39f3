"""The gate before any number: fused float32 is at most twice as far from float64 as eager float32 is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.baselines import EagerField
from benchmarks.cases import Case
from benchmarks.sides import Problem
from fastsnf import ops
from fastsnf.nn import SNF

ERROR_RATIO = 2.0
"""The fused engine's error over eager's, at most."""

LUCK = 4 * torch.finfo(torch.float32).eps
"""Relative error that passes whatever eager's is: on a handful of numbers eager may be exact by luck."""

SEEDS = range(1, 5)
"""Draws of weights and points; one alone can be lucky for either side."""

GATE_POINTS = 2_048
"""Points of the check: enough to cross several tiles, few enough for float64."""


class GateError(RuntimeError):
    """A result is wrong, so the case has no time."""


@dataclass(frozen=True)
class Comparison:
    """Relative errors against float64 of one tensor."""

    name: str
    fused: float
    eager: float

    @property
    def holds(self) -> bool:
        """Whether the fused result is as good as it has to be."""
        return self.fused <= max(ERROR_RATIO * self.eager, LUCK)


def relative_error(value: Tensor, exact: Tensor) -> float:
    """Return ``||value - exact|| / ||exact||`` in float64."""
    norm = torch.linalg.vector_norm(exact).item()
    wide = value.detach().to(exact.dtype)
    return torch.linalg.vector_norm(wide - exact).item() / max(norm, torch.finfo(torch.float64).tiny)


def eager_results(field: EagerField, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Return the outputs and the gradient of every parameter of the mean squared error."""
    out = field(x)
    nn.functional.mse_loss(out, y).backward()
    results = {"out": out.detach()}
    for layer, linear in enumerate(field.linears):
        for name, parameter in linear.named_parameters():
            results[f"d_{name}[{layer}]"] = gradient(parameter)
    return results


def fused_results(field: SNF, x: Tensor, y: Tensor, work: str) -> dict[str, Tensor]:
    """Return the same of the fused engine, by the entries that the case's work times."""
    if work == "train":
        with torch.no_grad():
            out = field(x)
            _, d_weights, d_biases = ops.mse_value_and_grad(x, y, *field.layer_tensors(), spec=field.spec)
    else:
        d_weights, d_biases = [], []
        out = field(x)
        nn.functional.mse_loss(out, y).backward()
        weights, biases = field.layer_tensors()
        d_weights = [gradient(weight) for weight in weights]
        d_biases = [gradient(bias) for bias in biases if bias is not None]
    results = {"out": out.detach()}
    for layer, (d_weight, d_bias) in enumerate(zip(d_weights, d_biases, strict=True)):
        assert d_bias is not None  # the cases' fields have biases
        results |= {f"d_weight[{layer}]": d_weight, f"d_bias[{layer}]": d_bias}
    return results


def gradient(parameter: Tensor) -> Tensor:
    """Return the gradient that a backward pass left."""
    assert parameter.grad is not None
    return parameter.grad


def errors(case: Case, seed: int) -> dict[str, tuple[float, float]]:
    """Return the relative errors of the fused and of the eager result, for outputs and every gradient."""
    problem = Problem.of(case.scaled(GATE_POINTS), seed)
    x, y = problem.x, problem.y
    exact = eager_results(problem.eager(torch.float64), x.double(), y.double())
    eager = eager_results(problem.eager(), x, y)
    fused = fused_results(problem.field, x, y, case.work)
    return {
        name: (relative_error(fused[name], exact[name]), relative_error(eager[name], exact[name]))
        for name in exact
    }


def root_mean_square(values: Sequence[float]) -> float:
    """Return the root of the mean of squares."""
    return math.sqrt(sum(value * value for value in values) / len(values))


def check(case: Case) -> list[Comparison]:
    """Return the errors of outputs and all gradients of a case's network, root mean square over `SEEDS`.

    Raises:
        GateError: one of them is more than `ERROR_RATIO` times eager's.
    """
    draws = [errors(case, seed) for seed in SEEDS]
    rows = []
    for name in draws[0]:
        fused, eager = (root_mean_square([draw[name][side] for draw in draws]) for side in (0, 1))
        rows.append(Comparison(name, fused, eager))
    wrong = [row for row in rows if not row.holds]
    if wrong:
        worst = max(wrong, key=lambda row: row.fused / max(row.eager, LUCK))
        raise GateError(
            f"{case.name}: {worst.name} is {worst.fused:.1e} from float64, more than {ERROR_RATIO:g} times "
            f"eager float32's {worst.eager:.1e}; no time is taken of a wrong result"
        )
    return rows
