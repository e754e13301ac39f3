"""`field_on_grid`: the points it takes, its bits, its ranges, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fastsnf import ops, reference
from fastsnf.errors import InputError
from fastsnf.ops import grid as grid_module
from fastsnf.spec import FieldSpec, Gabor, Identity, Sine
from tests import cases
from tests.ops.engines import EVERY_ENGINE
from tests.tolerances import FLOAT32, assert_close

SPEC = FieldSpec.mlp(Sine(30.0), 1)
TOLERANCE = 10 * FLOAT32
"""Two float32 evaluations of a field of omega 30 against float64."""


def points(shape: tuple[int, ...], bounds: list[tuple[float, float]], dtype: torch.dtype) -> Tensor:
    axes = [torch.linspace(*ends, size, dtype=dtype) for size, ends in zip(shape, bounds, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(shape))


def expected(x: Tensor, weights: list[Tensor], biases: list[Tensor | None], spec: FieldSpec) -> Tensor:
    return reference.forward(x.double(), cases.as_double(weights), cases.as_double(biases), spec)


@EVERY_ENGINE
@pytest.mark.parametrize(
    ("shape", "bounds"),
    [
        ((37,), [(-1.0, 1.0)]),
        ((5, 7), [(-1.0, 1.0), (0.0, 3.0)]),
        ((3, 1, 9), [(-0.3, 0.7), (0.25, 9.0), (2.0, -2.0)]),
        ((2, 3, 2, 4), [(-1.0, 1.0)] * 4),
        ((2, 2, 2, 2, 2), [(-1.0, 1.0)] * 5),
    ],
)
def test_values_in_the_middle_of_a_grid(
    engine: str, shape: tuple[int, ...], bounds: list[tuple[float, float]]
) -> None:
    weights, biases = cases.random_field(SPEC, [len(shape), 12, 12, 3], gen=cases.generator())
    exact = expected(points(shape, bounds, torch.float32), weights, biases, SPEC)
    begin, end = 3, len(exact) - 4
    values = ops.field_on_grid(
        shape,
        weights,
        biases,
        spec=SPEC,
        bounds=bounds,
        begin=begin,
        end=end,
        engine=engine,
        precision="fp32",
    )
    assert (values.dtype, values.requires_grad) == (torch.float32, False)
    assert_close(values, exact[begin:end], TOLERANCE)


@EVERY_ENGINE
@pytest.mark.parametrize("begin", [0, 11])
def test_bits_are_those_of_numpy(engine: str, begin: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid_module, "CHUNK", 16)
    weights, biases = cases.random_field(SPEC, [2, 12, 12, 1], gen=cases.generator())
    call = {"spec": SPEC, "begin": begin, "engine": engine}
    values = ops.field_on_grid((7, 9), weights, biases, **call)
    threshold = float(values.median())
    bits = ops.field_on_grid((7, 9), weights, biases, **call, threshold=threshold)
    above = (values[:, 0] > threshold).numpy()
    assert bits.dtype == torch.uint8
    np.testing.assert_array_equal(bits.numpy(), np.packbits(above, bitorder="little"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coordinates_are_those_of_linspace(dtype: torch.dtype) -> None:
    """Bit for bit in float32 where torch has FMA, within one unit in the last place otherwise."""
    exact_here = dtype == torch.float32 and torch.backends.cpu.get_cpu_capability() != "DEFAULT"
    identity = torch.eye(1, dtype=dtype)
    spec = FieldSpec((Identity(),))
    gen = cases.generator()
    for size in (1, 2, 3, 100, 257, 1000, 70_001):
        low, high = (10 * torch.randn(2, generator=gen, dtype=torch.float64)).tolist()
        for ends in ((-1.0, 1.0), (low, high)):
            x = ops.field_on_grid(
                (size,), [identity], [None], spec=spec, bounds=ends, engine="reference"
            ).flatten()
            wanted = torch.linspace(*ends, size, dtype=dtype)
            if exact_here:
                assert torch.equal(x, wanted)
            else:
                unit = torch.finfo(dtype).eps * max(map(abs, ends))
                assert float((x - wanted).abs().max()) <= 2 * unit


@EVERY_ENGINE
def test_a_complex_field(engine: str) -> None:
    spec = FieldSpec.mlp(Gabor(5.0, 2.0), 1)
    weights, biases = cases.random_field(spec, [2, 10, 10, 1], gen=cases.generator())
    values = ops.field_on_grid((6, 7), weights, biases, spec=spec, engine=engine, precision="fp32")
    exact = expected(points((6, 7), [(-1.0, 1.0)] * 2, torch.float32), weights, biases, spec)
    assert_close(values, exact, TOLERANCE)


@EVERY_ENGINE
def test_an_empty_range(engine: str) -> None:
    weights, biases = cases.random_field(SPEC, [1, 12, 12, 1], gen=cases.generator())
    call = {"spec": SPEC, "begin": 4, "end": 4, "engine": engine}
    assert ops.field_on_grid((9,), weights, biases, **call).shape == (0, 1)
    assert ops.field_on_grid((9,), weights, biases, **call, threshold=0.0).shape == (0,)


def test_nothing_of_the_grid_s_size_is_made() -> None:
    """The last points of a grid of 2^60."""
    weights, biases = cases.random_field(SPEC, [3, 12, 12, 1], gen=cases.generator())
    size, total = 2**20, 2**60
    values = ops.field_on_grid((size,) * 3, weights, biases, spec=SPEC, begin=total - 5, end=total)
    last = torch.linspace(-1.0, 1.0, size)[-5:]
    x = torch.stack([torch.ones(5), torch.ones(5), last], dim=-1)
    assert_close(values, expected(x, weights, biases, SPEC), TOLERANCE)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": ()}, "shape of one or more positive whole numbers"),
        ({"shape": (3, 0)}, "shape of one or more positive whole numbers"),
        ({"shape": (3, 2.0)}, "shape of one or more positive whole numbers"),
        ({"shape": (2**32, 2**32)}, "less than 2\\^63 points"),
        ({"shape": (3, 3, 3)}, "weight of layer 0 to be \\[fan_out, 3\\]"),
        ({"begin": -1}, "0 <= begin <= end <= 20"),
        ({"begin": 8, "end": 7}, "0 <= begin <= end <= 20"),
        ({"end": 21}, "0 <= begin <= end <= 20"),
        ({"bounds": (-1.0, 1.0, 2.0)}, "bounds as \\(low, high\\)"),
        ({"bounds": [(-1.0, 1.0)]}, "bounds as \\(low, high\\)"),
        ({"bounds": (0.0, float("inf"))}, "bounds as \\(low, high\\)"),
        ({"threshold": 0.5}, "field of one output"),
    ],
)
def test_bad_calls(changed: dict[str, object], message: str) -> None:
    weights, biases = cases.random_field(SPEC, [2, 12, 12, 3], gen=cases.generator())
    with pytest.raises(InputError, match=message):
        ops.field_on_grid(**({"shape": (4, 5), "weights": weights, "biases": biases, "spec": SPEC} | changed))


@pytest.mark.parametrize("threshold", [float("nan"), "0.5", True])
def test_a_threshold_is_a_number(threshold: object) -> None:
    weights, biases = cases.random_field(SPEC, [2, 12, 12, 1], gen=cases.generator())
    with pytest.raises(InputError, match="threshold to be a number"):
        ops.field_on_grid((4, 5), weights, biases, spec=SPEC, threshold=threshold)
