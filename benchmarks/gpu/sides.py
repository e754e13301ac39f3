"""The sides of a row on a GPU: fastsnf in its precisions, eager PyTorch and torch.compile, same weights."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.gpu import cases
from benchmarks.sides import Problem, Run, inference, trainer_step
from fastsnf import ops
from fastsnf.nn import SNF
from fastsnf.train.config import FitConfig
from fastsnf.train.cuda_graphs import CudaGraphs
from fastsnf.train.optimizers import make_optimizer
from fastsnf.train.points import Points
from fastsnf.train.step import Step, trainable
from fastsnf.train.storage import Plain
from fastsnf.train.updates import WARM_UP, Graphs, RecordedUpdates

PRECISION = {
    cases.FP32: "fp32",
    cases.TF32: "tf32",
    cases.PHASES: "tf32",
    cases.FAST: "fast",
    cases.LAUNCHED_TF32: "tf32",
    cases.REPLAYED_TF32: "tf32",
    cases.REPLAYED_FAST: "fast",
}
"""The engine's precision of each of fastsnf's sides."""

GRAPH_MODES = ("reduce-overhead", "max-autotune")
"""Modes of torch.compile that replay CUDA graphs."""


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
    from fastsnf.ops import use_phases

    with (
        ops.use_engine("triton"),
        ops.use_precision(PRECISION[side]),
        use_phases(side == cases.PHASES),
    ):
        yield


@dataclass(frozen=True)
class Sides:
    """A row's problem on the device; `run` gives one call of a side, with weights of its own.

    `graphs` makes what records CUDA graphs on a device.
    """

    problem: Problem
    graphs: Callable[[torch.device], Graphs] = CudaGraphs

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
        for mode in GRAPH_MODES:
            if side.startswith(mode):
                eager.compile(mode=mode, dynamic=False)
        return eager

    def run(self, side: str) -> Run:
        """Return one call of the row's work on a side, in its arithmetic, as the side runs it."""
        if self.problem.case.work == "train" and side in cases.OURS:
            with settings(side):  # what is recorded is in that arithmetic
                return recorded_step(self.module(side), self.problem.x, self.problem.y, self._graphs())
        if side in (cases.REPLAYED_TF32, cases.REPLAYED_FAST):
            with settings(side):
                return replayed(inference(self.module(side), self.problem.x), self._graphs())
        return self.launched(side)

    def launched(self, side: str) -> Run:
        """Return the same with every kernel of fastsnf's launched from the host."""
        x, y = self.problem.x, self.problem.y
        field = self.module(side)
        if self.problem.case.work == "infer":
            work = inference(field, x)
        elif side in PRECISION:
            work = trainer_step(field, x, y)  # type: ignore[arg-type]
        else:
            work = eager_step(field, x, y)
        graphs = side.startswith(GRAPH_MODES)

        def run() -> None:
            if graphs:
                torch.compiler.cudagraph_mark_step_begin()
            with settings(side):
                work()

        return run

    def _graphs(self) -> Graphs:
        return self.graphs(self.problem.x.device)


class WholeProblem(Points):
    """The points of a problem, which lie on the device as they are; a batch is a view of them."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.count, self._columns = len(x), (Plain(x), Plain(y), None)
        self._device, self._last, self.by_number = x.device, None, False


def recorded_step(field: nn.Module, x: Tensor, y: Tensor, graphs: Graphs) -> Run:
    """Return the trainer's step of the full batch as it makes it from the fourth on: the replay of a graph.

    Raises:
        RuntimeWarning: the trainer could not record it.
    """
    assert isinstance(field, SNF), type(field)
    config = FitConfig(batch_size="full")
    optimizer = make_optimizer(config, trainable(field), recorded=True)
    step = Step(field, optimizer, config)
    updates = RecordedUpdates(WholeProblem(x, y), step, field, graphs)
    whole = slice(0, len(x))

    def run() -> None:
        updates.gradients(whole)
        updates.update()

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*could not be recorded as a CUDA graph")
        for _ in range(WARM_UP + 1):
            run()
    return run


def replayed(work: Run, graphs: Graphs) -> Run:
    """Return the replay of a graph of some work, whose results stay in its memory."""
    for _ in range(WARM_UP):
        with graphs.aside():
            work()
    return graphs.record(work)[0]


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
