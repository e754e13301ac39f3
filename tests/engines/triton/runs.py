"""The Triton engine as the gate runs it, through the interpreter where there is no GPU."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from fastsnf.engines import triton
from fastsnf.spec import FieldSpec
from tests import cases
from tests.judge import Result, Run

if triton.missing():
    pytest.skip(f"the Triton engine cannot run here: {triton.missing()}", allow_module_level=True)
if not triton.interpreted():
    pytest.skip("these tests are the interpreter's; a GPU has its own in tests/gpu", allow_module_level=True)


def crossed(names: str, *axes: Sequence[object]) -> pytest.MarkDecorator:
    """Parametrize over every combination with ``--all``, else over a third that crosses each pair of axes."""
    places = itertools.product(*(range(len(axis)) for axis in axes))
    chosen = [place for place in places if cases.count(10) == 10 or sum(place) % 3 == 0]
    values = [tuple(axis[i] for axis, i in zip(axes, place, strict=True)) for place in chosen]
    return pytest.mark.parametrize(names, values, ids=["-".join(map(_id, row)) for row in values])


def _id(value: object) -> str:
    if isinstance(value, FieldSpec):
        return ",".join(act.name for act in value.activations)
    return getattr(value, "name", None) or str(value)


def kept_run(spec: FieldSpec, precision: str) -> Run:
    """Return forward and backward, from what the forward pass keeps, as a run of (x, d_out)."""

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, d_out = rows
        out, kept = triton.forward_keep(x, weights, biases, spec, precision=precision)
        before = kept.clone()
        d_x, d_weights, d_biases = triton.backward_kept(
            x, weights, biases, kept, spec, d_out, precision=precision
        )
        assert torch.equal(kept, before), "the backward pass may run again"
        assert d_x is not None
        return Result([out, d_x], [], d_weights, d_biases)

    return run


def recomputed_run(spec: FieldSpec, precision: str) -> Run:
    """Return forward and backward, which computes the forward again, as a run of (x, d_out)."""

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, d_out = rows
        out = triton.forward(x, weights, biases, spec, precision=precision)
        d_x, d_weights, d_biases = triton.backward(x, weights, biases, spec, d_out, precision=precision)
        assert d_x is not None
        return Result([out, d_x], [], d_weights, d_biases)

    return run


def mse_run(spec: FieldSpec, precision: str) -> Run:
    """Return the training step as a run of (x, target, sample_weight)."""

    def run(rows: Sequence[Tensor], weights: list[Tensor], biases: list[Tensor | None]) -> Result:
        x, target, sample_weight = rows
        loss, d_weights, d_biases = triton.mse_value_and_grad(
            x, target, weights, biases, spec, sample_weight, precision=precision
        )
        return Result([loss], [], d_weights, d_biases)

    return run


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill every buffer that the engine allocates with NaN (bytes: 0xFF), so that unwritten entries show."""
    new_empty, empty_like = Tensor.new_empty, torch.empty_like

    def fill(tensor: Tensor) -> Tensor:
        floating = tensor.is_floating_point() or tensor.is_complex()
        return tensor.fill_(float("nan")) if floating else tensor.fill_(-1 if tensor.dtype.is_signed else 255)

    monkeypatch.setattr(Tensor, "new_empty", lambda *args, **kwargs: fill(new_empty(*args, **kwargs)))
    monkeypatch.setattr(torch, "empty_like", lambda *args, **kwargs: fill(empty_like(*args, **kwargs)))
