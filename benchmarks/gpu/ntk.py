"""How the rows of NTK blocks and of adjusted steps are measured on a GPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import iga
from benchmarks.gate import relative_error
from benchmarks.gpu import cases, timing
from benchmarks.gpu.sides import recorded_step, replayed
from benchmarks.sides import Run
from fastsnf import ops
from fastsnf.ntk import Adjuster
from fastsnf.train.config import FitConfig
from fastsnf.train.cuda_graphs import CudaGraphs
from fastsnf.train.optimizers import make_optimizer
from fastsnf.train.step import trainable
from fastsnf.train.updates import Graphs

Figures = dict[str, Any]

FMA_LANES = 128
"""FMA units of a multiprocessor."""

SPECIAL_LANES = 16
"""Special-function units of one, by which `rates.special` was counted."""

MOST_ERROR = 1e-5
"""Of K relative to float64: no time is taken of a wrong result."""


class Operands:
    """Random inputs and cotangents of every layer of a row, on a device."""

    def __init__(self, case: cases.GramCase, device: str = "cuda") -> None:
        generator = torch.Generator(device).manual_seed(0)

        def draw(width: int) -> Tensor:
            return torch.randn(case.batch, case.points, width, device=device, generator=generator)

        self.inputs = [draw(a) for a, _ in case.widths]
        self.cotangents = [draw(d) for _, d in case.widths]

    def ours(self) -> Tensor:
        """Return K by the CUDA engine."""
        return ops.ntk_gram(self.inputs, self.cotangents, engine="cuda")

    def eager(self) -> Tensor:
        """Return K by the formula, a layer at a time."""
        gram: Tensor | None = None
        for a, d in zip(self.inputs, self.cotangents, strict=True):
            product = (torch.bmm(a, a.mT) + 1.0) * torch.bmm(d, d.mT)
            gram = product if gram is None else gram + product
        assert gram is not None
        return gram

    def check(self) -> float:
        """Return the error of the first block's K relative to float64.

        Raises:
            ValueError: it is more than `MOST_ERROR`.
        """
        found = ops.ntk_gram([a[:1] for a in self.inputs], [d[:1] for d in self.cotangents], engine="cuda")
        wide = copy.copy(self)
        wide.inputs = [a[:1].double() for a in self.inputs]
        wide.cotangents = [d[:1].double() for d in self.cotangents]
        error = relative_error(found, wide.eager())
        if not error <= MOST_ERROR:
            raise ValueError(f"K is {error:.1e} from float64, at most {MOST_ERROR:.0e} is right")
        return error


def gram(row: cases.Row, measured: Figures, until: float) -> Figures:
    """Return seconds, TFLOP/s and shares of the FMA peak, as measured and as specified, of every side."""
    assert isinstance(row.case, cases.GramCase)
    operands = Operands(row.case)
    error = operands.check()
    makers: dict[str, Callable[[], Run]] = {
        cases.CUDA: lambda: operands.ours,
        cases.CUDA_REPLAYED: lambda: replayed(operands.ours, CudaGraphs(torch.device("cuda"))),
        cases.EAGER_FP32: lambda: operands.eager,
    }
    spreads, errors = timing.measure({side: makers[side] for side in row.sides}, until=until)
    specified = 2.0 * FMA_LANES / SPECIAL_LANES * measured["special"]
    found: Figures = {}
    for side, spread in spreads.items():
        rate = row.case.flops / spread["median"]
        found[side] = {
            "seconds": spread,
            "tflop_s": rate / 1e12,
            "share": rate / measured["fma"],
            "share_of_specified": rate / specified,
        }
    return {"sides": found, "errors": errors, "error": error}


def adjusted(row: cases.Row, measured: Figures, until: float) -> Figures:
    """Return seconds of a plain step and of adjusted ones, each with weights and an optimizer of its own."""
    assert isinstance(row.case, cases.AdjustedCase)
    makers = {side: partial(step, row.case, side) for side in row.sides}
    spreads, errors = timing.measure(makers, until=until)
    points = row.case.points
    found = {
        side: {"seconds": spread, "ns_a_point": 1e9 * spread["median"] / points}
        for side, spread in spreads.items()
    }
    return {"sides": found, "errors": errors}


def step(
    case: cases.AdjustedCase,
    side: str,
    device: str = "cuda",
    graphs: Callable[[torch.device], Graphs] = CudaGraphs,
    engine: str = "triton",
) -> Run:
    """Return one training step of a side, as `fit` makes it: the plain one is the replay of a graph."""
    sample = cases.SAMPLES[0] if side == cases.PLAIN else side
    shape = iga.IgaCase(sample, case.patch, case.shape, case.width, case.hidden_layers, case.end)
    given = iga.Problem.of(shape)
    field, x, y = given.field.to(device), given.x.to(device), given.y.to(device)
    with ops.use_precision(case.precision):
        taken = ops.chosen(x, *field.layer_tensors(), spec=field.spec)
        if taken != engine:
            raise RuntimeError(f"expected steps on the {engine} engine; this machine takes {taken}")
        if side == cases.PLAIN:
            return recorded_step(field, x, y, graphs(torch.device(device)))
    adjuster = Adjuster(shape.iga, given.groups, device=device)
    optimizer = make_optimizer(FitConfig(batch_size="full"), trainable(field))

    def run() -> None:
        with ops.use_precision(case.precision):
            adjuster.value_and_grad(field, x, y)
        optimizer.step()
        if adjuster.failures:
            raise RuntimeError(f"{adjuster.failures} steps were not adjusted")

    return run
