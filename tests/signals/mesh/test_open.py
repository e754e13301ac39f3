"""From a mesh, in a file or in memory, to an occupancy grid in the mesh's own units."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from fastsnf import signals
from fastsnf.errors import InputError
from fastsnf.signals import Occupancy
from fastsnf.signals.mesh.process import WindingProcess
from tests.signals.mesh.files import box, obj, sphere, stl

pytest.importorskip("igl")

CENTRE = (10.0, -3.0, 2.0)


def test_a_mesh_file_is_opened_through_bits_that_are_built_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a ball é.obj"
    path.write_bytes(obj(sphere(3, 2.0, CENTRE)))
    seen: list[tuple[int, int]] = []
    first = signals.open(path, resolution=40, axes="xy", progress=lambda *at: seen.append(at))
    assert isinstance(first, Occupancy)
    assert first.shape == (40, 40, 40)
    assert seen
    assert seen[-1][0] == seen[-1][1]
    assert first.facts["closed"]
    assert first.facts["faces"] == 1280
    assert first.facts["rays_differ"] in (0, None)
    assert first.source == "OBJ mesh"
    assert sorted(file.suffix for file in cache.iterdir()) == [".bits", ".json", ".lock"]

    # in the units of the file: the points of the field's coordinates are where the ball is
    index = torch.randint(0, first.size, (2000,))
    x, y, _ = first.batch(index)
    in_order = x[:, [1, 0, 2]]
    distance = (first.frame.to_units(in_order) - torch.tensor(CENTRE)).norm(dim=1)
    sure = (distance - 2).abs() > 0.03
    assert torch.equal(y.flatten()[sure] > 0, distance[sure] < 2)
    torch.testing.assert_close(first.to_coordinates([CENTRE]), torch.zeros(1, 3))
    torch.testing.assert_close(
        first.to_coordinates([[12.0, -3.0, 2.0]]), torch.tensor([[0.0, 0.95, 0.0]]), atol=5e-3, rtol=0
    )

    def never(*_: object, **__: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr("fastsnf.signals.mesh.open.read_mesh", never)
    again = Occupancy.open(path, resolution=40, axes="xy")
    assert again.digest() == first.digest()
    assert again.metadata() == first.metadata()
    for other in ({"resolution": 41}, {}):
        with pytest.raises(AssertionError, match="built again"):
            Occupancy.open(path, **other)  # type: ignore[arg-type]


def test_a_mesh_in_memory_is_the_same_solid(tmp_path: Path, cache: Path) -> None:
    mesh = sphere(2, 2.0, CENTRE)
    path = tmp_path / "x.stl"
    path.write_bytes(stl(mesh))
    from_file = Occupancy.open(path, resolution=24)
    single = mesh[0].astype(np.float32)
    in_memory = Occupancy.from_mesh(single, mesh[1].tolist(), resolution=24)
    assert in_memory.digest() == from_file.digest()
    assert in_memory.source == "mesh"
    assert in_memory.bits is not None
    assert not in_memory.bits.mapped
    assert cache.exists()


def test_an_open_mesh_warns_with_numbers_whenever_it_is_opened(tmp_path: Path, cache: Path) -> None:
    vertices, faces = sphere(3)
    path = tmp_path / "x.obj"
    path.write_bytes(obj((vertices, faces[4:])))
    for _ in range(2):
        with pytest.warns(UserWarning, match="the mesh is open: .* edges belong to one triangle only"):
            signal = Occupancy.open(path, resolution=20)
        assert not signal.facts["closed"]
        assert signal.remarks[0].startswith("the mesh is open")
    assert cache.exists()


def test_turned_triangles_are_seen_by_rays(cache: Path) -> None:
    pytest.importorskip("embreex")
    vertices, faces = sphere(3)
    faces = faces.copy()
    faces[::4] = faces[::4, ::-1]
    with pytest.warns(
        UserWarning, match="triangles are turned over: .* counting the crossings of rays"
    ) as caught:
        signal = Occupancy.from_mesh(vertices, faces, resolution=20)
    assert "from_mesh" not in str(caught[0].message)
    assert len(signal.remarks) == 2
    assert signal.facts["rays_differ"] > 40


def test_a_mesh_that_encloses_no_point_is_refused(tmp_path: Path, cache: Path) -> None:
    tilted = np.array([[0, 0, 0], [1, 0.2, 0.1], [0.3, 1, 0.4]], dtype=float)
    path = tmp_path / "x.obj"
    path.write_bytes(obj((tilted, np.array([[0, 1, 2]]))))
    with pytest.raises(InputError, match="encloses none"):
        Occupancy.open(path, resolution=16)
    assert [file.suffix for file in cache.iterdir()] == [".lock"]
    with pytest.raises(InputError, match="encloses none"):
        Occupancy.from_mesh(tilted, [[0, 1, 2]], resolution=16)


def test_what_is_refused_is_refused_before_a_process_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WindingProcess, "octets", lambda *_: pytest.fail("started"))
    vertices, faces = box()
    with pytest.raises(InputError, match="finite"):
        Occupancy.from_mesh(vertices * np.nan, faces)
    with pytest.raises(InputError, match="resolution"):
        Occupancy.from_mesh(vertices, faces, resolution=5000)
    with pytest.raises(InputError, match="order of the axes"):
        Occupancy.from_mesh(vertices, faces, axes="zyx")


def test_a_closed_mesh_does_not_warn(cache: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Occupancy.from_mesh(*box(), resolution=16).remarks == []
    assert not cache.exists()
