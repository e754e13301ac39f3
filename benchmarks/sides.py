"""The two sides of a case: fastsnf and eager PyTorch, from the same weights, on the same points."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.baselines import EagerField
from benchmarks.cases import HIDDEN_LAYERS, IN_FEATURES, OUT_FEATURES, Case
from fastsnf.nn import SNF
from fastsnf.train.config import FitConfig
from fastsnf.train.step import make_step

FASTSNF = "fastsnf"
EAGER = "eager"
COMPILED = "compile"

Run = Callable[[], object]


@dataclass(frozen=True)
class Problem:
    """A field and its points: x `[N, 2]` in [-1, 1], y `[N, 3]` in [0, 1]."""

    case: Case
    field: SNF
    x: Tensor
    y: Tensor

    @classmethod
    def of(cls, case: Case, seed: int = 0) -> Problem:
        """Return the problem of a case; the same seed gives the same weights and points."""
        generator = torch.Generator().manual_seed(seed)
        field = SNF(
            IN_FEATURES,
            OUT_FEATURES,
            case.width,
            HIDDEN_LAYERS,
            activation=case.activation,
            generator=generator,
        )
        x = torch.rand(case.points, IN_FEATURES, generator=generator) * 2 - 1
        y = torch.rand(case.points, OUT_FEATURES, generator=generator)
        return cls(case, field, x, y)

    def eager(self, dtype: torch.dtype = torch.float32) -> EagerField:
        """Return the eager field with copies of the weights, in `dtype` or its complex counterpart."""
        weights, biases = self.field.layer_tensors()

        def cast(tensor: Tensor) -> Tensor:
            return tensor.to(dtype.to_complex() if tensor.is_complex() else dtype)

        cast_biases = [None if bias is None else cast(bias) for bias in biases]
        return EagerField(list(map(cast, weights)), cast_biases, self.field.spec)

    def run(self, side: str) -> Run:
        """Return one call of the case's work on `side`, which has parameters and an optimizer of its own."""
        if side == FASTSNF:
            field = copy.deepcopy(self.field)
            if self.case.work == "train":
                return trainer_step(field, self.x, self.y)
            return self._torch_run(field)
        eager = self.eager()
        if side == COMPILED:
            eager.compile()
        return self._torch_run(eager)

    def _torch_run(self, field: nn.Module) -> Run:
        if self.case.work == "infer":
            return inference(field, self.x)
        return torch_step(field, self.x, self.y)


def trainer_step(field: SNF, x: Tensor, y: Tensor) -> Run:
    """Return the trainer's own step: loss and gradients of the full batch, then its Adam."""
    step = make_step(field, FitConfig(batch_size="full"))
    return lambda: step(x, y, None)


def torch_step(field: nn.Module, x: Tensor, y: Tensor) -> Run:
    """Return a step as written by hand: forward, `mse_loss`, backward, `torch.optim.Adam`."""
    optimizer = torch.optim.Adam(field.parameters(), lr=FitConfig(batch_size="full").base_lr)

    def run() -> None:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(field(x), y)
        loss.backward()
        optimizer.step()

    return run


def inference(field: nn.Module, x: Tensor) -> Run:
    """Return one evaluation of the field at every point."""

    def run() -> None:
        with torch.inference_mode():
            field(x)

    return run
