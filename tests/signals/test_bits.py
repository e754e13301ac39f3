"""One bit a voxel: packing, reading in any part, counting, hashing."""

from __future__ import annotations

import hashlib
import tracemalloc

import numpy as np
import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.signals.bits import MAX_POINTS, BitGrid, octets_of, packed_octets, slabs_of

SHAPES = [(1, 1, 1), (2, 2, 2), (3, 5, 7), (8, 8, 8), (13, 4, 9), (5, 1, 3), (64, 3, 2), (7,), (4, 4)]


def random_bools(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape) < 0.3


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_are_those_of_numpy_and_come_back(shape: tuple[int, ...]) -> None:
    array = random_bools(shape)
    grid = BitGrid.from_bool(array)
    np.testing.assert_array_equal(grid.octets, np.packbits(array.reshape(-1), bitorder="little"))
    np.testing.assert_array_equal(grid.slab(0, shape[0]), array)
    for first in range(shape[0]):
        for last in range(first, min(first + 3, shape[0]) + 1):
            np.testing.assert_array_equal(grid.slab(first, last), array[first:last])
    assert grid.count() == array.sum()
    assert grid.sha256() == hashlib.sha256(grid.octets.tobytes()).hexdigest()
    assert (grid.size, grid.shape) == (array.size, shape)
    np.testing.assert_array_equal(np.concatenate([slab for _, slab in grid.slabs()]), array)


@pytest.mark.parametrize("shape", SHAPES)
def test_points_are_read_by_number_and_by_slice(shape: tuple[int, ...]) -> None:
    flat = torch.from_numpy(random_bools(shape).reshape(-1)).float().unsqueeze(1)
    grid = BitGrid.from_bool(random_bools(shape))
    index = torch.randint(0, grid.size, (50,))
    assert torch.equal(grid.at(index), flat[index])
    for part in (
        slice(None),
        slice(1, 6),
        slice(3, None),
        slice(0, grid.size, 3),
        slice(5, 2),
        slice(-3, None),
    ):
        assert torch.equal(grid.at(part), flat[part])
    assert grid.at(torch.empty(0, dtype=torch.int64)).shape == (0, 1)


def test_the_octets_are_shared_with_the_tensor() -> None:
    grid = BitGrid.zeros((4, 4, 4))
    octets = grid.tensor()
    assert octets.dtype == torch.uint8
    before = grid.sha256()
    grid.set(8, np.ones(16, bool))
    assert octets.tolist() == [0, 255, 255, 0, 0, 0, 0, 0]
    assert grid.sha256() != before


def test_setting_takes_whole_octets_but_for_the_last() -> None:
    grid = BitGrid.zeros((5, 1, 3))
    grid.set(8, np.array([1, 0, 1, 1, 0, 0, 1], bool))
    assert grid.at(slice(None)).flatten().tolist() == [0.0] * 8 + [1, 0, 1, 1, 0, 0, 1]
    for start, bools in (
        (4, np.ones(8, bool)),
        (0, np.ones(9, bool)),
        (8, np.ones(8, bool)),
        (16, np.ones(8, bool)),
    ):
        with pytest.raises(InputError, match="whole octets"):
            grid.set(start, bools)
    mapped = BitGrid((5, 1, 3), grid.octets, mapped=True)
    with pytest.raises(InputError, match="never changed"):
        mapped.set(0, np.ones(8, bool))


@pytest.mark.parametrize("sizes", [[24], [1, 2, 3, 18], [7, 9, 8], [23, 1], [25], [0, 3, 0, 4]])
def test_slabs_of_any_size_pack_alike(sizes: list[int]) -> None:
    array = random_bools((sum(sizes),))
    parts = np.split(array, np.cumsum(sizes)[:-1])
    found = list(packed_octets(part.reshape(1, -1) for part in parts))
    np.testing.assert_array_equal(np.concatenate(found), np.packbits(array, bitorder="little"))


def test_numbers_other_than_bools_are_occupied_unless_zero() -> None:
    grid = BitGrid.from_bool(np.array([[[0.0, 0.5, -1.0, np.nan]]]))
    assert grid.at(slice(None)).flatten().tolist() == [0, 1, 1, 1]


def test_wrong_octets_are_refused() -> None:
    for shape, octets in (
        ((2, 2, 2), np.zeros(2, np.uint8)),
        ((2, 2, 2), np.zeros(1, np.int8)),
        ((2, 2, 2), np.zeros((1, 1), np.uint8)),
        ((3, 3), np.array([0, 2], np.uint8)),
        ((0, 3), np.zeros(0, np.uint8)),
    ):
        with pytest.raises(InputError):
            BitGrid(shape, octets)
    with pytest.raises(InputError, match=f"at most {MAX_POINTS}"):
        BitGrid.zeros((MAX_POINTS // 2, 3, 1))


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (0, 4), (2, 1)])
def test_slabs_beyond_the_grid_are_refused(first: int, last: int) -> None:
    with pytest.raises(InputError, match="within 0 to 3"):
        BitGrid.zeros((3, 2, 2)).slab(first, last)


def test_slabs_cover_a_grid_in_order() -> None:
    for shape, points in (((100, 30, 30), 4000), ((3, 1000, 1000), 10), ((1, 1, 1), 1)):
        slabs = list(slabs_of(shape, points))
        assert [first for first, _ in slabs] == [0, *[last for _, last in slabs[:-1]]]
        assert slabs[-1][1] == shape[0]
        assert all(
            (last - first) * shape[1] * shape[2] <= max(points, shape[1] * shape[2]) for first, last in slabs
        )


def test_a_large_grid_is_never_unpacked_as_a_whole() -> None:
    grid = BitGrid.zeros((1024, 512, 256))  # 16 MiB of bits, 128 of bools
    grid.set(0, np.ones(1 << 16, bool))
    index = torch.randint(0, grid.size, (1000,))
    tracemalloc.start()
    try:
        assert grid.count() == 1 << 16
        assert len(grid.sha256()) == 64
        grid.at(index)
        assert sum(int(slab.sum()) for _, slab in grid.slabs()) == 1 << 16
        assert tracemalloc.get_traced_memory()[1] < 24e6
    finally:
        tracemalloc.stop()


def test_octets_of_points() -> None:
    assert [octets_of(n) for n in (1, 8, 9, 2048**3)] == [1, 1, 2, 2**30]
