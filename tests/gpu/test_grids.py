"""Inference on a grid: coordinates made in the kernel, values and thresholded bits."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gate import relative_error
from fastsnf import reference
from fastsnf.spec import Sine
from tests.engines.problems import Problem
from tests.gpu import fields
from tests.gpu.calls import GRID_WIDTHS
from tests.gpu.fields import PRECISIONS

pytestmark = pytest.mark.gpu
SHAPE = (70, 61, 53)


def grid_problem(width: int) -> tuple[Problem, torch.Tensor]:
    """Return a field of three inputs and one output, and the coordinates of its grid."""
    problem = fields.drawn(Sine(30.0), 1, width, inputs=3, outputs=1)
    axes = [torch.linspace(-1.0, 1.0, size) for size in SHAPE]
    coords = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
    return problem, coords.to(fields.DEVICE)


@pytest.mark.parametrize("width", GRID_WIDTHS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_values_and_bits(precision, width):
    from fastsnf.engines import triton
    from fastsnf.engines.triton.grid import Grid

    problem, coords = grid_problem(width)
    count = len(coords)
    grid = Grid(SHAPE, (-1.0,) * 3, (1.0,) * 3, 0, count)
    call = (problem.weights, problem.biases, problem.spec)
    with torch.no_grad():
        exact = reference.forward(coords.double(), *fields.as_doubles(problem), problem.spec)
    fields.poison()
    values = triton.forward_grid(grid, *call, precision=precision)
    points = triton.forward(coords, *call, precision=precision)
    assert relative_error(values, points.double()) <= 1e-6
    assert relative_error(values, exact) <= {"fp32": 1e-5, "tf32": 1e-2, "fast": 5e-2}[precision]
    threshold = float(values.median())
    packed = triton.forward_grid(grid, *call, precision=precision, threshold=threshold)
    bits = (packed[:, None] >> torch.arange(8, device="cuda", dtype=torch.uint8)) & 1
    assert torch.equal(bits.flatten()[:count].bool(), values.flatten() > threshold)
    assert not bits.flatten()[count:].any()
    part = Grid(SHAPE, (-1.0,) * 3, (1.0,) * 3, 1000, 70_003)
    assert relative_error(triton.forward_grid(part, *call, precision=precision),
                                 values[1000:70_003].double()) <= 1e-6  # fmt: skip
