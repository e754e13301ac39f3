"""Points of grids that are not held: by number for the CPU engine, compact on a GPU, as if they were read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastsnf import SNF, FitConfig, ops
from fastsnf.signals import Occupancy
from fastsnf.train.plan import make_plan
from fastsnf.train.points import Points, as_tensors
from fastsnf.train.step import make_step

CPU = torch.device("cpu")


def ball(shape: tuple[int, int, int] = (9, 10, 11), axes: str = "xy") -> Occupancy:
    return Occupancy.from_function(lambda x: x.square().sum(dim=1) < 0.6, shape, axes=axes)


def indices(signal: Occupancy) -> list[Tensor | slice]:
    return [torch.randint(signal.size, (100,)), slice(13, 57), slice(0, signal.size)]


@pytest.mark.parametrize("axes", ["ij", "xy"])
def test_batches_by_number_are_those_that_are_read(axes: str) -> None:
    signal = ball(axes=axes)
    points = Points(signal, None, CPU, torch.float32)
    assert points.numbered
    assert not points.resident
    points.by_number = True
    for index in indices(signal):
        x, y, w = points.batch(index)
        assert isinstance(x, ops.GridPoints)
        assert isinstance(y, ops.Bits)
        assert w is None
        wanted_x, wanted_y, _ = signal.batch(index)
        found_x, found_y = as_tensors(x, y)
        assert torch.equal(found_x, wanted_x)
        assert torch.equal(found_y, wanted_y)
        assert all(map(torch.equal, points.tensors(index)[:2], (wanted_x, wanted_y)))


def test_on_a_gpu_bits_lie_there_and_coordinates_are_computed() -> None:
    signal = ball()
    points = Points(signal, None, CPU, torch.float64, packed=True)
    assert points.resident
    for index in indices(signal):
        x, y, w = points.batch(index)
        wanted_x, wanted_y, _ = signal.batch(index)
        assert w is None
        assert torch.equal(x, wanted_x.double())
        assert torch.equal(y, wanted_y.double())


def test_part_of_a_grid_is_read_batch_by_batch() -> None:
    signal = ball()
    mask = torch.rand(signal.size) < 0.3
    points = Points(signal, mask, CPU, torch.float32)
    assert not points.numbered
    x, y, _ = points.batch(slice(0, points.count))
    wanted_x, wanted_y, _ = signal.batch(mask.nonzero()[:, 0])
    assert torch.equal(x, wanted_x)
    assert torch.equal(y, wanted_y)


def test_steps_by_number_have_the_gradients_of_steps_on_tensors() -> None:
    signal, field = ball(), SNF(3, 1, 16, 1)
    points = Points(signal, None, CPU, torch.float32)
    index = torch.randint(signal.size, (200,))
    step = make_step(field)
    assert step.takes_numbers("native")
    assert not step.takes_numbers("reference")
    loss = step.gradients(*points.batch(index))
    plain = [parameter.grad.clone() for parameter in field.parameters()]
    points.by_number = True
    assert torch.equal(step.gradients(*points.batch(torch.clone(index))), loss)
    assert all(
        torch.equal(parameter.grad, grad) for parameter, grad in zip(field.parameters(), plain, strict=True)
    )


def test_a_step_through_autograd_makes_the_tensors() -> None:
    signal, field = ball(), SNF(3, 1, 16, 1)
    points = Points(signal, None, CPU, torch.float32)
    points.by_number = True
    step = make_step(field, FitConfig(loss="bce"))
    assert not step.takes_numbers("native")
    index = torch.randint(signal.size, (64,))
    by_number = step.gradients(*points.batch(index))
    assert torch.equal(by_number, step.gradients(*signal.batch(index)))


@pytest.mark.parametrize(
    ("options", "by_number"),
    [({}, True), ({"loss": "bce"}, False), ({"engine": "reference"}, False), ({"holdout": 2}, False)],
)
def test_a_plan_names_points_where_the_engine_takes_numbers(
    options: dict[str, object], by_number: bool
) -> None:
    engine = options.pop("engine", None)
    config = FitConfig(**options)  # type: ignore[arg-type]
    if engine is not None:
        with ops.use_engine(str(engine)):
            plan = make_plan(SNF(3, 1, 16, 1), ball(), config)
    else:
        plan = make_plan(SNF(3, 1, 16, 1), ball(), config)
    assert plan.points.by_number == by_number
