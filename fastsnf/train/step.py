"""One training step: the loss of a batch, the gradients in ``param.grad``, the optimizer's update."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fastsnf import ops
from fastsnf.errors import InputError
from fastsnf.nn import Field, LayeredField
from fastsnf.nn.plain import is_plain
from fastsnf.signals.signal import Signal
from fastsnf.train.config import FitConfig
from fastsnf.train.evaluate import values_at
from fastsnf.train.losses import make_loss, mse, outputs_of, reduction_of, to_values
from fastsnf.train.metrics import psnr_of
from fastsnf.train.optimizers import make_optimizer
from fastsnf.train.points import as_tensors


class Step:
    """Loss, gradients and update of one batch after another.

    The MSE of a plain field takes `ops.mse_value_and_grad`, a single pass over the points that keeps no
    activation. Any other loss, and a field with parameters of its own beside its layers, goes through
    autograd.

    Args:
        field: what is trained.
        optimizer: over its trainable parameters.
        config: its loss.
        signal: whose batches they are; needed where its values are made of several outputs.

    Raises:
        InputError: for a loss that takes single outputs, and a signal made of several.
    """

    def __init__(
        self, field: Field, optimizer: Optimizer, config: FitConfig, signal: Signal | None = None
    ) -> None:
        self._field = field
        self._loss = make_loss(config.loss)
        self._reduce = reduction_of(signal, config.loss)
        self._outputs = outputs_of(config.loss)
        self._out: Tensor | None = None
        self.optimizer = optimizer
        self.single_pass = config.loss == "mse" and is_plain(field) and self._reduce is None

    def takes_numbers(self, engine: str) -> bool:
        """Return whether `engine` makes the coordinates of a step itself, from the numbers of grid points."""
        plain = isinstance(self._field, LayeredField) and self._field.encoding is None
        return self.single_pass and plain and engine == "native"

    def __call__(self, x: Tensor, y: Tensor, w: Tensor | None = None) -> Tensor:
        """Update the field once and return the loss before it (0-d); arguments as `gradients`."""
        loss = self.gradients(x, y, w)
        self.optimizer.step()
        return loss

    def gradients(self, x: Tensor | ops.GridPoints, y: Tensor | ops.Bits, w: Tensor | None = None) -> Tensor:
        """Fill in the gradients of the loss at x [B, D], y [B, C], w [B] or None; return it, 0-d.

        Points may be given by number on a grid, and values as its bits: see `takes_numbers`.
        """
        if self.single_pass:
            return self._one_pass(x, y, w)
        x, y = as_tensors(x, y)
        with torch.enable_grad():
            self.optimizer.zero_grad(set_to_none=True)
            out = values_at(self._field, x)
            if self._reduce is not None:
                out = self._reduce(out)
            loss = self._loss(out, y, w)
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self._out = out.detach()
        return loss.detach()

    def batch_psnr(self, loss: float, y: Tensor | ops.Bits, w: Tensor | None) -> float:
        """Return the PSNR of the last batch before its update; free for the MSE, else from its outputs."""
        return psnr_of(float(self.batch_error(loss, y, w)))

    def batch_error(self, loss: float | Tensor, y: Tensor | ops.Bits, w: Tensor | None) -> float | Tensor:
        """Return the mean squared error of the last batch: its loss, or what its outputs are beside y, w."""
        if self._out is None:
            return loss
        assert isinstance(y, Tensor), "it has been made for the loss"
        return mse(to_values(self._out, self._outputs), y, w)

    def _one_pass(self, x: Tensor | ops.GridPoints, y: Tensor | ops.Bits, w: Tensor | None) -> Tensor:
        assert isinstance(self._field, LayeredField)  # is_plain holds
        with torch.no_grad():
            weights, biases = self._field.layer_tensors()
            spec = self._field.spec
            if isinstance(x, ops.GridPoints) and self._field.encoding is None:
                loss, d_weights, d_biases = ops.mse_value_and_grad_at(
                    x, y, weights, biases, spec=spec, sample_weight=w
                )
            else:
                x, y = as_tensors(x, y)
                loss, d_weights, d_biases = ops.mse_value_and_grad(
                    self._field.encode(x), y, weights, biases, spec=spec, sample_weight=w
                )
            self._field.take_gradients(d_weights, d_biases)
        return loss


def make_step(field: Field, config: FitConfig | None = None) -> Step:
    """Return the step that `fastsnf.fit` takes, with a new optimizer and without a schedule.

    Raises:
        InputError: with ``iga``, whose steps take whole groups of a signal's points.
    """
    config = config or FitConfig()
    if config.iga is not None:
        raise InputError("expected no iga for a step of any points; got iga: take a fastsnf.ntk.Adjuster")
    return Step(field, make_optimizer(config, trainable(field)), config)


def trainable(field: Field) -> list[nn.Parameter]:
    """Return the parameters of a field that are trained.

    Raises:
        InputError: when all of them are frozen.
    """
    parameters = [parameter for parameter in field.parameters() if parameter.requires_grad]
    if not parameters:
        raise InputError(
            "expected a field with trainable parameters; got all frozen: call requires_grad_() on it"
        )
    return parameters
