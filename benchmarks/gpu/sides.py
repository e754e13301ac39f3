"""The sides of a row on a GPU: fastsnf in its precisions, eager PyTorch and torch.compile, same weights."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.gpu import cases
from benchmarks.sides import Problem, Run, inference, trainer_step
from fastsnf import ops
from fastsnf.train.config import FitConfig

PRECISION = {cases.FP32: "fp32", cases.TF32: "tf32", cases.PHASES: "tf32", cases.FAST: "fast"}
"""The engine's precision of each of fastsnf's sides."""


@contextlib.contextmanager
def settings(side: str) -> Iterator[None]:
    """Compute in the side's arithmetic inside the block; fastsnf's sides take the Triton engine or raise."""
    if side not in PRECISION:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if side.endswith("tf32") else "highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
        return
    from fastsnf.engines.triton.plan import use_phases

    with (
        ops.use_engine("triton"),
        ops.use_precision(PRECISION[side]),
        use_phases(side == cases.PHASES),
    ):
        yield


@dataclass(frozen=True)
class Sides:
    """A row's problem on the device; `run` gives one call of a side, with weights of its own."""

    problem: Problem

    @classmethod
    def of(cls, row: cases.Row, device: str = "cuda") -> Sides:
        """Return the sides of a row; the same weights and points in every run."""
        torch._dynamo.reset()  # what another row compiled would make this one's shapes dynamic
        given = Problem.of(row.case)
        problem = Problem(row.case, given.field.to(device), given.x.to(device), given.y.to(device))
        return cls(problem)

    def module(self, side: str) -> nn.Module:
        """Return the field of a side, with copies of the weights."""
        if side in PRECISION:
            return copy.deepcopy(self.problem.field)
        eager = self.problem.eager().to(self.problem.x.device)
        if side.startswith("compile"):
            eager.compile(dynamic=False)
        elif side.startswith("max-autotune"):
            eager.compile(mode="max-autotune", dynamic=False)
        return eager

    def run(self, side: str) -> Run:
        """Return one call of the row's work on a side, in its arithmetic."""
        x, y = self.problem.x, self.problem.y
        field = self.module(side)
        if self.problem.case.work == "infer":
            work = inference(field, x)
        elif side in PRECISION:
            work = trainer_step(field, x, y)  # type: ignore[arg-type]
        else:
            work = eager_step(field, x, y)

        def run() -> None:
            with settings(side):
                work()

        return run


def eager_step(field: nn.Module, x: Tensor, y: Tensor) -> Run:
    """Return a training step in PyTorch with its own fused Adam, the fastest that it has."""
    optimizer = make_adam(field)

    def run() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss: Tensor = nn.functional.mse_loss(field(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss

    return run


def make_adam(field: nn.Module, lr: float | None = None) -> torch.optim.Optimizer:
    """Return torch's Adam, fused where it can be."""
    parameters = list(field.parameters())
    fused = not any(parameter.is_complex() for parameter in parameters)
    rate = FitConfig(batch_size="full").base_lr if lr is None else lr
    return torch.optim.Adam(parameters, lr=rate, fused=fused or None)
