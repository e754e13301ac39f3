"""A training step with inductive gradient adjustment beside the plain one, on the same points in turn."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import child, turns
from benchmarks.baselines import EagerField
from benchmarks.cases import IN_FEATURES, OUT_FEATURES, flops_per_point
from benchmarks.gate import Comparison, GateError, gradient, relative_error
from benchmarks.ntk import by_jacobians
from benchmarks.sides import Run, trainer_step
from fastsnf.nn import SNF
from fastsnf.ntk import IGA, Adjuster, Groups
from fastsnf.ntk.sampling import SamplePoints
from fastsnf.train.config import FitConfig
from fastsnf.train.optimizers import make_optimizer
from fastsnf.train.step import trainable

SUITE = "iga"
PLAIN = "plain"
ADJUSTED = "iga"
SIDES = (PLAIN, ADJUSTED)
ROUNDS = 5

LEAST_ERROR = 1e-5
"""Relative error of an update that passes whatever eager's is."""

GATE_SHAPE, GATE_PATCH = (48, 64), 8
"""The image of the check: 48 groups of 64 points."""


@dataclass(frozen=True)
class IgaCase:
    """RGB image `shape` in patches, 2 inputs, `hidden_layers` + 2 linear layers of `width`, Adam, full batch.

    `most_ratio` is the largest ratio of medians, the adjusted step over the plain one; None: not bound.
    """

    sample: str
    patch: int = 32
    shape: tuple[int, int] = (512, 768)
    width: int = 256
    hidden_layers: int = 2
    end: int = 20
    most_ratio: float | None = 1.06

    @property
    def groups(self) -> int:
        """The number of patches."""
        return Groups.patches(self.shape, self.patch).count

    @property
    def name(self) -> str:
        """The name of the case in records."""
        return f"iga-{self.sample}-{self.groups}"

    @property
    def title(self) -> str:
        """What to say while it is measured."""
        return f"IGA step, {self.groups} groups, {self.sample}"

    @property
    def iga(self) -> IGA:
        """The settings."""
        return IGA(group=self.patch, end=self.end, sample=self.sample)

    @property
    def flops(self) -> int:
        """Useful FLOPs of the plain step."""
        inner = (self.hidden_layers - 3) * 6 * self.width**2  # `flops_per_point` is of 3 hidden layers
        return self.shape[0] * self.shape[1] * (flops_per_point(self.width, False, True) + inner)

    def scaled(self) -> IgaCase:
        """Return the case for a quick look, on as many groups of fewer points, without a limit."""
        blocks = [size // self.patch for size in self.shape]
        return replace(self, patch=2, shape=(2 * blocks[0], 2 * blocks[1]), width=32, most_ratio=None)


CASES = (
    IgaCase("argmax_lagged"),
    IgaCase("center"),
    IgaCase("random"),
    IgaCase("argmax", most_ratio=1.40),
    IgaCase("argmax_lagged", patch=16, most_ratio=1.40),
)


@dataclass(frozen=True)
class Problem:
    """A field, groups, and the arranged points x `[N, 2]` in [-1, 1] with values y `[N, 3]` in [0, 1]."""

    case: IgaCase
    field: SNF
    groups: Groups
    x: Tensor
    y: Tensor

    @classmethod
    def of(cls, case: IgaCase, seed: int = 0) -> Problem:
        """Return the problem of a case; the same seed gives the same weights and picture."""
        generator = torch.Generator().manual_seed(seed)
        field = SNF(IN_FEATURES, OUT_FEATURES, case.width, case.hidden_layers, generator=generator)
        axes = [torch.linspace(-1, 1, size) for size in case.shape]
        x = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, IN_FEATURES)
        groups = Groups.patches(case.shape, case.patch)
        points = groups.members().points
        return cls(case, field, groups, x[points], picture(case.shape, generator)[points])

    def run(self, side: str) -> Run:
        """Return one step of `side`, which has parameters and an optimizer of its own: the trainer's Adam."""
        field = copy.deepcopy(self.field)
        if side == PLAIN:
            return trainer_step(field, self.x, self.y)
        adjuster = Adjuster(self.case.iga, self.groups)
        optimizer = make_optimizer(FitConfig(batch_size="full"), trainable(field))

        def step() -> None:
            adjuster.value_and_grad(field, self.x, self.y)
            optimizer.step()

        return step


