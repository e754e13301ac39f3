"""Denormal numbers are flushed to zero inside the engine and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastsnf.engines import native
from fastsnf.spec import FieldSpec, Identity, Sine
from tests.engines.problems import problem
from tests.engines.runs import EVERY_VARIANT, everything

DENORMAL = 1e-40


def denormals_survive() -> bool:
    """Return whether torch and numpy on this thread still compute with denormal numbers."""
    in_torch = torch.full((1 << 18,), 1e-20) * 1e-20  # on every thread
    in_numpy = np.full(4, 1e-20, np.float32) * np.full(4, 1e-20, np.float32)
    return bool(in_torch.all()) and bool(in_numpy.all())


@EVERY_VARIANT
@pytest.mark.parametrize("threads", [1, 3])
def test_the_caller_keeps_its_denormals(threads: int, variant: str) -> None:
    assert denormals_survive()
    torch.set_num_threads(threads)
    case = problem(FieldSpec.mlp(Sine(30.0), 2), [2, 16, 16, 16, 3], 500)
    with native.use_variant(variant):
        everything(case)
    assert denormals_survive()


@EVERY_VARIANT
def test_the_caller_keeps_flushing_where_it_does(variant: str) -> None:
    assert torch.set_flush_denormal(True)
    try:
        with native.use_variant(variant):
            everything(problem(FieldSpec.mlp(Sine(30.0), 2), [2, 16, 16, 16, 3], 500))
        assert not denormals_survive()
    finally:
        torch.set_flush_denormal(False)
    assert denormals_survive()


@EVERY_VARIANT
@pytest.mark.parametrize("threads", [1, 3])
def test_the_engine_flushes(threads: int, variant: str) -> None:
    """Denormal products cost a hundred times as much as others: decaying activations must not slow a fit."""
    torch.set_num_threads(threads)
    x, spec = torch.full((500, 1), 1e-20), FieldSpec((Identity(), Identity()))
    weights = [torch.full((8, 1), 1e-20), torch.ones(1, 8)]
    with native.use_variant(variant):
        out = native.forward(x, weights, [None, None], spec)
    assert float(torch.tensor(DENORMAL)) > 0.0
    assert not out.any()
