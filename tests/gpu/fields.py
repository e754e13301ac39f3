"""Fields on the GPU at real sizes, their results by the engine, and how far from float64 they may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from fastsnf import ops
from fastsnf.spec import Activation, FieldSpec
from tests import cases, judge
from tests import eager_precisions as eager
from tests.engines.problems import Problem, problem, until_one_passes
from tests.judge import Result, Run
from tests.tolerances import RATIO

DEVICE = "cuda"
PRECISIONS = ("fp32", "tf32", "fast")


def width_of(act: Activation) -> int:
    """Return the width at which an activation is tested: that of as many real parameters."""
    return 181 if act.is_complex else 256


def drawn(
    act: Activation,
    rows: int,
    width: int,
    *,
    inputs: int = 2,
    outputs: int = 3,
    depth: int = 3,
    weighted: bool = False,
) -> Problem:
    """Return a random field of L + 2 layers on the GPU, its points and targets, fresh in every call.

    With `weighted`, a third of the points has weight 0 and a target of NaN; else every weight is 1.
    """
    seed = int(torch.seed() % 2**31)
    print(f"seed {seed}")  # pytest shows it where a test fails
    widths = [inputs, *[width] * (depth + 1), outputs]
    case = problem(FieldSpec.mlp(act, depth), widths, rows, gen=torch.Generator().manual_seed(seed))
    if not weighted:
        case = case._replace(
            target=case.target.nan_to_num(0.5), sample_weight=torch.ones_like(case.sample_weight)
        )
    return moved(case, DEVICE)


def moved(case: Problem, device: str) -> Problem:
    """Return a problem with every tensor on a device."""
    parts = [to(part, device) if isinstance(part, list) else part for part in case]
    return Problem(*(part.to(device) if isinstance(part, Tensor) else part for part in parts))


def to(tensors: Sequence[Tensor | None], device: str) -> list:
    """Return tensors on a device."""
    return [None if tensor is None else tensor.to(device) for tensor in tensors]


def poison() -> None:
    """Leave NaN in the memory that the next allocations get."""
    large = [torch.full((1 << 26,), float("nan"), device=DEVICE) for _ in range(8)]
    small = [torch.full((1 << 14,), float("nan"), device=DEVICE) for _ in range(64)]
    tiny = [torch.full((128,), float("nan"), device=DEVICE) for _ in range(256)]
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    del large, small, tiny


def values_run(spec: FieldSpec, precision: str) -> Run:
    """Return inference on the engine as a run of (x,)."""

    def values(x: Tensor, weights: list[Tensor], biases: list[Tensor | None], spec: FieldSpec) -> Tensor:
        with torch.inference_mode():
            return ops.field(x, weights, biases, spec=spec, engine="triton", precision=precision).clone()

    return eager.forward_run(spec, values)


def field_run(spec: FieldSpec, precision: str) -> Run:
    """Return output and gradients of `ops.field` on the engine as a run of (x, d_out)."""
    return judge.field_run(
        spec, lambda x, w, b: ops.field(x, w, b, spec=spec, engine="triton", precision=precision)
    )


def step_run(spec: FieldSpec, precision: str, weighted: bool = False) -> Run:
    """Return a training step on the engine as a run of (x, target, sample_weight)."""

    def value_and_grad(
        x: Tensor, target: Tensor, weights: list, biases: list, sample_weight: Tensor
    ) -> tuple:
        return ops.mse_value_and_grad(
            x, target, weights, biases, spec=spec, sample_weight=sample_weight if weighted else None,
            engine="triton", precision=precision,
        )  # fmt: skip

    return judge.mse_run(spec, value_and_grad)


def by_autograd(case: Problem, precision: str) -> dict[str, Tensor]:
    """Return output and gradients of `ops.field` on the engine, by name."""
    return field_run(case.spec, precision)(case.field_rows, case.weights, case.biases).named()


def step(case: Problem, precision: str) -> dict[str, Tensor]:
    """Return loss and gradients of a training step on the engine, by name."""
    return step_run(case.spec, precision)(case.mse_rows, case.weights, case.biases).named()


@contextmanager
def ieee_products() -> Iterator[None]:
    """Multiply float32 as float32 inside the block, whatever torch is set to."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def on_the_gpu(run: Run) -> Run:
    """Return a run of tensors on the CPU, where the judge draws neighbours, that is made on the GPU."""

    def moving(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        with ieee_products():
            found = run(to(rows, DEVICE), to(weights, DEVICE), to(biases, DEVICE))
        return Result(*(to(part, "cpu") for part in found))

    return moving


Runs = Callable[[Problem], tuple[Run, Run, list[Tensor]]]


def judged(precision: str, draw: Callable[[], Problem], runs: Runs) -> None:
    """Assert that the engine is as near to float64 as eager in the same precision.

    Args:
        precision: the engine's and eager's.
        draw: returns a problem; another one is drawn where eager was exact by luck.
        runs: returns the engine's run, eager's, and what both take as rows, of a problem.
    """

    def hold(case: Problem) -> None:
        ours, theirs, rows = runs(case)
        poison()
        judge.judge(
            on_the_gpu(ours), on_the_gpu(theirs), to(rows, "cpu"), to(case.weights, "cpu"),
            to(case.biases, "cpu"), RATIO,
        )  # fmt: skip

    until_one_passes(hold, lambda _: draw())


def step_judged(precision: str, draw: Callable[[], Problem], weighted: bool = False) -> None:
    """Assert that loss and gradients of a training step are right."""
    judged(precision, draw, lambda case: (
        step_run(case.spec, precision, weighted), eager.mse_run(case.spec, precision), case.mse_rows
    ))  # fmt: skip


def field_judged(precision: str, draw: Callable[[], Problem]) -> None:
    """Assert that output and gradients by autograd are right."""
    judged(precision, draw, lambda case: (
        field_run(case.spec, precision), eager.field_run(case.spec, precision), case.field_rows
    ))  # fmt: skip


def values_judged(precision: str, draw: Callable[[], Problem]) -> None:
    """Assert that inference is right."""

    def values(*call: object) -> Tensor:
        with torch.no_grad():
            return eager.forward(*call, precision)

    judged(precision, draw, lambda case: (
        values_run(case.spec, precision), eager.forward_run(case.spec, values), [case.x]
    ))  # fmt: skip


def assert_same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """Assert that two results agree bit for bit, and are finite."""
    wrong = [name for name in one if not torch.equal(one[name], other[name])]
    assert not wrong, f"bits differ: {', '.join(wrong)}"
    assert all(
        bool(torch.isfinite(torch.view_as_real(t) if t.is_complex() else t).all()) for t in one.values()
    )


def as_doubles(case: Problem) -> tuple[list, list]:
    """Return the parameters in float64."""
    return cases.as_double(case.weights), cases.as_double(case.biases)
