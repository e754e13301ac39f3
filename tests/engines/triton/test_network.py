"""Network-fused inference: a field in one kernel, on points or on a grid, as values or bits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from fastsnf.engines.triton import inference, tile_table
from fastsnf.engines.triton.grid import Grid
from fastsnf.engines.triton.launch import recording
from fastsnf.spec import FieldSpec, Finer, Gabor, Gaussian, Identity, ReLU, Sinc, Sine, Tanh
from tests import cases
from tests import eager_precisions as eager
from tests.engines.problems import Problem, problem, until_one_passes
from tests.engines.triton.edge_cases import DEVICE, NOT_FINITE, PRECISIONS, nans
from tests.judge import judge

EVERY_PRECISION = pytest.mark.parametrize("precision", PRECISIONS)
NO_CONTRACTION = torch.backends.cpu.get_cpu_capability() == "DEFAULT"
"""Whether torch's linspace rounds twice here: on a processor without FMA instructions."""


def on_device(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    return [None if tensor is None else tensor.to(DEVICE) for tensor in tensors]


def run(
    points: Tensor | Grid, weights, biases, spec, precision: str = "fp32", threshold: float | None = None
) -> Tensor:
    """Return what the kernel writes to a buffer of NaN."""
    assert not inference.fits(spec, [tuple(w.shape) for w in weights], precision)
    rows = points.rows if isinstance(points, Grid) else len(points)
    if threshold is None:
        out = nans(rows, weights[-1].shape[0])
    else:
        out = torch.full((-(-rows // 8),), 0xA5, dtype=torch.uint8, device=DEVICE)
    points = points if isinstance(points, Grid) else points.to(DEVICE)
    inference.network_fwd(
        points, on_device(weights), on_device(biases), spec, out, precision, threshold=threshold
    )
    return out.cpu()


def judged(case: Problem, precision: str) -> None:
    """Assert an error against float64 of at most twice that of eager with rounded operands."""
    ours = eager.forward_run(case.spec, lambda *call: run(*call, precision))
    theirs = eager.forward_run(case.spec, lambda *call: eager.forward(*call, precision))
    judge(ours, theirs, [case.x], case.weights, case.biases)


def drawn(spec: FieldSpec, D: int, F: int, C: int, points: int, bias: bool, draw: int) -> Problem:
    widths = [D, *[F] * (spec.layers - 1), C]
    return problem(spec, widths, points, bias=bias, gen=cases.generator(draw))


def mesh(grid: Grid) -> Tensor:
    """Return all coordinates of a grid as torch makes them."""
    ends = zip(grid.lows, grid.highs, grid.shape, strict=True)
    axes = [torch.linspace(low, high, size) for low, high, size in ends]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, grid.axes)


SPECS = {
    **{act.name: FieldSpec.mlp(act, 2) for act in cases.REAL_ACTIVATIONS},
    "sinc of a peak": FieldSpec.mlp(Sinc.unnormalized(7.0), 2),
    "first gaussian, last tanh": FieldSpec.mlp(Sine(20.0), 1, first=Gaussian(3.0), last=Tanh()),
}


@EVERY_PRECISION
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_as_good_as_eager_in_the_same_precision(spec: FieldSpec, precision: str) -> None:
    until_one_passes(lambda case: judged(case, precision), lambda draw: drawn(spec, 2, 37, 3, 35, True, draw))


@pytest.mark.parametrize(
    ("D", "F", "L", "C", "points", "precision"),
    [
        (1, 1, 0, 1, 1, "fp32"),
        (3, 64, 1, 2, 33, "fp32"),
        (4, 20, 3, 8, 17, "fp32"),
        (4, 65, 1, 4, 5, "tf32"),
        (1, 128, 1, 5, 34, "tf32"),
        (3, 31, 0, 7, 50, "tf32"),
        (2, 130, 1, 6, 9, "fast"),
        (3, 33, 3, 1, 49, "fast"),
    ],
)
def test_odd_shapes(D: int, F: int, L: int, C: int, points: int, precision: str) -> None:
    spec = FieldSpec.mlp(Sine(30.0), L)
    until_one_passes(
        lambda case: judged(case, precision),
        lambda draw: drawn(spec, D, F, C, points, draw % 2 == 0, draw),
    )


def test_points_and_weights_of_any_strides() -> None:
    case = drawn(FieldSpec.mlp(Tanh(), 1), 3, 20, 2, 19, True, 0)
    dense = run(case.x, case.weights, case.biases, case.spec)
    weights = [cases.transposed(weight) for weight in case.weights]
    biases = [cases.strided(bias) for bias in case.biases]
    assert torch.equal(run(cases.strided(case.x), weights, biases, case.spec), dense)


@NOT_FINITE
@EVERY_PRECISION
def test_what_is_not_finite_stays_in_its_row(precision: str) -> None:
    case = drawn(FieldSpec.mlp(Finer(5.0), 1), 2, 20, 2, 19, True, 0)
    clean = run(case.x, case.weights, case.biases, case.spec, precision)
    x = case.x.clone()
    x[3, 0], x[17, 1] = float("nan"), float("inf")
    out = run(x, case.weights, case.biases, case.spec, precision)
    rows = torch.tensor([3, 17])
    assert out[rows].isnan().all()
    others = torch.ones(19, dtype=torch.bool)
    others[rows] = False
    assert torch.equal(out[others], clean[others])


GRIDS = (
    Grid((1,), (0.3,), (1.0,), 0, 1),
    Grid((1001,), (-1.0,), (1.0,), 0, 1001),
    Grid((7, 33), (-1.0, 0.1), (1.0, 7.3), 5, 200),
    Grid((3, 1, 50), (-0.7, 2.0, 3.0), (0.9, 9.0, -3.0), 1, 149),
    Grid((2, 3, 5, 11), (-1.0,) * 4, (1.0,) * 4, 17, 330),
)


@pytest.mark.skipif(NO_CONTRACTION, reason="torch's linspace rounds twice on this processor")
@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: str(grid.shape))
def test_coordinates_are_those_of_linspace(grid: Grid) -> None:
    out = nans(grid.rows, grid.axes)
    inference.grid_points(grid, out)
    assert torch.equal(out.cpu(), mesh(grid)[grid.begin : grid.end])


@pytest.mark.skipif(NO_CONTRACTION, reason="torch's linspace rounds twice on this processor")
def test_an_index_beyond_32_bits() -> None:
    size = 100_003
    grid = Grid((size,) * 3, (-1.0, 0.0, -2.0), (1.0, 5.0, 1.0), size**3 - 70, size**3 - 3)
    out = nans(grid.rows, 3)
    inference.grid_points(grid, out)
    last = torch.linspace(-2.0, 1.0, size)[-70:-3]
    assert torch.equal(out.cpu(), torch.stack([torch.full((67,), 1.0), torch.full((67,), 5.0), last], dim=-1))


@pytest.mark.parametrize("grid", GRIDS[2:], ids=lambda grid: str(grid.shape))
def test_a_grid_is_its_points(grid: Grid) -> None:
    case = drawn(FieldSpec.mlp(Sine(30.0), 1), grid.axes, 20, 2, 1, True, 0)
    points = nans(grid.rows, grid.axes)
    inference.grid_points(grid, points)
    parameters = (case.weights, case.biases, case.spec)
    assert torch.equal(run(grid, *parameters), run(points, *parameters))


@EVERY_PRECISION
@pytest.mark.parametrize("rows", [1, 8, 77])
def test_bits_are_those_of_numpy(rows: int, precision: str) -> None:
    case = drawn(FieldSpec.mlp(Sine(30.0), 1), 2, 20, 1, rows, True, 0)
    parameters = (case.weights, case.biases, case.spec, precision)
    values = run(case.x, *parameters)
    threshold = float(values.median())
    expected = np.packbits((values[:, 0] > threshold).numpy(), bitorder="little")
    np.testing.assert_array_equal(run(case.x, *parameters, threshold=threshold).numpy(), expected)


def test_bits_of_values() -> None:
    values = torch.randn(75, 1)
    values[5], values[6], values[7] = float("nan"), 0.5, float("inf")
    out = torch.full((10,), 0xA5, dtype=torch.uint8, device=DEVICE)
    inference.grid_bits(values.to(DEVICE), out, 0.5)
    np.testing.assert_array_equal(
        out.cpu().numpy(), np.packbits((values[:, 0] > 0.5).numpy(), bitorder="little")
    )


def test_no_points() -> None:
    case = drawn(FieldSpec.mlp(Tanh(), 1), 2, 20, 1, 1, True, 0)
    assert run(case.x[:0], case.weights, case.biases, case.spec).shape == (0, 1)
    assert run(Grid((3, 3), (-1.0,) * 2, (1.0,) * 2, 4, 4), case.weights, case.biases, case.spec).shape == (
        0,
        1,
    )


@pytest.mark.parametrize(
    ("spec", "widths", "reason"),
    [
        (FieldSpec.mlp(Gabor(), 1), [2, 20, 20, 1], "complex"),
        (FieldSpec((Identity(),)), [2, 1], "no hidden layer"),
        (FieldSpec.mlp(Sine(), 1), [2, 20, 24, 1], "widths 20, 24"),
        (FieldSpec((Sine(), Sine(), ReLU(), Identity())), [2, 20, 20, 20, 1], "relu, sine"),
        (FieldSpec.mlp(Sine(), 1), [5, 20, 20, 1], "5 coordinates"),
        (FieldSpec.mlp(Sine(), 1), [2, 20, 20, 9], "9 outputs"),
        (FieldSpec.mlp(Sine(), 1), [2, 257, 257, 1], "257 units"),
    ],
)
def test_what_does_not_fit(spec: FieldSpec, widths: list[int], reason: str) -> None:
    shapes = [(out, fan_in) for fan_in, out in pairwise(widths)]
    why = inference.fits(spec, shapes, "fast")
    assert len(why) == 1
    assert reason in why[0]


@pytest.mark.parametrize("architecture", ["sm_80", "sm_89", "sm_90"])
@pytest.mark.parametrize(("precision", "widest"), [("fast", 256), ("tf32", 128), ("fp32", 64)])
def test_widths_that_fit(architecture: str, precision: str, widest: int) -> None:
    spec = FieldSpec.mlp(Sine(30.0), 3)
    with recording(architecture) as launches:
        for width in (1, 32, 100, 128, 256):
            shapes = [(width, 3), *[(width, width)] * 3, (1, width)]
            assert (not inference.fits(spec, shapes, precision)) == (width <= widest)
            if width <= widest:
                weights = [torch.empty(shape, device="meta") for shape in shapes]
                out = torch.empty(1000, 1, device="meta")
                x = torch.empty(1000, 3, device="meta")
                inference.network_fwd(x, weights, [None] * 5, spec, out, precision)
    fused = [launch for launch in launches if launch.name.startswith(inference.OP)]
    assert len(fused) == sum(width <= widest for width in (1, 32, 100, 128, 256))
    for launch in fused:  # coordinates in, values out, weights once: no activation crosses the bus
        assert launch.bytes_written == 4 * 1000
        assert launch.bytes_read - 4 * 3000 < 4 * 4 * 4 * tile_table.padded(256) ** 2
