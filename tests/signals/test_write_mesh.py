"""Meshes in every format: what was written is read back, whole or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from fastsnf.errors import InputError, RunError
from fastsnf.signals import write_mesh as module
from fastsnf.signals.bits import BitGrid
from fastsnf.signals.grid import Grid
from fastsnf.signals.surface import surface_of
from fastsnf.signals.write_mesh import MESHES, write_mesh
from tests.signals.surfaces import torus, volume

trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
pytest.importorskip("skimage", reason="scikit-image is not installed")


def names(folder: Path) -> list[str]:
    """Return what lies in a folder."""
    return [file.name for file in folder.iterdir()]


@pytest.fixture(scope="module")
def surface():
    occupied = torus(20, 21, 12)
    return surface_of(BitGrid.from_bool(occupied), Grid(occupied.shape))


@pytest.mark.parametrize("suffix", [*MESHES, ".PLY"])
@pytest.mark.parametrize(("unit", "part"), [(1.0, 1 << 18), (1e-4, 1 << 18), (1e3, 100)])
def test_a_mesh_is_read_back(tmp_path, surface, monkeypatch, suffix, unit, part):
    monkeypatch.setattr(module, "PART", part)
    vertices, faces = surface[0] * np.float32(unit), surface[1]
    path = tmp_path / f"o ü{suffix}"
    path.write_text("an earlier file")
    write_mesh(vertices, faces, path)
    mesh = trimesh.load(path, file_type=suffix.lower()[1:], force="mesh")
    assert mesh.is_watertight
    assert (len(mesh.vertices), len(mesh.faces)) == (len(vertices), len(faces))
    assert mesh.volume == pytest.approx(volume(vertices, faces), rel=1e-4)
    assert np.allclose(mesh.bounds, [vertices.min(axis=0), vertices.max(axis=0)], rtol=1e-6)
    assert names(tmp_path) == [path.name]


def test_what_cannot_be_written_is_said(tmp_path, surface, monkeypatch):
    with pytest.raises(InputError, match=r"ending in \.ply, \.obj"):
        write_mesh(*surface, tmp_path / "o.off")
    with pytest.raises(InputError, match="at least one face"):
        write_mesh(surface[0], surface[1][:0], tmp_path / "o.ply")
    with pytest.raises(InputError, match="absent"):
        write_mesh(*surface, tmp_path / "absent" / "o.ply")
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(InputError, match=r"fastsnf\[mesh\]"):
        write_mesh(*surface, tmp_path / "o.ply")
    assert not names(tmp_path)


def test_a_full_disk_leaves_the_earlier_file(tmp_path, surface, monkeypatch):
    def full(descriptor):
        raise OSError(28, os.strerror(28))

    path = tmp_path / "o.ply"
    path.write_text("an earlier file")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        write_mesh(*surface, path)
    assert path.read_text() == "an earlier file"
    assert names(tmp_path) == ["o.ply"]