def picture(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return values `[H W, 3]` in [0, 1]: smooth colours with a tenth of noise, as photographs have both."""
    coarse = torch.rand(1, OUT_FEATURES, 6, 8, generator=generator)
    smooth = nn.functional.interpolate(coarse, shape, mode="bicubic", align_corners=True)
    noisy = 0.9 * smooth + 0.1 * torch.rand(smooth.shape, generator=generator)
    return noisy.clamp(0, 1).squeeze(0).flatten(start_dim=1).T.contiguous()


def by_hand(field: EagerField, problem: Problem, rows: Tensor | None) -> dict[str, Tensor]:
    """Return the adjusted gradients as the paper has them, in the field's precision.

    Jacobians, all eigenpairs, the dense S, and autograd of ``2 / (N C) out^T stopgrad(S r)``. `rows` are the
    sample points, None for those of the largest residuals.
    """
    case = problem.case
    x, y = (tensor.to(next(field.parameters()).dtype) for tensor in (problem.x, problem.y))
    out = field(x)
    r = (out.detach() - y).view(-1, problem.groups.count, OUT_FEATURES)  # [offset, group, channel]
    if rows is None:
        offset = r.abs().sum(dim=2).argmax(dim=0)
        rows = offset * problem.groups.count + torch.arange(problem.groups.count)
    values, vectors = torch.linalg.eigh(by_jacobians(field, x[rows]))
    values, vectors = values.flip(0), vectors.flip(1)
    s = torch.eye(len(values), dtype=x.dtype)
    for i in range(case.end):
        s -= (1 - values[case.end] / values[i]) * torch.outer(vectors[:, i], vectors[:, i])
    adjusted = torch.einsum("ji,pic->pjc", s, r).reshape(out.shape)
    (2 / out.numel() * (out * adjusted).sum()).backward()
    return {name: gradient(parameter) for name, parameter in field.named_parameters()}


def gate_case(case: IgaCase) -> IgaCase:
    """Return the case that is checked in place of `case`: the same step on fewer points."""
    return replace(case, shape=GATE_SHAPE, patch=GATE_PATCH)


def check(case: IgaCase) -> list[Comparison]:
    """Return the errors of the adjusted gradients against float64, of fastsnf and of eager float32.

    Raises:
        GateError: one of fastsnf's is more than twice eager's and more than `LEAST_ERROR`.
    """
    small = gate_case(case)
    problem = Problem.of(small)
    adjuster = Adjuster(small.iga, problem.groups)
    rows = None
    if (
        small.sample == "argmax_lagged"
    ):  # the second pass over the same weights takes the first one's residuals
        adjuster.value_and_grad(problem.field, problem.x, problem.y)
    elif small.sample != "argmax":
        points = SamplePoints(small.sample, seed=small.iga.seed, count=problem.groups.count)
        rows = points.rows(problem.groups.members(), 0)
    eager, exact = (
        by_hand(EagerField(*problem.field.layer_tensors(), problem.field.spec).to(dtype), problem, rows)
        for dtype in (torch.float32, torch.float64)
    )
    adjuster.value_and_grad(problem.field, problem.x, problem.y)
    weights, biases = problem.field.layer_tensors()
    found = []
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        assert bias is not None  # the cases' fields have biases
        for name, parameter in (("weight", weight), ("bias", bias)):
            key = f"linears.{layer}.{name}"
            errors = [relative_error(value, exact[key]) for value in (parameter.grad, eager[key])]  # type: ignore[arg-type]
            found.append(Comparison(key, *errors))
    for row in found:
        if not (row.holds or row.fused <= LEAST_ERROR):
            raise GateError(
                f"{case.name}: the adjusted gradient of {row.name} is {row.fused:.1e} from float64, eager's "
                f"{row.eager:.1e}; no time is taken of a wrong result"
            )
    return found


def measure(case: dict[str, Any], rounds: int = ROUNDS) -> dict[str, Any]:
    """Check a case, measure both steps in turn, and return the record."""
    row = IgaCase(**case | {"shape": tuple(case["shape"])})
    check(row)
    return {
        "suite": SUITE,
        "case": row.name,
        **asdict(row),
        "shape": list(row.shape),
        "groups": row.groups,
        "layers": row.hidden_layers + 2,
        "flops": row.flops,
        "allocator": child.KEPT,
        **turns.figures(Problem.of(row), SIDES, row.flops, rounds=rounds),
    }


def tasks(quick: bool) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the names of the cases with calls that measure them."""
    return turns.tasks("benchmarks.iga", CASES, ROUNDS, quick)


if __name__ == "__main__":
    child.serve(measure)
