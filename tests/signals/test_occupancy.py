"""Occupancy grids: what is occupied, where the points lie, and what stays in memory."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fastsnf import signals
from fastsnf.errors import InputError
from fastsnf.signals import Occupancy
from fastsnf.signals.bits import BitGrid
from fastsnf.signals.signal import Signal
from tests.signals.surfaces import blob

PAIRS = [
    *(("bool", 0, 1), ("uint8", 0, 1), ("uint8", 0, 255), ("uint8", 3, 4), ("int16", -1, 1), ("int64", 0, 7)),
    *(("float32", 0, 1), ("float32", 0, 0.1), ("float64", -0.5, 0.25), ("float16", 0, 1), (">f4", 0, 2)),
]


@pytest.mark.parametrize(("dtype", "low", "high"), PAIRS)
def test_any_two_values_are_empty_and_occupied(dtype: str, low: float, high: float) -> None:
    array = np.where(blob(), high, low).astype(dtype)
    signal = Occupancy.from_grid(array)
    np.testing.assert_array_equal(signal.values.numpy().reshape(array.shape), blob())
    assert signal.facts["values"] == pytest.approx([low, high])
    assert signal.facts["two_values"]
    assert signal.threshold is None


def test_other_values_need_a_threshold_and_are_occupied_strictly_above_it() -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    with pytest.raises(InputError, match=r"values from 0 to 23: give it, with --threshold T"):
        Occupancy.from_grid(array)
    signal = Occupancy.from_grid(array, threshold=7)
    np.testing.assert_array_equal(signal.values.flatten().numpy(), array.reshape(-1) > 7)
    assert signal.metadata()["threshold"] == 7
    for threshold in (23, 99, -1, math.nan, math.inf, True, "7"):
        with pytest.raises(InputError, match="expected a threshold below the highest value"):
            Occupancy.from_grid(array, threshold=threshold)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((3, 3, 3)), "0 everywhere"),
        (np.ones((3, 3, 3), bool), "1 everywhere"),
        (np.zeros((3, 3)), "three axes"),
        (np.zeros((2, 2, 2, 2)), "three axes"),
        (np.full((3, 3, 3), np.nan), "finite"),
        (np.array([[[0, 1, np.inf]]]), "finite"),
        (np.zeros((0, 3, 3)), "array of numbers"),
        (np.zeros((3, 3, 3), complex), "array of numbers"),
        (np.array([[["a"]]]), "array of numbers"),
        (np.array([[[None]]]), "array of numbers"),
    ],
)
def test_what_is_no_occupancy_is_refused(array: np.ndarray, match: str) -> None:
    with pytest.raises(InputError, match=match):
        Occupancy.from_grid(array)


def wire_code(cube: np.ndarray) -> np.ndarray:
    """The crop as in WIRE's wire_occupancy.py."""
    cube = cube / cube.max()
    hidx, widx, tidx = np.where(cube > 0.99)
    return cube[hidx.min() : hidx.max(), widx.min() : widx.max(), tidx.min() : tidx.max()]


def wire_coordinates(shape: tuple[int, int, int]) -> np.ndarray:
    """The coordinates as in WIRE's utils.get_coords: meshgrid's default order of the axes."""
    height, width, depth = shape
    x, y, z = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height), np.linspace(-1, 1, depth))
    return np.stack([x.reshape(-1), y.reshape(-1), z.reshape(-1)], -1)


def test_wires_crop_and_axes_are_those_of_its_code() -> None:
    cube = blob().astype(np.uint8) * 255
    signal = Occupancy.from_grid(cube, crop="wire", axes="xy")
    expected = wire_code(cube)
    assert signal.shape == expected.shape
    np.testing.assert_array_equal(signal.values.numpy().reshape(expected.shape), expected > 0)
    x, y, _ = signal.batch(slice(None))
    np.testing.assert_allclose(x, wire_coordinates(signal.shape), atol=1e-6)
    np.testing.assert_array_equal(y, signal.values)


def test_wires_crop_looks_for_the_maximum_rather_than_the_threshold() -> None:
    cube = np.where(blob(), 100.0, 0.0)
    cube[10, 5, 8], cube[4, 2, 4], cube[15, 7, 12] = 50.0, 99.5, 100.0
    signal = Occupancy.from_grid(cube, threshold=10, crop="wire")
    assert signal.shape == wire_code(cube).shape
    np.testing.assert_array_equal(signal.values.numpy().reshape(signal.shape), wire_code(cube) > 0.1)


def test_the_tight_crop_is_the_box_of_the_occupied_voxels() -> None:
    array = blob()
    signal = Occupancy.from_grid(array, crop="tight")
    places = np.argwhere(array)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    np.testing.assert_array_equal(
        signal.values.numpy().reshape(signal.shape),
        array[low[0] : high[0], low[1] : high[1], low[2] : high[2]],
    )
    assert signal.facts["origin"] == low.tolist()
    assert signal.facts["array"] == list(array.shape)


