"""Points as a signal: SIREN's frame, values of files, renderings of cloud and grid, damaged files."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import fastsnf
from fastsnf import signals
from fastsnf.errors import InputError
from fastsnf.signals import PointCloud
from tests.cases import count
from tests.signals.clouds import ply, properties
from tests.signals.damage import flips, lengths

XYZ, NORMALS, COLORS = ("x", "y", "z"), ("nx", "ny", "nz"), ("red", "green", "blue")


def _cloud(number: int = 200, axes: int = 3) -> PointCloud:
    rng = np.random.default_rng(0)
    points = rng.uniform(-3, 5, (number, axes)) * np.arange(1, axes + 1)
    return PointCloud.from_arrays(points, np.sin(points.sum(axis=1)))


@pytest.mark.parametrize("axes", [1, 2, 3, 5])
def test_the_frame_is_sirens(axes: int) -> None:
    points = np.random.default_rng(1).normal(size=(50, axes)) * np.arange(1, axes + 1) + 7
    cloud = PointCloud.from_arrays(points, np.zeros((50, 2)))
    # SIREN's dataio.py: centred, then (c - min) / (max - min) - 0.5, times 2, least and greatest of all
    centred = points - points.mean(axis=0)
    expected = ((centred - centred.min()) / (centred.max() - centred.min()) - 0.5) * 2
    assert np.allclose(cloud.coords.numpy(), expected, atol=1e-6)
    assert torch.allclose(cloud.to_coordinates(points), cloud.coords)
    assert (cloud.in_features, cloud.out_features, cloud.size) == (axes, 2, 50)


def test_batches_are_rows() -> None:
    weights = torch.rand(200)
    whole = _cloud()
    cloud = PointCloud.from_arrays(whole.frame.to_units(whole.coords.double()), whole.values, weights)
    for index in (torch.tensor([53, 0, 7, 7]), slice(3, 90, 4), slice(None)):
        x, y, w = cloud.batch(index)
        assert torch.allclose(x, whole.coords[index], atol=1e-6)
        assert torch.equal(y, whole.values[index])
        assert w is not None
        assert torch.equal(w, weights[index])
    assert cloud.digest() != whole.digest()


def test_the_digest_is_of_points_and_values() -> None:
    points, values = np.random.default_rng(0).normal(size=(2, 40, 3))
    first = PointCloud.from_arrays(points, values).digest()
    assert PointCloud.from_arrays(points, values).digest() == first
    points[3, 1] += 0.1
    assert PointCloud.from_arrays(points, values).digest() != first


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_vertices_of_ply_files_are_read(tmp_path: Path, text: bool, order: str) -> None:
    columns = properties((*XYZ, *NORMALS, *COLORS))
    path = tmp_path / "a.ply"
    path.write_bytes(ply(columns, text=text, order=order))
    normals = np.stack([columns[name] for name in NORMALS], -1)
    cloud = signals.open(path, kind="points")
    assert isinstance(cloud, PointCloud)
    assert np.allclose(cloud.values.numpy(), normals)
    points = np.stack([columns[name] for name in XYZ], -1)
    assert np.allclose(cloud.frame.to_units(cloud.coords.double()).numpy(), points, atol=1e-5)
    colors = np.stack([columns[name] for name in COLORS], -1) / 255
    assert np.allclose(PointCloud.open(path, values="colors").values.numpy(), colors)
    one = PointCloud.open(path, values="nz, red")
    assert np.allclose(one.values.numpy(), np.stack([columns["nz"], columns["red"]], -1))
    with pytest.raises(InputError, match="name the properties"):
        PointCloud.open(path, values="quality")


def test_files_without_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(ply(properties(XYZ)))
    with pytest.raises(InputError, match="normals or colors"):
        PointCloud.open(path)
    path.write_bytes(ply(properties((*XYZ, *COLORS))))
    assert PointCloud.open(path).out_features == 3
    (tmp_path / "a.xyz").write_text("1 2 3 4\n")
    with pytest.raises(InputError, match="ending in"):
        PointCloud.open(tmp_path / "a.xyz")
    with pytest.raises(InputError, match="does not exist"):
        signals.open(tmp_path / "none.ply", kind="points")
    with pytest.raises(InputError, match="readable PLY"):
        PointCloud.open(tmp_path / "none.ply")


def test_npz_files_are_read_and_written(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    np.savez(tmp_path / "a.npz", points=points, values=points[:, 0], more=points[:, :2])
    cloud = PointCloud.open(tmp_path / "a.npz")
    assert (cloud.in_features, cloud.out_features) == (4, 1)
    assert PointCloud.open(tmp_path / "a.npz", values="more").out_features == 2
    cloud.rendering((30,)).add(0, cloud.values)
    rendering = cloud.rendering(cloud.shape)
    rendering.add(0, cloud.values)
    rendering.write(tmp_path / "b.npz")
    back = PointCloud.open(tmp_path / "b.npz")
    assert torch.allclose(back.coords, cloud.coords, atol=1e-6)
    assert torch.equal(back.values, cloud.values)
    np.savez(tmp_path / "c.npz", points=points)
    with pytest.raises(InputError, match="expected"):
        PointCloud.open(tmp_path / "c.npz")
    with pytest.raises(InputError, match=r"ending in \.npz"):
        rendering.write(tmp_path / "b.ply")


def test_a_grid_over_the_box_is_rendered(tmp_path: Path) -> None:
    cloud = _cloud(axes=2)
    shape = cloud.shape_of(40)
    assert max(shape) == 40
    grid = cloud.grid_of(shape)
    corners = torch.stack([grid.points()[0], grid.points()[-1]])
    assert torch.allclose(corners[0], cloud.coords.amin(dim=0))
    assert torch.allclose(corners[1], cloud.coords.amax(dim=0))
    restored = signals.from_metadata(json.loads(json.dumps(cloud.metadata())))
    assert isinstance(restored, PointCloud)
    rendering = restored.rendering(shape)
    values = torch.rand(grid.size, 1)
    rendering.add(0, values)
    rendering.write(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        assert np.array_equal(file["values"].reshape(-1, 1), values.numpy())
        units = np.stack(np.meshgrid(file["axis0"], file["axis1"], indexing="ij"), -1).reshape(-1, 2)
    assert torch.allclose(restored.to_coordinates(units), grid.points(), atol=1e-6)
    assert torch.equal(restored.coordinates_of(shape, slice(3, 9)), grid.points()[3:9])
    with pytest.raises(InputError, match="choose a resolution"):
        restored.rendering(restored.shape)
    with pytest.raises(InputError, match="open the file"):
        restored.batch(slice(0, 3))


def test_damaged_metadata_are_refused() -> None:
    metadata = json.loads(json.dumps(_cloud().metadata()))
    restored = signals.from_metadata(metadata)
    assert restored.metadata() == metadata
    for key, value in (
        ("shape", [3, 4]),
        ("shape", [0]),
        ("axes", 2),
        ("axes", 0),
        ("axes", 10**9),
        ("frame", {"scale": [1, 1, 0], "centre": [0, 0, 0]}),
        ("frame", None),
        ("bounds", [[0, 1]]),
        ("bounds", [[0, 1], [0, 1], [2, 1]]),
        ("bounds", [[0, 1], [0, 1], [0, float("nan")]]),
        ("bounds", [[0, 1], [0, 1], [0, "1"]]),
        ("out_features", 0),
        ("source", 3),
    ):
        with pytest.raises(InputError, match="expected"):
            signals.from_metadata({**metadata, key: value})


@pytest.mark.parametrize(
    ("points", "values"),
    [
        (np.zeros((3, 2)), np.zeros(3)),
        (np.ones((0, 2)), np.zeros(0)),
        (np.eye(3), np.zeros(2)),
        (np.eye(3)[0], np.zeros(3)),
        (np.array([[0, np.nan], [1, 1]]), np.zeros(2)),
        (np.array([[0, np.inf], [1, 1]]), np.zeros(2)),
        (np.array([["a", "b"]]), np.zeros(1)),
        (np.eye(3) * 1j, np.zeros(3)),
        (np.eye(20), np.zeros(20)),
    ],
)
def test_arrays_of_another_kind_are_refused(points: np.ndarray, values: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected"):
        PointCloud.from_arrays(points, values)


def test_values_that_are_not_finite_are_refused_unless_they_have_no_weight() -> None:
    values = np.array([0.0, np.nan, 1e300])
    with pytest.raises(InputError, match="NaN or infinity at 2 of 3"):
        PointCloud.from_arrays(np.eye(3), values).check()
    cloud = PointCloud.from_arrays(np.eye(3), values, [1, 0, 0])
    fastsnf.fit(fastsnf.SNF(3, 1, 8, 2), cloud, steps=2)


def test_a_fit_comes_close(tmp_path: Path) -> None:
    cloud = _cloud(300, axes=2)
    field = fastsnf.SNF(2, 1, 32, 3, first_omega=10, hidden_omega=10, alpha=1.0)
    result = fastsnf.fit(field, cloud, steps=300, lr=5e-3, run=tmp_path / "run")
    assert result.psnr > 20
    back = PointCloud.open(tmp_path / "run" / "reconstruction.npz")
    assert result.values is not None
    assert torch.equal(back.values, result.values)
    loaded = fastsnf.load(tmp_path / "run")
    points = cloud.frame.to_units(cloud.coords[:5].double())
    assert torch.allclose(loaded.at(points), result.values[:5], atol=1e-3)
    held_out = fastsnf.fit(field, cloud, steps=5, holdout=3)
    assert held_out.psnr_holdout is not None


@pytest.mark.parametrize("text", [True, False])
def test_truncated_ply_files_are_refused(tmp_path: Path, text: bool) -> None:
    whole, path = ply(properties((*XYZ, *NORMALS)), text=text), tmp_path / "a.ply"
    for length in lengths(len(whole), count(200)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="expected"):
            PointCloud.open(path)
    path.write_bytes(whole)
    assert PointCloud.open(path).size == 60


@pytest.mark.parametrize("text", [True, False])
def test_damaged_ply_files_never_crash(tmp_path: Path, text: bool) -> None:
    whole, path = ply(properties((*XYZ, *NORMALS, *COLORS)), text=text), tmp_path / "a.ply"
    refused = 0
    for data in flips(whole, count(200), head=260):
        path.write_bytes(data)
        try:
            cloud = PointCloud.open(path)
        except InputError:
            refused += 1
            continue
        assert cloud.size == 60
        assert cloud.coords.isfinite().all()
        assert cloud.coords.abs().max() <= 1 + 1e-6
    assert refused > 0


def test_damaged_npz_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, points=np.random.default_rng(0).normal(size=(50, 3)), values=np.arange(50.0))
    whole = path.read_bytes()
    for length in lengths(len(whole), count(200)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="expected"):
            PointCloud.open(path)
    cloud = None
    for data in flips(whole, count(200)):
        path.write_bytes(data)
        try:
            cloud = PointCloud.open(path)
        except InputError:
            continue
        assert cloud.shape == (50,)


HEADERS: dict[str, bytes] = {
    "empty": b"",
    "a promise of vertices": b"ply\nformat binary_little_endian 1.0\nelement vertex 999999999999\n"
    b"property float x\nproperty float y\nproperty float z\nproperty float q\nend_header\n" + bytes(64),
    "a promise in text": b"ply\nformat ascii 1.0\nelement vertex 999999999999\n"
    b"property float x\nproperty float y\nproperty float z\nproperty float q\nend_header\n1 2 3 4\n",
    "no vertices": b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n",
    "minus one": b"ply\nformat ascii 1.0\nelement vertex -1\nproperty float x\nend_header\n",
    "no end": b"ply\nformat ascii 1.0\nelement vertex 3\n" * 1000,
    "lists": b"ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar int x\nproperty float y\n"
    b"property float z\nproperty float q\nend_header\n3 1 2 3 4 5 6\n",
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_lie_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(HEADERS[name])
    with pytest.raises(InputError, match="expected"):
        PointCloud.open(path, values="q")


def test_archives_with_other_contents_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../points.npy", b"x")
    with pytest.raises(InputError, match="expected"):
        PointCloud.open(path)
    np.savez(path, points=np.array([{}], dtype=object), values=np.zeros(1))
    with pytest.raises(InputError, match="expected"):
        PointCloud.open(path)


def test_without_trimesh_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(ply(properties((*XYZ, *NORMALS))))
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(InputError, match=r"fastsnf\[mesh\]"):
        PointCloud.open(path)
