"""`field_at`, `mse_value_and_grad_at`: the same numbers as with coordinates and targets made beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fastsnf import ops
from fastsnf.engines import native
from fastsnf.errors import InputError
from fastsnf.nn import SNF
from fastsnf.ops import Bits, GridPoints

SHAPES = [(37,), (5, 7), (6, 5, 9), (1, 3, 1, 4), (16, 16, 16)]
ENGINES = ["native", "reference"]


def points_of(
    shape: tuple[int, ...], index: torch.Tensor | range, columns: tuple[int, ...] = ()
) -> GridPoints:
    axes = [torch.randn(size) for size in shape]
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    order = columns or range(len(shape))
    return GridPoints(tuple(axes[axis] for axis in order), tuple(strides[axis] for axis in order), index)


def field_of(points: GridPoints, outputs: int = 1, **options: object) -> SNF:
    return SNF(len(points.tables), outputs, 19, 2, **options)  # type: ignore[arg-type]


def indices(shape: tuple[int, ...]) -> list[torch.Tensor | range]:
    size = math.prod(shape)
    return [range(size), range(size // 3, size - 1), torch.randint(size, (77,)), torch.arange(size)[::2]]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("engine", ENGINES)
def test_values_are_those_at_the_coordinates(shape: tuple[int, ...], engine: str) -> None:
    for index in indices(shape):
        points = points_of(shape, index, tuple(reversed(range(len(shape)))))
        field = field_of(points, outputs=3)
        call = {"spec": field.spec, "engine": engine}
        expected = ops.field(points.coordinates(), *field.layer_tensors(), **call)
        assert torch.equal(ops.field_at(points, *field.layer_tensors(), **call), expected)


def test_coordinates_follow_tables_and_strides() -> None:
    points = points_of((4, 5, 6), range(120), (1, 0, 2))
    x = points.coordinates().reshape(4, 5, 6, 3)
    first, second, third = points.tables
    assert torch.equal(x[2, 3, 4], torch.stack([first[3], second[2], third[4]]))
    assert torch.equal(points[slice(7, 11)].coordinates(), points.coordinates()[7:11])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("activation", ["sine", "gabor"])
def test_bits_say_which_values_are_above(engine: str, activation: str) -> None:
    for count in (1, 8, 999, 1031):
        points = points_of((11, 10, 11), range(150, 150 + count))
        field = field_of(points, activation=activation)
        call = {"spec": field.spec, "engine": engine}
        values = ops.field_at(points, *field.layer_tensors(), **call)[:, 0]
        threshold = float(values.median())
        bits = ops.field_at(points, *field.layer_tensors(), threshold=threshold, **call)
        assert np.array_equal(np.packbits((values > threshold).numpy(), bitorder="little"), bits.numpy())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_are_those_of_coordinates_and_targets(
    shape: tuple[int, ...], weighted: bool, engine: str
) -> None:
    octets = torch.randint(256, (-(-math.prod(shape) // 8),), dtype=torch.uint8)
    for index in indices(shape):
        points = points_of(shape, index)
        field = field_of(points)
        w = torch.rand(len(points)) if weighted else None
        call = {"spec": field.spec, "engine": engine, "sample_weight": w}
        target = Bits(octets).at(points)
        unpacked = np.unpackbits(octets.numpy(), bitorder="little")[points.numbers().numpy()]
        assert np.array_equal(target[:, 0].numpy(), unpacked)
        expected = ops.mse_value_and_grad(points.coordinates(), target, *field.layer_tensors(), **call)
        for given in (Bits(octets), target):
            result = ops.mse_value_and_grad_at(points, given, *field.layer_tensors(), **call)
            assert torch.equal(result.loss, expected.loss)
            for a, b in zip(
                result.d_weights + result.d_biases, expected.d_weights + expected.d_biases, strict=True
            ):
                assert torch.equal(a, b)


def test_numbers_beyond_32_bits_are_looked_up() -> None:
    shape = (2048, 2048, 2048)
    index = torch.tensor([0, 2**32 - 1, 2**32, 2**32 + 5, math.prod(shape) - 1])
    points = points_of(shape, index)
    field = field_of(points)
    expected = ops.field(points.coordinates(), *field.layer_tensors(), spec=field.spec, engine="native")
    assert torch.equal(
        ops.field_at(points, *field.layer_tensors(), spec=field.spec, engine="native"), expected
    )
    places = torch.stack(torch.unravel_index(index, shape), dim=-1)
    x = torch.stack([table[place] for table, place in zip(points.tables, places.T, strict=True)], dim=-1)
    assert torch.equal(points.coordinates(), x)


@pytest.mark.parametrize("variant", native.variants())
def test_every_instruction_set_makes_the_same_coordinates_and_bits(variant: str) -> None:
    octets = torch.randint(256, (-(-6 * 5 * 9 // 8),), dtype=torch.uint8)
    for index in indices((6, 5, 9)):
        points = points_of((6, 5, 9), index)
        field = field_of(points)
        call = {"spec": field.spec, "engine": "native"}
        with native.use_variant(variant):
            values = ops.field(points.coordinates(), *field.layer_tensors(), **call)
            assert torch.equal(ops.field_at(points, *field.layer_tensors(), **call), values)
            bits = ops.field_at(points, *field.layer_tensors(), threshold=0.01, **call)
            assert np.array_equal(np.packbits((values[:, 0] > 0.01).numpy(), bitorder="little"), bits.numpy())
            target = Bits(octets).at(points)
            made = ops.mse_value_and_grad_at(points, Bits(octets), *field.layer_tensors(), **call)
            given = ops.mse_value_and_grad(points.coordinates(), target, *field.layer_tensors(), **call)
            assert torch.equal(made.loss, given.loss)
            assert all(map(torch.equal, made.d_weights, given.d_weights))


def test_no_points_are_no_values() -> None:
    points = points_of((4, 4), torch.empty(0, dtype=torch.int64))
    field = field_of(points)
    assert ops.field_at(points, *field.layer_tensors(), spec=field.spec).shape == (0, 1)
    assert ops.field_at(points, *field.layer_tensors(), spec=field.spec, threshold=0.0).shape == (0,)
    octets = torch.zeros(2, dtype=torch.uint8)
    assert (
        float(ops.mse_value_and_grad_at(points, Bits(octets), *field.layer_tensors(), spec=field.spec).loss)
        == 0
    )


@pytest.mark.parametrize(
    "index",
    [
        torch.tensor([16]),
        torch.tensor([-1]),
        range(10, 17),
        range(-1, 3),
        range(0, 16, 2),
        torch.tensor([1.0]),
    ],
)
def test_numbers_off_the_grid_are_refused(index: torch.Tensor | range) -> None:
    points = points_of((4, 4), index)
    field = field_of(points)
    with pytest.raises(InputError, match="numbers of points"):
        ops.field_at(points, *field.layer_tensors(), spec=field.spec, engine="native")


def test_what_does_not_fit_the_grid_is_refused() -> None:
    points = points_of((4, 4), range(16))
    field, two = field_of(points), field_of(points, outputs=2)
    with pytest.raises(InputError, match=r"uint8 \[2\] for 16 points"):
        ops.mse_value_and_grad_at(
            points, Bits(torch.zeros(3, dtype=torch.uint8)), *field.layer_tensors(), spec=field.spec
        )
    with pytest.raises(InputError, match="one output for bits"):
        ops.mse_value_and_grad_at(
            points, Bits(torch.zeros(2, dtype=torch.uint8)), *two.layer_tensors(), spec=two.spec
        )
    with pytest.raises(InputError, match="one output for a threshold"):
        ops.field_at(points, *two.layer_tensors(), spec=two.spec, threshold=0.5)
    with pytest.raises(InputError, match="targets of shape"):
        ops.mse_value_and_grad_at(points, torch.zeros(15, 1), *field.layer_tensors(), spec=field.spec)
    with pytest.raises(InputError, match="tables"):
        ops.field_at(
            GridPoints(tuple(t.double() for t in points.tables), points.strides, points.index),
            *field.layer_tensors(),
            spec=field.spec,
        )