def test_crops_that_leave_nothing_or_are_unknown_are_refused() -> None:
    one = np.zeros((4, 4, 4))
    one[2, 2, 2] = 1
    assert Occupancy.from_grid(one, crop="tight").shape == (1, 1, 1)
    with pytest.raises(InputError, match="'wire' to leave voxels"):
        Occupancy.from_grid(one, crop="wire")
    with pytest.raises(InputError, match="did you mean 'tight'"):
        Occupancy.from_grid(one, crop="tigth")
    with pytest.raises(InputError, match="order of the axes"):
        Occupancy.from_grid(blob(), axes="yx")


@pytest.mark.parametrize("axes", ["ij", "xy"])
@pytest.mark.parametrize("crop", [None, "tight", "wire"])
def test_voxels_of_the_whole_array_have_the_coordinates_of_their_points(axes: str, crop: str | None) -> None:
    array = blob()
    signal = Occupancy.from_grid(array, axes=axes, crop=crop)
    index = torch.arange(signal.size)
    place = torch.stack(torch.unravel_index(index, signal.shape), -1) + torch.tensor(signal.facts["origin"])
    x, y, _ = signal.batch(index)
    torch.testing.assert_close(signal.to_coordinates(place), x, atol=1e-7, rtol=0)
    np.testing.assert_array_equal(y.flatten(), array[tuple(place.numpy().T)])
    in_order = x[:, [signal._grid.columns.index(axis) for axis in range(3)]]
    torch.testing.assert_close(signal.frame.to_units(in_order), place.float(), atol=1e-5, rtol=0)


def test_tensors_and_bits_are_taken_too() -> None:
    expected = blob().reshape(-1)
    for given in (torch.from_numpy(blob()), torch.from_numpy(blob()).bfloat16(), BitGrid.from_bool(blob())):
        signal = Occupancy.from_grid(given)
        np.testing.assert_array_equal(signal.values.flatten().numpy(), expected)
    with pytest.raises(InputError, match="no threshold"):
        Occupancy.from_grid(BitGrid.from_bool(blob()), threshold=0.5)


def test_points_are_read_by_number_without_coordinates_being_kept() -> None:
    signal = Occupancy.from_grid(blob())
    index = torch.randint(0, signal.size, (100,))
    x, y, weights = signal.batch(index)
    assert weights is None
    assert torch.equal(x, signal.grid(signal.shape)[index])
    assert torch.equal(y, signal.targets(index))
    assert y.dtype == torch.float32
    assert not signal.held
    assert "coords" not in vars(signal)
    assert signal.in_features == 3
    assert signal.out_features == 1


def test_values_of_large_grids_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsnf.signals.occupancy.SHOWN", 100)
    with pytest.raises(InputError, match="in parts"):
        _ = Occupancy.from_grid(blob()).values


def test_an_empty_grid_is_refused_by_the_check() -> None:
    Occupancy.from_grid(blob()).check()
    with pytest.raises(InputError, match="nothing to fit"):
        Occupancy.from_grid(BitGrid.zeros((2, 2, 2))).check()


def test_the_digest_is_of_all_bits_and_of_the_grid() -> None:
    changed = blob()
    changed[5, 5, 5] ^= True
    signals_ = [
        Occupancy.from_grid(blob()),
        Occupancy.from_grid(changed),
        Occupancy.from_grid(blob(), axes="xy"),
        Occupancy.from_grid(np.moveaxis(blob(), 0, 1)),
    ]
    digests = [signal.digest() for signal in signals_]
    assert len(set(digests)) == len(digests)
    assert digests[0] == Occupancy.from_grid(blob().astype(np.uint8) * 9).digest()


def ball(points: Tensor) -> Tensor:
    return points.square().sum(dim=1) < 0.7


