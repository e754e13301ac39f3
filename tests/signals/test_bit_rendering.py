"""Renderings of solids at one bit a point: chunks of any size, meshes in the user's units, grids."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from fastsnf.errors import InputError
from fastsnf.signals import Image, bit_rendering
from fastsnf.signals.bit_rendering import WRITES, BitRendering, Skipped
from fastsnf.signals.frame import Frame
from fastsnf.signals.grid import Grid
from fastsnf.signals.occupancy import Occupancy
from fastsnf.signals.samples import Samples
from tests.signals.surfaces import ball, noise, volume

SHAPE = (7, 11, 5)


def solid(shape=SHAPE, **options) -> Occupancy:
    return Occupancy(None, Grid(shape), **options)


def values(seed: int = 0) -> torch.Tensor:
    return torch.rand(7 * 11 * 5, 1, generator=torch.Generator().manual_seed(seed))


def bools(rendering: BitRendering) -> np.ndarray:
    return rendering.bits.slab(0, rendering.shape[0]).reshape(-1)


@pytest.mark.parametrize("chunk", [1, 5, 8, 100, 1000])
def test_chunks_of_any_size_make_the_same_bits(chunk):
    rendering = BitRendering(solid(), SHAPE)
    for start in range(0, rendering.size, chunk):
        rendering.add(start, values()[start : start + chunk])
    assert np.array_equal(bools(rendering), values()[:, 0].numpy() >= 0.5)


def test_a_chunk_that_is_taken_again_replaces_itself():
    rendering = BitRendering(solid(), SHAPE)
    rendering.add(0, values(1)[:300])
    rendering.add(0, values()[:100])
    rendering.add(100, values()[100:])
    assert np.array_equal(bools(rendering), values()[:, 0].numpy() >= 0.5)


def test_packed_bits_are_taken_as_they_are():
    rendering = BitRendering(solid(), SHAPE)
    inside = noise(*SHAPE).reshape(-1)
    packed = np.packbits(inside, bitorder="little")
    rendering.add_bits(0, torch.from_numpy(packed[:20]))
    packed[-1] |= 1 << 7  # beyond the last point: an engine may leave anything there
    rendering.add_bits(160, packed[20:])
    assert np.array_equal(bools(rendering), inside)
    assert rendering.bits.count() == inside.sum()


@pytest.mark.parametrize(
    ("threshold", "below", "expected"),
    [
        (0.5, False, [False, True, True, False, True]),
        (0.75, False, [False, False, True, False, True]),
        (0.0, True, [True, False, False, False, False]),
    ],
)
def test_a_point_at_the_threshold_is_inside_and_nan_is_not(threshold, below, expected):
    found = torch.tensor([[0.0], [0.5], [0.75], [torch.nan], [torch.inf]])
    rendering = BitRendering(solid((5, 1, 1)), (5, 1, 1), threshold, below=below)
    rendering.add(0, found)
    assert bools(rendering).tolist() == expected


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda rendering: rendering.add(8, values()[:8]), "give the chunks in order"),
        (lambda rendering: rendering.add(0, torch.zeros(386, 1)), "give the chunks in order"),
        (lambda rendering: rendering.add_bits(4, np.zeros(1, np.uint8)), "multiple of 8"),
        (lambda rendering: rendering.add_bits(0, np.zeros(50, np.uint8)), "bits of the 385 points"),
        (lambda rendering: rendering.values, "keeps values"),
        (lambda rendering: BitRendering(solid(), (4, 4)), "three axes"),
        (lambda rendering: BitRendering(Image((4, 4), 1), (4, 4)), "three axes"),
        (lambda rendering: BitRendering(Samples((4, 4, 4), 2), (4, 4, 4)), "one value"),
    ],
)
def test_what_does_not_fit_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call(BitRendering(solid(), SHAPE))


def made(shape, **options) -> tuple[BitRendering, np.ndarray]:
    rendering = BitRendering(solid(shape, **options), shape)
    inside = ball(*shape, radius=0.6, at=(0.1, 0.2, -0.1))
    rendering.add_bools(0, inside.reshape(-1))
    return rendering, inside


def test_a_mesh_is_in_the_users_units():
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    frame = Frame((0.5, 0.5, 0.5), (10.0, 0.0, -7.0))
    rendering, _ = made((20, 18, 22), frame=frame)
    vertices, faces = rendering.surface()
    plain, _ = made((20, 18, 22), frame=Frame.identity(3))
    own, its = plain.surface()
    assert np.array_equal(faces, its)
    assert np.allclose(vertices, own * 2 + [10, 0, -7], atol=1e-5)
    assert np.allclose((vertices.min(axis=0) + vertices.max(axis=0)) / 2, [10.2, 0.4, -7.2], atol=0.1)


@pytest.mark.parametrize("columns", [(0, 1, 2), (1, 0, 2)])
def test_voxels_stay_in_their_order_and_faces_outward(columns):
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    shape = (12, 16, 20)
    signal = Occupancy(None, Grid(shape, columns=columns))
    rendering = BitRendering(signal, shape)
    inside = np.zeros(shape, dtype=bool)
    inside[2:5, 8:9, 11:19] = True
    rendering.add_bools(0, inside.reshape(-1))
    vertices, faces = rendering.surface()
    assert np.allclose(vertices.min(axis=0), [1.5, 7.5, 10.5], atol=1e-5)
    assert np.allclose(vertices.max(axis=0), [4.5, 8.5, 18.5], atol=1e-5)
    assert volume(vertices, faces) > 0


def test_a_finer_rendering_lies_where_the_voxels_do():
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    signal = solid((10, 10, 10))  # its voxels are counted from 0 to 9
    rendering = BitRendering(signal, (19, 19, 19))
    inside = np.zeros((19, 19, 19), dtype=bool)
    inside[4:9, 4:9, 4:9] = True  # voxels 2 to 4
    rendering.add_bools(0, inside.reshape(-1))
    vertices, _ = rendering.surface()
    assert np.allclose(vertices.min(axis=0), 1.75, atol=1e-5)
    assert np.allclose(vertices.max(axis=0), 4.25, atol=1e-5)


@pytest.mark.parametrize("suffix", WRITES)
def test_every_suffix_is_written(tmp_path, suffix):
    for library in ("skimage", "trimesh", "zarr"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    rendering, inside = made((14, 13, 12))
    path = tmp_path / f"o{suffix}"
    rendering.check(path)
    rendering.write(path)
    if suffix in (".npz", ".npy", ".zarr"):
        again = Occupancy.open(path, cache=tmp_path / "cache")
        assert np.array_equal(again.voxels.slab(0, 14), inside)
    else:
        import trimesh

        assert trimesh.load(path, force="mesh").is_watertight


def test_a_field_without_a_surface_is_told_what_to_do(tmp_path):
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    rendering = BitRendering(solid(), SHAPE)
    rendering.add(0, torch.zeros(385, 1))
    with pytest.raises(
        InputError, match=r"nowhere at or above 0\.5 on the grid of 7 x 11 x 5 points: fit it"
    ):
        rendering.write(tmp_path / "o.ply")
    rendering.write(tmp_path / "o.npy")
    assert not np.load(tmp_path / "o.npy").any()


def test_what_could_not_be_written_is_said_before_the_work(tmp_path, monkeypatch):
    rendering = BitRendering(solid(), SHAPE)
    with pytest.raises(InputError, match=r"mesh or grid file ending in \.ply"):
        rendering.check(tmp_path / "o.png")
    with pytest.raises(InputError, match="create it or choose another"):
        rendering.check(tmp_path / "absent" / "o.ply")
    with pytest.raises(InputError, match=r"ending in \.ply"):
        rendering.write(tmp_path / "o.png")
    for module, suffix in (("trimesh", ".obj"), ("skimage.measure", ".ply"), ("zarr", ".zarr")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(InputError, match=r"install it with: pip install 'fastsnf\["):
            rendering.check(tmp_path / f"o{suffix}")
    rendering.check(tmp_path / "o.npz")


def test_memory_is_a_bit_a_point_and_asked_before_it_is_taken():
    huge = solid((4096, 4096, 4096)).rendering((4096, 4096, 4096))
    assert 2**33 < huge.bytes < 5 * 2**33
    assert 2**33 < huge.needs("o.zarr") < 2**33 + 2**29 < huge.needs("o.ply") < huge.needs("o.glb")
    rendering = solid((512,) * 3).rendering((512,) * 3)
    assert isinstance(rendering, BitRendering)
    assert 2**24 < rendering.bytes < 2**24 + 2**30


def test_the_miss_rate_of_nothing_is_zero():
    assert Skipped(0, 0, 0).miss_rate == 0
    assert Skipped(100, 50, 5).miss_rate == 0.1


def test_bits_of_very_many_points_lie_in_a_file_without_a_name(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTSNF_CACHE", str(tmp_path))
    box = Occupancy.from_function(lambda x: x.square().sum(1) < 0.5, (13, 11, 9))
    values = box.targets(slice(0, box.size))
    kept, mapped = box.rendering(box.shape), box.rendering(box.shape)
    kept.add(0, values)
    monkeypatch.setattr(bit_rendering, "IN_MEMORY", 100)
    for start in range(0, box.size, 200):
        mapped.add(start, values[start : start + 200])
    assert mapped.bits.mapped
    assert not kept.bits.mapped
    assert (mapped.bits.octets == kept.bits.octets).all()
    assert (mapped.bits.octets == box.voxels.octets).all()
    assert list(tmp_path.iterdir()) == []