@pytest.mark.parametrize("axes", ["ij", "xy"])
def test_a_function_is_asked_for_the_points_of_the_grid(axes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsnf.signals.solid.AT_ONCE", 50)
    bounds = ((-1.0, 1.0), (0.0, 2.0), (-3.0, 0.5))
    seen: list[Tensor] = []

    def half(points: Tensor) -> Tensor:
        seen.append(points.clone())
        return points[:, 0] + 2 * points[:, 1] > points[:, 2]

    signal = Occupancy.from_function(half, (7, 5, 9), bounds, axes=axes)
    points = signal.grid(signal.shape)
    assert torch.equal(torch.cat(seen), points)
    assert torch.equal(signal.values.flatten() > 0, half(points))
    corner = signal.to_coordinates([[-1.0, 0.0, -3.0], [1.0, 2.0, 0.5]])
    torch.testing.assert_close(corner, points[[0, -1]])


@pytest.mark.parametrize(
    "function",
    [lambda x: x, lambda x: x[:-1, 0], lambda x: torch.tensor(True), lambda x: (x[:, 0] + 1j) * 1],
)
def test_a_function_that_returns_something_else_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(InputError, match="one bool for each"):
        Occupancy.from_function(function, (4, 4, 4))


def test_bits_of_a_function_are_kept_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "ball.bits"
    first = Occupancy.from_function(ball, (20, 20, 20), path=path)
    assert first.bits is not None
    assert first.bits.path == path
    again = Occupancy.from_function(lambda x: 1 / 0, (20, 20, 20), path=path)  # type: ignore[arg-type, return-value]
    assert again.digest() == first.digest()
    other = Occupancy.from_function(ball, (20, 20, 10), path=path)
    assert other.shape == (20, 20, 10)


def test_many_voxels_of_a_function_go_to_a_file_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastsnf.signals.solid.IN_MEMORY", 1000)
    signal = Occupancy.from_function(ball, (20, 20, 20), cache=tmp_path)
    assert signal.bits is not None
    assert signal.bits.mapped
    assert list(tmp_path.iterdir()) == []
    assert signal.digest() == Occupancy.from_function(ball, (20, 20, 20), path=tmp_path / "x.bits").digest()


def test_building_from_a_function_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastsnf.signals.solid.IN_MEMORY", 0)
    monkeypatch.setattr("fastsnf.signals.solid.AT_ONCE", 1 << 16)
    tracemalloc.start()
    try:
        signal = Occupancy.from_function(ball, (512, 128, 128), cache=tmp_path)
        assert signal.bits is not None
        assert signal.bits.count() > 0
        assert tracemalloc.get_traced_memory()[1] < 16e6
    finally:
        tracemalloc.stop()


def described() -> dict[str, Any]:
    metadata = Occupancy.from_grid(blob(), crop="tight", axes="xy").metadata()
    return json.loads(json.dumps(metadata))


def test_a_described_signal_knows_its_grid_and_nothing_else() -> None:
    signal = Occupancy.from_grid(blob(), crop="tight", axes="xy")
    restored = signals.from_metadata(described())
    assert isinstance(restored, Occupancy)
    assert restored.metadata() == signal.metadata()
    assert torch.equal(restored.grid((3, 4, 5)), signal.grid((3, 4, 5)))
    points = torch.rand(10, 3) * 10
    assert torch.equal(restored.to_coordinates(points), signal.to_coordinates(points))
    for use in (lambda: restored.values, lambda: restored.targets(slice(3)), restored.check, restored.digest):
        with pytest.raises(InputError, match="described by a checkpoint"):
            use()


HOSTILE: list[tuple[str, object]] = [
    ("shape", [10**6] * 3),
    ("shape", [3, 4]),
    ("shape", [3, 4, -1]),
    ("shape", "345"),
    ("shape", [3, 4, 5.0]),
    ("bounds", [[-1, 1]]),
    ("bounds", [[-1, math.nan]] * 3),
    ("bounds", [[-1, "1"]] * 3),
    ("bounds", None),
    ("columns", [0, 1]),
    ("columns", [0, 1, 1]),
    ("columns", [0, 1, 2.0]),
    ("columns", [[0], [1], [2]]),
    ("frame", None),
    ("frame", {"scale": [1, 1, 0], "centre": [0, 0, 0]}),
    ("frame", {"scale": [1, 1, 1], "centre": [0, 0, math.inf]}),
    ("frame", {"scale": [1, 1], "centre": [0, 0]}),
    ("frame", {"scale": [1, 1, 1]}),
    ("frame", {"scale": [1, 1, True], "centre": [0, 0, 0]}),
    ("frame", [1, 2, 3]),
    ("threshold", "0.5"),
    ("threshold", math.nan),
    ("threshold", [1]),
    ("source", 5),
    ("facts", [1]),
    ("facts", None),
]


@pytest.mark.parametrize(("key", "value"), HOSTILE)
def test_metadata_that_lie_are_refused(key: str, value: object) -> None:
    assert Occupancy.from_metadata(described())
    with pytest.raises(InputError, match="expected"):
        Occupancy.from_metadata({**described(), key: value})
    if key != "threshold":
        with pytest.raises(InputError, match="expected"):
            Occupancy.from_metadata({name: kept for name, kept in described().items() if name != key})


@pytest.mark.parametrize("points", ["abc", [[1, 2]], 5, [[1, 2, 3j]], None])
def test_points_that_are_none_are_refused(points: Any) -> None:
    with pytest.raises(InputError, match=r"\[..., 3\]|numbers"):
        Occupancy.from_grid(blob()).to_coordinates(points)


def test_an_occupancy_is_a_signal_of_its_kind() -> None:
    signal = Occupancy.from_grid(blob())
    assert isinstance(signal, Signal)
    assert (signal.kind, signal.default_name, signal.metrics) == ("occupancy", "reconstruction.ply", ("iou",))
    assert signal.defaults.alpha == 3.7
    assert signal.remarks == []
    assert "21, 13, 17" in repr(signal)


@pytest.mark.parametrize("suffix", [".npz", ".ply"])
def test_a_rendering_is_written(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("trimesh")
    signal = Occupancy.from_function(ball, (16, 16, 16))
    shape = (24, 24, 24)
    path = tmp_path / f"x{suffix}"
    signal.write(ball(signal.grid(shape)).float().unsqueeze(1), shape, path)
    assert path.stat().st_size > 100
